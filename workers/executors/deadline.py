"""A limit of time that can be moved often: moving it sets no timer (EXE-2)."""

import asyncio
from types import TracebackType
from typing import Final, Self

_NEVER: Final = float("inf")


class Deadline:
    """Cancels what runs inside it when its time is over, and raises ``TimeoutError`` then.

    As ``asyncio.timeout`` does; but a later time costs nothing, as the timer that is set looks
    for itself how much is left. Entered once, by the task that it ends.
    """

    __slots__ = ("_cancelling", "_due", "_handle", "_loop", "_over", "_set", "_task")

    def __init__(self, seconds: float) -> None:
        """Let it be over in so many seconds from now."""
        self._loop = asyncio.get_running_loop()
        self._due: float | None = self._loop.time() + seconds
        self._set = _NEVER
        self._handle: asyncio.TimerHandle | None = None
        self._over = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def when(self) -> float | None:
        """Return the time of the loop at which it is over; None where it stands still."""
        return self._due

    def reschedule(self, at: float | None) -> None:
        """Set the time of the loop at which it is over; None lets it stand still."""
        self._due = at
        if at is not None and at < self._set and self._task is not None and not self._over:
            self._arm(at)

    def __enter__(self) -> Self:
        """Begin."""
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._due is not None:
            self._arm(self._due)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; a cancellation of ours becomes a ``TimeoutError``."""
        task, self._task = self._task, None
        if self._handle is not None:
            self._handle.cancel()
        if not self._over or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._set = at
        self._handle = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._handle, self._set = None, _NEVER
        if self._due is None or self._task is None:
            return
        if self._loop.time() < self._due:
            self._arm(self._due)
            return
        self._over = True
        self._task.cancel()
