"""Group commit: units of work queued while one commits are committed together by the next.

A unit is a short synchronous function of a transaction. It may be run again (when another unit of
its group failed), so it must only compute values and use the transaction. It may refuse with an
AssentryError before it has written anything without disturbing the others.
"""

import threading
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.clock import since
from app.core.errors import AssentryError, StoreUnavailable
from app.core.instant import Instant
from app.core.jobs import JobKind
from app.store.turn import Turn
from app.store.tx import Change, Tx

GROUP: Final = 128
"""A commit with so many units takes no more."""

_NOTIFY_BYTES: Final = 7000
log = structlog.get_logger()

Result = tuple["Unit", Any, BaseException | None]
Deliver = Callable[[list[Result], list[Change]], None]


@dataclass(slots=True, eq=False)
class Unit:
    """One piece of work and where its result goes.

    :ivar order: units of a group run in this order, so that row locks are taken in one order.
    """

    work: Callable[[Tx], Any]
    future: Any
    order: str = ""


_ORDER: Final = attrgetter("order")


class Writer(threading.Thread):
    """A thread with a connection of its own that commits units in groups."""

    def __init__(
        self,
        engine: Engine,
        queue: "SimpleQueue[list[Unit] | None]",
        deliver: Deliver,
        now: Callable[[], Instant] | None,
        wanted: AbstractSet[JobKind],
    ) -> None:
        """Prepare a writer; ``now`` replaces the database's clock when it is given."""
        super().__init__(name="store-writer", daemon=True)
        self._engine = engine
        self._queue = queue
        self._deliver = deliver
        self._now = now
        self._wanted = wanted
        self._connection: Connection | None = None
        self._tx: Tx | None = None
        self._turn = Turn(engine)

    def run(self) -> None:
        """Commit groups until a None is taken from the queue."""
        while (units := self._queue.get()) is not None:
            stop = self._gather(units)
            self._perform(units)
            if stop:
                break
        self._disconnect()
        self._turn.close()

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
        try:
            results, changes = self._commit(units)
        except Exception as error:  # noqa: BLE001 - it is handed to the callers below
            if len(units) > 1:
                for unit in units:
                    self._perform([unit])
                return
            self._deliver([(units[0], None, translated(error))], [])
            return
        self._deliver(results, changes)

    def _commit(self, units: list[Unit]) -> tuple[list[Result], list[Change]]:
        try:
            tx, connection = self._connected()
            with self._turn.taken(), _transaction(connection):
                tx.start(self._time(connection))
                results = [self._one(tx, unit) for unit in units]
                tx.flush()
                self._announce(connection, tx.changes)
        except SQLAlchemyError:
            self._disconnect()
            raise
        except Exception as error:
            if not isinstance(error, AssentryError):
                self._disconnect()
            raise
        return results, tx.changes

    def _one(self, tx: Tx, unit: Unit) -> Result:
        tx.touched = False
        tx.tick()
        try:
            return unit, unit.work(tx), None
        except AssentryError as error:
            if tx.touched:
                raise
            return unit, None, error

    def _time(self, connection: Connection) -> Callable[[], Instant]:
        return self._now or since(database_time(connection))

    def _announce(self, connection: Connection, changes: list[Change]) -> None:
        """Wake the other processes when this commits (PostgreSQL)."""
        if self._engine.dialect.name != "postgresql" or not changes:
            return
        payload = ""
        for kind, name in changes:
            payload += f"{kind}:{name},"
            if len(payload) > _NOTIFY_BYTES:
                _notify(connection, payload)
                payload = ""
        _notify(connection, payload)

    def _connected(self) -> tuple[Tx, Connection]:
        if self._tx is None or self._connection is None:
            self._connection = connected(self._engine)
            self._tx = Tx(self._connection, self._engine.dialect.name, self._wanted)
        return self._tx, self._connection

    def _disconnect(self) -> None:
        connection, self._connection, self._tx = self._connection, None, None
        if connection is None:
            return
        try:
            connection.close()
        except SQLAlchemyError as error:
            log.warning("store_close_failed", error=type(error).__name__)


def connected(engine: Engine) -> Connection:
    """Return a connection of the engine; SQLite's leaves transactions to ``_transaction``."""
    if engine.dialect.name == "postgresql":
        return engine.connect()
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def _transaction(connection: Connection) -> Generator[None, None, None]:
    """Commit at the end, or roll back. On SQLite the write lock is taken at once."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE")
    try:
        yield
        driver.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        raise


def database_time(connection: Connection) -> Instant:
    """Return PostgreSQL's present time."""
    statement = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    return Instant(connection.execute(statement).scalar_one())


def _notify(connection: Connection, payload: str) -> None:
    if payload:
        connection.execute(text("SELECT pg_notify('assentry', :payload)"), {"payload": payload})


def translated(error: Exception) -> BaseException:
    """Return what a caller of the store gets for an error inside it."""
    if isinstance(error, AssentryError):
        return error
    driver = type(error).__module__.split(".")[0] in {"sqlite3", "psycopg"}
    if (driver or isinstance(error, DBAPIError)) and _is_outage(error):
        log.error("store_unavailable", error=type(error).__name__, detail=str(error)[:300])
        return StoreUnavailable(retry_after=1)
    return error


def _is_outage(error: Exception) -> bool:
    name = type(getattr(error, "orig", None) or error).__name__
    return name in {
        "OperationalError", "InterfaceError", "AdminShutdown", "ConnectionException",
        "CannotConnectNow", "TooManyConnections", "ConnectionTimeout", "DeadlockDetected",
        "LockNotAvailable", "ReadOnlySqlTransaction", "DiskFull",
    }  # fmt: skip
