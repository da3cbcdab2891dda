"""The loop of a worker: claim what is due, carry it out a few at a time, go on.

What is claimed is under a lease with a fencing number, so work whose worker is gone comes back by
itself and a stale worker acknowledges nothing. Whatever a piece of work or the database does, the
loop goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import structlog

from app.core.errors import AssentryError
from app.core.instant import SECOND, Instant
from app.store.engine import Store
from app.store.tx import Change

POLL_SECONDS: Final = 1.0
"""Longest sleep without looking for due work."""

STOP_SECONDS: Final = 20.0
"""How long a graceful stop waits for what is running."""

_SOON: Final = 0.1
"""Seconds to wait when due work could not be had: whose it is has enough in work, another worker
took it, or a clock differs. News does not end this wait: a flood of it would make it none."""

_NO_WORK: Final = frozenset({"request"})
"""Changes that are many and bring no source anything: a transition leaves a job where it does."""

log = structlog.get_logger()
Item = TypeVar("Item")
Report = Callable[[], Awaitable[None]]


class Source(Protocol[Item]):
    """Where work of one sort comes from."""

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought work."""
        ...

    async def next_at(self) -> Instant | None:
        """Return when the next piece of work is due, or None."""
        ...

    async def claim(self, most: int) -> Sequence[Item]:
        """Take up to ``most`` due pieces under a lease."""
        ...

    async def work(self, item: Item) -> "Report | None":
        """Carry one piece out; return how to write that down, or None when it was. Raises nothing.

        Others may begin while it is written.
        """
        ...


@dataclass(slots=True)
class _Hands:
    """What is in work.

    :ivar busy: pieces that are being carried out.
    :ivar tasks: those, and the ones of which it is being written down.
    :ivar freed: set when a piece was carried out.
    """

    busy: int = 0
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])
    freed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Loop(Generic[Item]):
    """The loop over one source.

    :ivar concurrency: most pieces that are carried out at a time.
    :ivar poll_seconds: longest sleep without looking for due work.
    :ivar stop_seconds: how long a graceful stop waits for what is running.
    """

    store: Store
    source: Source[Item]
    concurrency: int
    poll_seconds: float = POLL_SECONDS
    stop_seconds: float = STOP_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is running, within a deadline."""
        hands = _Hands()
        async with asyncio.TaskGroup() as group:
            with self.store.signals.following(_NO_WORK) as news:
                while not stop.is_set():
                    hands.freed.clear()
                    items, seconds, hears = await self._look(self.concurrency - hands.busy)
                    for item in items:
                        hands.busy += 1
                        task = group.create_task(self._carry(item, hands))
                        hands.tasks.add(task)
                        task.add_done_callback(hands.tasks.discard)
                    if not items:
                        await self._pause(news if hears else None, hands, stop, seconds)
            await self._drain(hands.tasks)

    async def _carry(self, item: Item, hands: _Hands) -> None:
        try:
            report = await self.source.work(item)
        finally:
            hands.busy -= 1
            hands.freed.set()
        if report is not None:
            await report()

    async def _look(self, most: int) -> tuple[Sequence[Item], float, bool]:
        """Return up to ``most`` claimed pieces.

        Beside it, for when there are none: seconds until to look again, whatever else happens, and
        whether news is a reason to look before.
        """
        if most <= 0:
            return [], self.poll_seconds, False
        try:
            due = await self.source.next_at()
            if due is None:
                return [], self.poll_seconds, True
            left = (due - self.store.clock.now()) / SECOND
            if left > 0:
                return [], min(left, self.poll_seconds), True
            return await self.source.claim(most), _SOON, False
        except Exception as error:  # noqa: BLE001 - the loop outlives its database
            log.warning("work_unavailable", error=named(error))
            return [], self.poll_seconds, True

    async def _pause(
        self,
        news: "asyncio.Queue[Change | None] | None",
        hands: _Hands,
        stop: asyncio.Event,
        seconds: float,
    ) -> None:
        """Sleep until there may be work, a piece ended, it is time to look, or to stop."""
        if hands.freed.is_set():
            return
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_set(stop)), group.create_task(_set(hands.freed))]
            if news is not None:
                waits.append(group.create_task(self._news(news)))
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _news(self, news: "asyncio.Queue[Change | None]") -> None:
        """Wait for a change that may have brought work, and take all that are queued."""
        while (change := await news.get()) is not None and not self.source.wakes(change):
            pass
        while not news.empty():
            news.get_nowait()

    async def _drain(self, running: "set[asyncio.Task[None]]") -> None:
        """Wait for what is running; what is late is left to the end of its lease."""
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self.stop_seconds)
        if late:
            log.warning("work_left_to_its_lease", count=len(late))
        for task in late:
            task.cancel()


def named(error: Exception) -> str:
    """Return what is kept of an error: our own words, and of others the class alone (T62)."""
    name = type(error).__name__
    return f"{name}: {error.detail}" if isinstance(error, AssentryError) else name


async def _set(event: asyncio.Event) -> None:
    await event.wait()
