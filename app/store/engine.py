"""The store: units of work in, results out, on SQLite and PostgreSQL alike."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.clock import SystemClock
from app.core.errors import AssentryError, StoreBusy, Unavailable
from app.core.instant import Instant
from app.core.jobs import JobKind
from app.store.committer import Committer
from app.store.database import Database
from app.store.signals import Signals
from app.store.tx import Change, Tx
from app.store.units import Result, Session, Unit, database_time, translated
from app.store.writer import Writers

T = TypeVar("T")

QUEUE_LIMIT: Final = 5000
"""Units that may wait for a commit before callers are refused."""

_READERS: Final = 4
_TAIL_SECONDS: Final = {"sqlite": 0.1, "postgresql": 2.0}
_CLOCK_SECONDS: Final = 30.0
log = structlog.get_logger()


class Store:
    """A database, opened on the running event loop.

    ``write`` and ``read`` take a synchronous function of a transaction; nothing but SQL and pure
    computation can happen inside, so no network call ever does.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: SystemClock | None = None,
        wanted: frozenset[JobKind] = frozenset({JobKind.EXECUTE, JobKind.BUNDLE}),
    ) -> None:
        """Prepare a store.

        :param clock: used for the time of transactions; when None it is the database's.
        :param wanted: job kinds that somebody handles; others are not written.
        """
        self.database = Database(url)
        self.clock = clock or SystemClock()
        self.signals = Signals()
        self._fixed = clock
        self._wanted = set(wanted)
        self._tasks: list[asyncio.Task[None]] = []
        self._pending = 0
        self._tail = 0
        self._reader: Tx | None = None
        self._local = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.database.kind

    async def open(self) -> None:
        """Connect, start the writers and follow what other processes change."""
        self._loop = asyncio.get_running_loop()
        self._engine = self.database.engine(writer=False)
        writing = Committer if self.kind == "sqlite" else Writers
        self._writer = writing(self._session, self._resolve)
        if self.kind == "sqlite":
            self._reader = self._reading(self._engine)
        else:
            self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._tail = await self.read(lambda tx: tx.audit.last())
        self._follow()

    def _now(self) -> Callable[[], Instant] | None:
        if self._fixed is not None or self.kind == "sqlite":
            return self.clock.now
        return None

    def _session(self) -> Session:
        return Session(self._engine, self._now(), self._wanted)

    def _reading(self, engine: Engine) -> Tx:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return Tx(connection, self.kind, frozenset())

    async def write(self, work: Callable[[Tx], T], *, order: str = "", long: bool = False) -> T:
        """Run a unit of work in a transaction and return its result once it is durable.

        :param order: the id of the row that the unit locks, if any.
        :param long: it may take more than a few milliseconds.
        :raises StoreBusy: when too many units are queued.
        :raises StoreUnavailable: when the database does not answer.
        """
        if self._pending >= QUEUE_LIMIT:
            raise StoreBusy(retry_after=1)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending += 1
        self._writer.add(Unit(work, future, order, long))
        return await future

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run a query on committed data and return its result."""
        if self._reader is None:
            return await self._loop.run_in_executor(self._pool, self._read_pooled, query)
        self._reader.now = self.clock.now()
        try:
            return query(self._reader)
        except AssentryError:
            raise
        except Exception as error:
            raise translated(error) from error

    def _read_pooled(self, query: Callable[[Tx], T]) -> T:
        """Read on this thread's connection; when that was lost meanwhile, on a new one."""
        kept = getattr(self._local, "tx", None) is not None
        try:
            return self._read_on_thread(query)
        except Unavailable:
            if not kept:
                raise
            return self._read_on_thread(query)

    def _read_on_thread(self, query: Callable[[Tx], T]) -> T:
        tx: Tx | None = getattr(self._local, "tx", None)
        try:
            if tx is None:
                tx = self._local.tx = self._reading(self._engine)
            tx.now = self.clock.now()
            return query(tx)
        except AssentryError:
            raise
        except Exception as error:
            self._forget_connection(tx)
            raise translated(error) from error

    def _forget_connection(self, tx: Tx | None) -> None:
        self._local.tx = None
        if tx is not None:
            with suppress(SQLAlchemyError):
                tx.connection.close()

    def _resolve(self, results: list[Result], changes: list[Change]) -> None:
        self._pending -= len(results)
        for unit, value, error in results:
            if unit.future.done():
                continue
            if error is None:
                unit.future.set_result(value)
            else:
                unit.future.set_exception(error)
        self.signals.publish(changes)

    # --- other processes ---

    def _follow(self) -> None:
        self._spawn(self._follow_tail())
        if self.kind == "postgresql":
            self._spawn(self._listen())
            if self._fixed is None:
                self._spawn(self._follow_clock())

    def _spawn(self, work: Any) -> None:
        self._tasks.append(self._loop.create_task(work))

    async def _follow_tail(self) -> None:
        """Publish what the audit's tail says, whoever wrote it."""
        seen: object = None
        while True:
            await asyncio.sleep(_TAIL_SECONDS[self.kind])
            try:
                version = await self.read(self._data_version)
                if version != seen or version is None:
                    await self._publish_tail()
                seen = version
            except Unavailable as error:
                log.warning("store_tail_unread", code=error.code)

    def _data_version(self, tx: Tx) -> object:
        if self.kind != "sqlite":
            return None
        return tx.query(text("PRAGMA data_version")).scalar_one()

    async def _publish_tail(self) -> None:
        tail = self._tail
        if not self.signals.busy:
            self._tail = await self.read(lambda tx: tx.audit.last())
            return
        entries = await self.read(lambda tx: tx.audit.since(tail))
        if not entries:
            return
        self._tail = entries[-1][0]
        self.signals.publish([*map(_change, entries), ("job", "-")])

    async def _listen(self) -> None:
        """Publish PostgreSQL's notifications."""
        from app.store.listen import listen  # noqa: PLC0415 - a driver that SQLite does not need

        url = self.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        publish = self.signals.publish
        await listen(
            url,
            heard=lambda payload: publish(_changes(payload)),
            again=lambda: publish([("store", "reconnected")]),
        )

    async def _follow_clock(self) -> None:
        """Keep this process's clock at the database's."""
        while True:
            try:
                theirs = await self.read(lambda tx: database_time(tx.connection))
                self.clock.offset += theirs - self.clock.now()
            except Unavailable as error:
                log.warning("store_clock_unread", code=error.code)
            await asyncio.sleep(_CLOCK_SECONDS)

    def want(self, kind: JobKind, *, wanted: bool = True) -> None:
        """Say whether jobs of a kind are written; nobody needs those without a handler."""
        (self._wanted.add if wanted else self._wanted.discard)(kind)

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._reader is not None:
            # the collector may never come to it, and SQLite's log would stay
            self._reader.connection.close()
        self._engine.dispose()


def _change(entry: tuple[int, str | None, str, str]) -> Change:
    _, request_id, _, subject = entry
    if request_id is not None:
        return ("request", request_id)
    kind, _, name = subject.partition(":")
    return (kind, name)


def _changes(payload: str) -> list[Change]:
    parts = (item.partition(":") for item in payload.split(",") if item)
    return [(kind, name) for kind, _, name in parts]
