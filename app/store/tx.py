"""One transaction: the repositories, and ``record``, the only way to write a transition."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol, TypeVar, cast

from sqlalchemy import Connection, CursorResult
from sqlalchemy.sql import Executable

from app.core.action import Kind
from app.core.audit import Actor, AuditEntry
from app.core.instant import Instant
from app.core.jobs import Job, JobKind, Lane
from app.core.json_types import JsonValue
from app.core.lifecycle import Transition
from app.core.request import Request
from app.store.agents import Agents
from app.store.audit import Audit
from app.store.bodies import Bodies
from app.store.bundles import Bundles
from app.store.connections import Connections
from app.store.deliveries import Deliveries
from app.store.groups import Groups
from app.store.jobs import Jobs
from app.store.limits import Limits
from app.store.links import Links
from app.store.people import People
from app.store.policies import Policies
from app.store.requests import Requests
from app.store.results import Results
from app.store.sql import Sql
from app.store.targets import Targets
from app.store.vault import Vault
from app.store.webhooks import Webhooks

T = TypeVar("T")

_UNASKED: Final = object()

Change = tuple[str, str]
"""What a signal carries: kind of thing (``request``, ``policy``, ...) and its id."""


class Cursor(Protocol):
    """The little that is used of a driver's cursor."""

    rowcount: int

    def fetchone(self) -> Any: ...  # noqa: D102 - a driver's row
    def fetchall(self) -> list[Any]: ...  # noqa: D102


