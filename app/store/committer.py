"""Group commit on SQLite: statements on the event loop's thread, waiting on another.

SQLite is a library: its statements take microseconds of processor time and wait for nothing, so a
second thread for them only contends for the interpreter. What waits is the disk, at a commit, and
another process's lock, at a begin: those happen on a thread, and what is asked for meanwhile is
the next group.
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from app.core.errors import AssentryError, StoreUnavailable
from app.store.database import BUSY_MS
from app.store.turn import Turn
from app.store.tx import Change
from app.store.units import GROUP, Deliver, Result, Session, Unit, translated

_SLICE: Final = 0.01
"""Seconds of statements after which a group takes no more: others wait for the loop."""

_ENOUGH: Final = 16
"""A group of so many does not wait for what the next turn of the loop may bring."""

_BUSY: Final = 5
"""SQLITE_BUSY, the low byte of an error's code (sqlite.org/rescode.html)."""

Then = Callable[[BaseException | None], None]


class Committer:
    """Runs units in groups on the loop's thread, and commits them on its own."""

    def __init__(self, connect: Callable[[], Session], deliver: Deliver) -> None:
        """Start it on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._session = connect()
        self._turn = Turn(self._session.engine)
        self._waiting: deque[Unit] = deque()
        self._alone: deque[Unit] = deque()
        self._group: list[Unit] = []
        self._seen = 0
        self._was_alone = False
        self._busy = self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: SimpleQueue[tuple[Callable[[], None], Then] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-committer", daemon=True)
        self._thread.start()

    def add(self, unit: Unit) -> None:
        """Commit a unit with others; one that may take long gets a commit of its own."""
        if self._closed:
            self._deliver([(unit, None, StoreUnavailable(retry_after=1))], [])
            return
        (self._alone if unit.long else self._waiting).append(unit)
        self._wake()

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        while self._busy or self._waiting or self._alone:
            await self._idle.wait()
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._session.close()
        self._turn.close()

    # --- on the loop ---

    def _wake(self) -> None:
        if self._busy:
            return
        if self._waiting or self._alone:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._start)
        else:
            self._idle.set()

    def _start(self) -> None:
        """Begin a group: at once where nobody else writes, else when they have done so.

        While turns of the loop bring more units, a small group waits for the next turn. Units of
        their own and groups take turns.
        """
        brought, self._seen = len(self._waiting) - self._seen, len(self._waiting)
        if brought > 0 and self._seen < _ENOUGH and not self._alone:
            self._loop.call_soon(self._start)
            return
        self._seen, self._group = 0, []
        if self._alone and not (self._waiting and self._was_alone):
            self._was_alone = True
            self._start_alone(self._alone.popleft())
            return
        self._was_alone = False
        try:
            begun = self._begin()
        except Exception as error:  # noqa: BLE001 - it is handed to the callers
            self._run(error)
            return
        if begun:
            self._run(None)
        else:
            self._jobs.put((self._wait_and_begin, self._run))

    def _start_alone(self, unit: Unit) -> None:
        self._group = [unit]
        done: list[tuple[list[Result], list[Change]]] = []

        def all_of_it() -> None:
            self._wait_and_begin()
            done.append(self._session.run([unit]))
            self._commit()

        def then(error: BaseException | None) -> None:
            self._finish(*(done[0] if done else ([], [])), error)

        self._jobs.put((all_of_it, then))

    def _run(self, error: BaseException | None) -> None:
        """Run the group's statements, and have them committed; an error is that of the begin."""
        if error is not None:
            self._group = [*self._due()]
            self._finish([], [], error, whole=True)
            return
        try:
            results, changes = self._session.run(self._due())
        except BaseException as raised:  # noqa: BLE001 - it is handed to the callers
            self._finish([], [], raised)
            return
        self._jobs.put((self._commit, partial(self._finish, results, changes)))

    def _due(self) -> Iterator[Unit]:
        """Take units into the group until it is full, or has had its time."""
        until = time.monotonic() + _SLICE
        while self._waiting and len(self._group) < GROUP:
            unit = self._waiting.popleft()
            self._group.append(unit)
            yield unit
            if time.monotonic() > until:
                break

    def _finish(
        self,
        results: list[Result],
        changes: list[Change],
        error: BaseException | None,
        *,
        whole: bool = False,
    ) -> None:
        """Hand out what came of the group, or run each of its units alone after an error.

        :param whole: the error is nothing that one of them did.
        """
        try:
            if error is None:
                self._deliver(results, changes)
                return
            self._undo(error)
            if len(self._group) > 1 and not whole:
                self._alone.extend(self._group)
                return
            told = translated(error)
            self._deliver([(unit, None, told) for unit in self._group], [])
        finally:
            self._busy = False
            self._wake()

    def _undo(self, error: BaseException) -> None:
        """Roll back what is open, and connect anew after anything but a refusal."""
        try:
            driver = self._driver()
            if driver.in_transaction:
                driver.execute("ROLLBACK")
        except Exception as raised:  # noqa: BLE001 - the first error is what the callers get
            error = raised
        if not isinstance(error, AssentryError):
            self._session.close()
        self._turn.give()

    # --- the lock ---

    def _driver(self) -> Any:
        return self._session.connection.connection.driver_connection

    def _begin(self) -> bool:
        """Take SQLite's write lock if nobody has it; return whether it was taken."""
        if not self._turn.try_take():
            return False
        driver = self._driver()
        driver.execute("PRAGMA busy_timeout=0")
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY:
                raise
            self._turn.give()
            return False
        return True

    # --- on the thread ---

    def _serve(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, then = item
            error: BaseException | None = None
            try:
                job()
            except BaseException as raised:  # noqa: BLE001 - it is handed to the callers
                error = raised
            self._loop.call_soon_threadsafe(then, error)

    def _wait_and_begin(self) -> None:
        self._turn.take()
        driver = self._driver()
        driver.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        driver.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._driver().execute("COMMIT")
        self._turn.give()
