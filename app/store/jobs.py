"""The outbox: work that was committed with the transition that caused it."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from app.core.instant import Instant, plus
from app.core.jobs import MAX_TRIES, Job, JobKind, backoff
from app.store.sql import Sql, table_of
from app.store.tables import JobRow

if TYPE_CHECKING:
    from app.store.tx import Tx

J = table_of(JobRow)

_ADD: Final = Sql(
    insert(J).values(
        {
            name: bindparam(name)
            for name in ("kind", "request_id", "run_at", "tries", "dead", "last_error")
        }
    )
)
_DUE = (
    select(J.c.id)
    .where(J.c.run_at <= bindparam("now"), J.c.dead.is_(False))
    .order_by(J.c.run_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = Sql(
    update(J)
    .where(J.c.id.in_(_DUE))
    .values(run_at=bindparam("lease_until"), tries=J.c.tries + 1)
    .returning(J.c.id, J.c.kind, J.c.request_id, J.c.tries)
)
_NEXT: Final = Sql(select(func.min(J.c.run_at)).where(J.c.dead.is_(False)))
_DONE: Final = Sql(delete(J).where(J.c.id == bindparam("id"), J.c.tries == bindparam("tries")))
_RETRY: Final = Sql(
    update(J)
    .where(J.c.id == bindparam("b_id"), J.c.tries == bindparam("b_tries"))
    .values(run_at=bindparam("run_at"), dead=bindparam("dead"), last_error=bindparam("last_error"))
)
_POSTPONE: Final = Sql(
    update(J)
    .where(J.c.id == bindparam("b_id"), J.c.tries == bindparam("b_tries"))
    .values(run_at=bindparam("run_at"), tries=bindparam("tries"))
)


class ClaimedJob:
    """A job under a lease; ``tries`` is the fencing number of this hold."""

    __slots__ = ("id", "kind", "request_id", "tries")

    def __init__(self, job_id: int, kind: JobKind, request_id: str, tries: int) -> None:
        """Hold one claimed job."""
        self.id = job_id
        self.kind = kind
        self.request_id = request_id
        self.tries = tries


class Jobs:
    """The jobs of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def add(self, job: Job) -> None:
        """Add a job; it is written with the others of its group."""
        self._tx.defer(
            _ADD,
            {
                "kind": job.kind.value,
                "request_id": job.request_id,
                "run_at": job.run_at,
                "tries": 0,
                "dead": False,
                "last_error": "",
            },
        )

    def claim(self, most: int, lease_seconds: float) -> list[ClaimedJob]:
        """Take up to ``most`` due jobs; each is due again when its lease is over."""
        now = self._tx.now
        params = {"now": now, "most": most, "lease_until": plus(now, lease_seconds)}
        rows = self._tx.run(_CLAIM, params).fetchall()
        return [ClaimedJob(int(r[0]), JobKind(r[1]), str(r[2]), int(r[3])) for r in rows]

    def done(self, job: ClaimedJob) -> bool:
        """Remove a finished job; False when another worker holds it by now."""
        return self._tx.run(_DONE, {"id": job.id, "tries": job.tries}).rowcount == 1

    def retry(self, job: ClaimedJob, error: str) -> None:
        """Put a failed job back with backoff, or to the dead ones when its tries are used up."""
        self._tx.run(
            _RETRY,
            {
                "b_id": job.id,
                "b_tries": job.tries,
                "run_at": plus(self._tx.now, backoff(job.tries)),
                "dead": job.tries >= MAX_TRIES,
                "last_error": error[:500],
            },
        )

    def postpone(self, job: ClaimedJob, seconds: float) -> None:
        """Put a job back that is not to be done yet; it does not count as a try."""
        later = plus(self._tx.now, seconds)
        params = {"b_id": job.id, "b_tries": job.tries, "run_at": later, "tries": job.tries - 1}
        self._tx.run(_POSTPONE, params)

    def next_at(self) -> Instant | None:
        """Return when the next job is due, or None."""
        row = self._tx.run(_NEXT, {}).fetchone()
        return None if row is None or row[0] is None else Instant(row[0])

    def depth(self) -> dict[str, int]:
        """Return how many jobs wait by kind; the dead ones under ``dead``."""
        rows = self._tx.query(select(J.c.kind, J.c.dead, func.count()).group_by(J.c.kind, J.c.dead))
        found: dict[str, int] = {}
        for kind, dead, count in rows:
            name = "dead" if dead else str(kind)
            found[name] = found.get(name, 0) + int(count)
        return found
