"""Units of work, and the connection on which groups of them run before one commit.

A unit is a short synchronous function of a transaction. It may be run again (when another unit of
its group failed), so it must only compute values and use the transaction. It may refuse with an
AssentryError before it has written anything without disturbing the others.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.clock import since
from app.core.errors import AssentryError, StoreUnavailable
from app.core.instant import Instant
from app.core.jobs import JobKind
from app.store.tx import Change, Tx

GROUP: Final = 128
"""A commit with so many units takes no more."""

_CACHE_KB: Final = 24_000
"""What SQLite keeps of the database for writing: pages of many indexes, in no order."""

log = structlog.get_logger()

Result = tuple["Unit", Any, BaseException | None]
Deliver = Callable[[list[Result], list[Change]], None]


@dataclass(slots=True, eq=False)
class Unit:
    """One piece of work and where its result goes.

    :ivar order: units of a group run in this order, so that row locks are taken in one order.
    :ivar long: it may take more than a few milliseconds, so it gets a commit of its own.
    """

    work: Callable[[Tx], Any]
    future: Any
    order: str = ""
    long: bool = False


class Session:
    """A connection of a writer's own, made when it is needed, and its transaction.

    :ivar engine: what it connects with.
    """

    def __init__(
        self, engine: Engine, now: Callable[[], Instant] | None, wanted: AbstractSet[JobKind]
    ) -> None:
        """Prepare one; ``now`` replaces the database's clock when it is given."""
        self.engine = engine
        self._now = now
        self._wanted = wanted
        self._connection: Connection | None = None
        self._tx: Tx | None = None

    @property
    def connection(self) -> Connection:
        """The connection.

        :raises SQLAlchemyError: the database cannot be reached.
        """
        if self._connection is None:
            connection = self.engine.connect()
            if self.engine.dialect.name == "sqlite":  # who begins and commits says so itself
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KB}")
            self._tx = Tx(connection, self.engine.dialect.name, self._wanted)
            self._connection = connection
        return self._connection

    def run(self, units: Iterable[Unit]) -> tuple[list[Result], list[Change]]:
        """Run units in the open transaction, and write what they deferred.

        :raises Exception: a unit failed after it wrote, or by a bug; nothing may be committed.
        """
        connection = self.connection
        assert self._tx is not None
        tx = self._tx
        tx.start(self._now or since(database_time(connection)))
        results = [_one(tx, unit) for unit in units]
        tx.flush()
        return results, tx.changes

    def close(self) -> None:
        """Disconnect; the next use connects anew."""
        connection, self._connection, self._tx = self._connection, None, None
        if connection is None:
            return
        try:
            connection.close()
        except SQLAlchemyError as error:
            log.warning("store_close_failed", error=type(error).__name__)


def _one(tx: Tx, unit: Unit) -> Result:
    tx.touched = False
    tx.tick()
    try:
        return unit, unit.work(tx), None
    except AssentryError as error:
        if tx.touched:
            raise
        return unit, None, error


def database_time(connection: Connection) -> Instant:
    """Return PostgreSQL's present time."""
    statement = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    return Instant(connection.execute(statement).scalar_one())


def translated(error: BaseException) -> BaseException:
    """Return what a caller of the store gets for an error inside it."""
    if isinstance(error, AssentryError):
        return error
    if isinstance(error, StopIteration):  # no future takes it
        return RuntimeError("a unit of work asked for more than there was")
    driver = type(error).__module__.split(".")[0] in {"sqlite3", "psycopg"}
    if (driver or isinstance(error, DBAPIError)) and _is_outage(error):
        log.error("store_unavailable", error=type(error).__name__, detail=str(error)[:300])
        return StoreUnavailable(retry_after=1)
    return error


def _is_outage(error: BaseException) -> bool:
    name = type(getattr(error, "orig", None) or error).__name__
    return name in {
        "OperationalError", "InterfaceError", "AdminShutdown", "ConnectionException",
        "CannotConnectNow", "TooManyConnections", "ConnectionTimeout", "DeadlockDetected",
        "LockNotAvailable", "ReadOnlySqlTransaction", "DiskFull",
    }  # fmt: skip
