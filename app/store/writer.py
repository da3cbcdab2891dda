"""Group commit on PostgreSQL: what is queued while one group commits is the next one."""

import asyncio
import threading
from collections.abc import Callable
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Final

from sqlalchemy import Connection, text

from app.core.errors import AssentryError, StoreUnavailable
from app.store.tx import Change
from app.store.units import GROUP, Deliver, Result, Session, Unit, translated

_THREADS: Final = 2
_NOTIFY_BYTES: Final = 7000
_ORDER: Final = attrgetter("order")


class Writers:
    """Threads that commit units in groups, and the loop's way to them."""

    def __init__(self, connect: Callable[[], Session], deliver: Deliver) -> None:
        """Start them on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Unit] | None] = SimpleQueue()
        self._gathered: list[Unit] = []

        def handed_back(results: list[Result], changes: list[Change]) -> None:
            self._loop.call_soon_threadsafe(deliver, results, changes)

        self._threads = [Writer(connect(), self._queue, handed_back) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def add(self, unit: Unit) -> None:
        """Commit a unit with others."""
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(unit)

    def _hand_over(self) -> None:
        """Give a writer all that one turn of the loop brought: it wakes once for one group."""
        units, self._gathered = self._gathered, []
        for at in range(0, len(units), GROUP):
            self._queue.put(units[at : at + GROUP])

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        self._hand_over()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


class Writer(threading.Thread):
    """A thread with a connection of its own that commits units in groups."""

    def __init__(
        self, session: Session, queue: "SimpleQueue[list[Unit] | None]", deliver: Deliver
    ) -> None:
        """Prepare a writer; it calls ``deliver`` on its own thread."""
        super().__init__(name="store-writer", daemon=True)
        self._session = session
        self._queue = queue
        self._deliver = deliver
        self._committing = False

    def run(self) -> None:
        """Commit groups until a None is taken from the queue."""
        while (units := self._queue.get()) is not None:
            stop = self._gather(units)
            self._perform(units)
            if stop:
                break
        self._session.close()

    def _gather(self, units: list[Unit]) -> bool:
        """Add what else is queued, and return whether to stop after it."""
        stop = False
        while len(units) < GROUP and not stop:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            stop = more is None
            units += more or ()
        if len(units) > 1:
            units.sort(key=_ORDER)
        return stop

    def _perform(self, units: list[Unit]) -> None:
        """Commit units; run each alone when one of them spoiled it for the others.

        Where the database went away in the commit itself, nobody knows whether it took place: that
        is told, and nothing is run again.
        """
        self._committing = False
        try:
            results, changes = self._commit(units)
        except Exception as error:  # noqa: BLE001 - it is handed to the callers below
            told = translated(error)
            unsure = self._committing and isinstance(told, StoreUnavailable)
            if len(units) > 1 and not unsure:
                for unit in units:
                    self._perform([unit])
                return
            self._deliver([(unit, None, told) for unit in units], [])
            return
        self._deliver(results, changes)

    def _commit(self, units: list[Unit]) -> tuple[list[Result], list[Change]]:
        try:
            connection = self._session.connection
            with connection.begin():
                results, changes = self._session.run(units)
                _announce(connection, changes)
                self._committing = True
        except Exception as error:
            if not isinstance(error, AssentryError):
                self._session.close()
            raise
        return results, changes


def _announce(connection: Connection, changes: list[Change]) -> None:
    """Wake the other processes when this commits."""
    payload = ""
    for kind, name in changes:
        payload += f"{kind}:{name},"
        if len(payload) > _NOTIFY_BYTES:
            _notify(connection, payload)
            payload = ""
    _notify(connection, payload)


def _notify(connection: Connection, payload: str) -> None:
    if payload:
        connection.execute(text("SELECT pg_notify('assentry', :payload)"), {"payload": payload})