class Tx:
    """Repositories over one connection.

    Inserts are deferred and written together, before any later statement that may see them.

    :ivar began: the database's time at the start of the transaction.
    :ivar now: its time when the unit of work began, or got the lock that it waited for.
    """

    def __init__(self, connection: Connection, engine: str, wanted: AbstractSet[JobKind]) -> None:
        """Work on an open connection; ``wanted`` are the job kinds that somebody handles."""
        self.connection = connection
        self._driver: Any = connection.connection.driver_connection
        self.engine = engine
        self._wanted = wanted
        self._deferred: dict[Sql, list[Any]] = {}
        self._unseen: set[str] = set()
        self._alone = False
        self._asked: dict[tuple[object, ...], object] = {}
        self._asked_of: set[str] = set()
        self._counts: dict[tuple[str, str], int] = {}
        self.began = self.now = Instant(0)
        self._clock: Callable[[], Instant] = lambda: self.now
        self.touched = False
        self._lanes: set[Lane] = set()
        self.changes: list[Change] = []
        self.requests = Requests(self)
        self.bundles = Bundles(self)
        self.results = Results(self)
        self.audit = Audit(self)
        self.jobs = Jobs(self)
        self.policies = Policies(self)
        self.targets = Targets(self)
        self.vault = Vault(self)
        self.connections = Connections(self)
        self.agents = Agents(self)
        self.people = People(self)
        self.groups = Groups(self)
        self.deliveries = Deliveries(self)
        self.limits = Limits(self)
        self.links = Links(self)
        self.webhooks = Webhooks(self)
        self.bodies = Bodies(self)

    def tick(self) -> None:
        """Look at the clock: the unit of work waited for its turn, or for a lock."""
        self.now = self._clock()

    def start(self, clock: Callable[[], Instant]) -> None:
        """Begin anew by the given clock; nothing is deferred or changed yet."""
        self._deferred.clear()
        self._unseen.clear()
        self._forget()
        self._counts.clear()
        self._alone = self.engine == "sqlite"
        self.changes = []
        self.touched = False
        self._lanes.clear()
        self._clock = clock
        self.began = self.now = clock()

    def run(self, sql: Sql, params: Mapping[str, object], *, blind: bool = False) -> Cursor:
        """Run a hot statement on the driver.

        :param blind: the caller has looked at ``deferred`` rows itself; they need not be seen.
        """
        if sql.writes:
            self.touched = True
            self._wrote(sql)
        if self._deferred and not blind and not self._unseen.isdisjoint(sql.tables):
            self.flush()
        return cast("Cursor", self._driver.execute(sql.text(self.engine), sql.params(params)))

    def ask(self, sql: Sql, params: Mapping[str, object], make: Callable[[list[Any]], T]) -> T:
        """Return what is made of the rows of a query that many units of a group ask alike.

        On SQLite nobody else writes while the transaction lasts, so it is asked once, and again
        after a write to one of its tables. On PostgreSQL others commit meanwhile: every unit asks.

        :param make: always the same one for a statement; what it returns does not change.
        """
        key = (sql, *params.values())
        made = self._asked.get(key, _UNASKED)
        if made is _UNASKED:
            made = make(self.run(sql, params).fetchall())
            if self._alone:
                self._asked[key] = made
                self._asked_of |= sql.tables
        return cast("T", made)

    def counted(self, what: tuple[str, str], count: Callable[[], int]) -> int:
        """Return a count that many units of a group need, and that ``recount`` keeps right.

        As ``ask`` does, it counts once on SQLite and every time on PostgreSQL.
        """
        if not self._alone:
            return count()
        found = self._counts.get(what)
        if found is None:
            found = self._counts[what] = count()
        return found

    def recount(self, what: tuple[str, str], difference: int) -> None:
        """Note that this transaction changed what was counted."""
        if what in self._counts:
            self._counts[what] += difference

    def _wrote(self, sql: Sql) -> None:
        if self._asked and not self._asked_of.isdisjoint(sql.tables):
            self._forget()

    def _forget(self) -> None:
        self._asked.clear()
        self._asked_of.clear()

    def query(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement of the admin paths."""
        if self._deferred:
            self.flush()
        if not getattr(statement, "is_select", False):
            self.touched = True
            self._forget()
        return self.connection.execute(statement)

    def defer(self, sql: Sql, row: Any, *, first: bool = False) -> None:
        """Run an insert together with others of its kind, before any that could see it.

        :param first: before other inserts, which refer to it.
        """
        self.touched = True
        self._wrote(sql)
        rows = self._deferred.get(sql)
        if rows is None:
            rows = []
            self._deferred = {sql: rows, **self._deferred} if first else self._deferred
            self._deferred[sql] = rows
            self._unseen |= sql.tables
        rows.append(row)

    def deferred(self, sql: Sql) -> list[Any]:
        """Return the rows of a deferred insert that are not written yet; they may be replaced."""
        return self._deferred.get(sql) or []

    def flush(self) -> None:
        """Write what was deferred."""
        deferred, self._deferred = self._deferred, {}
        self._unseen.clear()
        for sql, rows in deferred.items():
            self._insert(sql, rows)

    def _insert(self, sql: Sql, rows: list[Any]) -> None:
        if self.engine == "sqlite":
            self._insert_in_groups(sql, rows)
        elif len(rows) == 1:
            self._driver.execute(sql.postgresql, sql.named(rows[0]))
        else:
            with self._driver.cursor() as cursor:
                cursor.executemany(sql.postgresql, [sql.named(row) for row in rows])

    def _insert_in_groups(self, sql: Sql, rows: list[Any]) -> None:
        """Insert many rows in few statements: each lets go of the interpreter once."""
        at = 0
        for size, text in sql.several.items():
            while len(rows) - at >= size:
                self._driver.execute(text, sql.values(rows[at : at + size]))
                at += size
        for row in rows[at:]:
            self._driver.execute(sql.sqlite, sql.named(row))

    def record(self, transition: Transition) -> Request:
        """Write a transition: request, vote, audit entry and jobs, all or nothing.

        :returns: the request as it stands after it.
        :raises VersionMismatch: when somebody else changed the request meanwhile.
        """
        after = transition.after
        if transition.before is None:
            self.requests.insert(after)
        else:
            self.requests.update(transition.before, after)
        if transition.vote is not None:
            self.requests.add_vote(transition.vote)
        if transition.before is not None and after.fence != transition.before.fence:
            self.requests.add_attempt(after, self.now)
        if after.kind is Kind.BUNDLE:
            self.bundles.follow(transition.before, after)
        self.audit.add(transition.audit)
        self.changes.append(("request", after.id))
        for kind in transition.kinds:
            if kind in self._wanted:
                self.add_job(transition.job(kind))
        return after

    def add_job(self, job: Job) -> None:
        """Add a job, and wake the workers of its lane once in the transaction."""
        self.jobs.add(job)
        lane = job.lane
        if lane not in self._lanes:
            self._lanes.add(lane)
            self.changes.append(("job", lane.value))

    def note(
        self,
        event: str,
        actor: Actor,
        subject: str,
        details: Mapping[str, JsonValue] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Write an audit entry for something that is no transition, and signal its subject."""
        self.audit.add(AuditEntry(event, actor, subject, request_id, details or {}))
        kind, _, name = subject.partition(":")
        self.changes.append((kind, name))
