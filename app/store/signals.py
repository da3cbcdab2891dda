"""Wake-ups: who waits for a request, and who follows everything.

Within a process, the writer tells. Between processes PostgreSQL's LISTEN/NOTIFY tells; a poll of
the audit's tail is the backstop, and on SQLite (whose data version is nearly free to ask) the way.
"""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final

from app.store.tx import Change

BACKLOG: Final = 1000
"""Changes that a slow follower may be behind before it is told to look at everything again."""


_MANY: Final = frozenset({"request", "job"})


class Signals:
    """The waiters and followers of one process; used on the event loop only.

    :ivar revised: how often anything but a request or a job was told of; as long as it stays, the
        configuration is not known to have changed.
    :ivar told: how often anything was told; as long as it stays, nothing is known to have changed.
    :ivar ended: whether the process stops; then a wait ends with what is known.
    """

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._followers: dict[asyncio.Queue[Change | None], frozenset[str]] = {}
        self.ended = False
        self.told = 0
        self.revised = 0

    def publish(self, changes: Iterable[Change]) -> None:
        """Wake whoever waits for one of these."""
        self.told += 1
        for change in changes:
            self.revised += change[0] not in _MANY
            if change[0] == "store":
                self._wake_all()
            for future in self._waiters.pop(change[1], ()):
                if not future.done():
                    future.set_result(None)
            for queue, ignored in self._followers.items():
                if change[0] not in ignored:
                    self._put(queue, change)

    def end(self) -> None:
        """Let everybody look a last time: the process stops, so nobody waits any longer."""
        self.ended = True
        self.told += 1
        self._wake_all()
        for queue in self._followers:
            queue.put_nowait(None)

    def _wake_all(self) -> None:
        """Let everybody look again, after changes may have been missed."""
        for name in list(self._waiters):
            for future in self._waiters.pop(name):
                if not future.done():
                    future.set_result(None)

    def _put(self, queue: "asyncio.Queue[Change | None]", change: Change) -> None:
        if queue.qsize() < BACKLOG:
            queue.put_nowait(change)
        elif queue.qsize() == BACKLOG:
            queue.put_nowait(None)

    @contextmanager
    def waiting(self, name: str) -> Generator[asyncio.Future[None], None, None]:
        """Give a future that is done at the next change of the named thing.

        Register first, look at the state second: then no change is missed.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(name, set()).add(future)
        try:
            yield future
        finally:
            waiting = self._waiters.get(name)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiters[name]

    @contextmanager
    def following(
        self, ignored: frozenset[str] = frozenset()
    ) -> Generator[asyncio.Queue[Change | None], None, None]:
        """Give a queue of all changes but those of ignored kinds; None: some were left out."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._followers[queue] = ignored
        try:
            yield queue
        finally:
            del self._followers[queue]

    @property
    def busy(self) -> bool:
        """Whether anybody waits or follows."""
        return bool(self._waiters or self._followers)

    @property
    def waiters(self) -> int:
        """How many wait for a single thing."""
        return sum(len(futures) for futures in self._waiters.values())
