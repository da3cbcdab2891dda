"""The outbox: work that was committed with the transition that caused it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, bindparam, case, delete, func, insert, select, tuple_, update

from app.core.instant import Instant, plus
from app.core.jobs import DEAD_LANE, EXECUTING, MAX_TRIES, Job, JobKind, Lane, backoff
from app.store.first import found_once
from app.store.sql import Sql, table_of
from app.store.tables import JobRow

if TYPE_CHECKING:
    from app.store.tx import Tx

J = table_of(JobRow)

LOOKED_AT: Final = 64
"""Agents of a lane that one claim looks at."""

_LOOKS: Final = 16
"""How often a claim looks at so many agents, while none of them may have more in work."""

_ADD: Final = Sql(
    insert(J).values(
        {
            name: bindparam(name)
            for name in (
                "kind", "request_id", "run_at", "tries", "dead", "last_error", "lane",
                "agent_id", "rank",
            )
        }
    )
)  # fmt: skip
_LANE: Final = J.c.lane == bindparam("lane")
_DUE: Final = (_LANE, J.c.run_at <= bindparam("now"))


def _turns(*begin: ColumnElement[bool]) -> Sql:
    """Return the query for the agents of a lane, each found by one look at the index."""
    first = select(func.min(J.c.agent_id).label("agent_id")).where(_LANE, *begin)
    line = first.cte("line", recursive=True)
    further = select(func.min(J.c.agent_id)).where(_LANE, J.c.agent_id > line.c.agent_id)
    found = line.c.agent_id.is_not(None)
    line = line.union_all(select(further.scalar_subquery()).where(found))
    return Sql(select(line.c.agent_id).where(line.c.agent_id.is_not(None)).limit(bindparam("most")))


_TURNS: Final = _turns()
_LATER_TURNS: Final = _turns(J.c.agent_id > bindparam("after"))
_FIRST = (
    select(J.c.id)
    .where(*_DUE, J.c.agent_id == bindparam("agent_id"))
    .order_by(J.c.rank, J.c.run_at, J.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = Sql(
    update(J)
    .where(J.c.id.in_(found_once(_FIRST)))
    .values(run_at=bindparam("lease_until"), tries=J.c.tries + 1)
    .returning(J.c.id, J.c.kind, J.c.request_id, J.c.tries, J.c.agent_id, J.c.rank)
)
_NEXT: Final = Sql(select(func.min(J.c.run_at)).where(_LANE))
_DONE: Final = Sql(delete(J).where(J.c.id == bindparam("id"), J.c.tries == bindparam("tries")))
_RETRY: Final = Sql(
    update(J)
    .where(J.c.id == bindparam("b_id"), J.c.tries == bindparam("b_tries"))
    .values(
        run_at=bindparam("run_at"),
        dead=bindparam("dead"),
        last_error=bindparam("last_error"),
        lane=case((bindparam("dead"), DEAD_LANE), else_=J.c.lane),
    )
)
_POSTPONE: Final = Sql(
    update(J)
    .where(J.c.id == bindparam("b_id"), J.c.tries == bindparam("b_tries"))
    .values(run_at=bindparam("run_at"), tries=bindparam("tries"))
)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job under a lease.

    :ivar tries: the fencing number of this hold.
    """

    id: int
    kind: JobKind
    request_id: str
    tries: int
    agent_id: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What bounds one agent's part of a lane.

    :ivar limit: jobs of one agent that may be in work at a time.
    :ivar held: how many of each agent's are in work here.
    :ivar after: the agent that had its turn last, if any.
    """

    limit: int
    held: Mapping[str, int]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a lane.

    :ivar due: jobs that could be worked on now.
    :ivar since: when the one was due that waits longest.
    """

    due: int
    since: Instant | None


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
                "lane": job.lane.value,
                "agent_id": job.agent_id,
                "rank": job.rank,
            },
        )

    # --- the worker's side ---

    def take(self, lane: Lane, most: int, lease_seconds: float, share: Share) -> list[ClaimedJob]:
        """Take up to ``most`` due jobs of a lane; each is due again when its lease is over.

        The agents take turns, beginning after the one that ``share`` names. Who has as much in work
        as may be is passed over, so that its jobs stand in nobody's way.
        """
        left = self._left(lane, share)
        taken: list[ClaimedJob] = []
        while left and len(taken) < most:
            each = -((len(taken) - most) // len(left))
            for agent_id in list(left):
                asked = min(each, left[agent_id], most - len(taken))
                if not asked:
                    break
                found = self.claim(lane, agent_id, asked, lease_seconds)
                taken += found
                left[agent_id] -= len(found)
                if len(found) < asked or not left[agent_id]:
                    del left[agent_id]
        return taken

    def _left(self, lane: Lane, share: Share) -> dict[str, int]:
        """Return how many more jobs of each agent may be worked on, in turn."""
        busy: Mapping[str, int] = {}
        if lane in EXECUTING:
            busy = self._tx.requests.executing_now(by_people=lane is Lane.DECIDED)
        found: dict[str, int] = {}
        after, seen = share.after, set[str]()
        for _ in range(_LOOKS):
            names = [name for name in self._turns(lane, after) if name not in seen]
            for name in names:
                left = share.limit - max(share.held.get(name, 0), busy.get(name, 0))
                if left > 0:
                    found[name] = left
            if found or not names:
                break
            seen.update(names)
            after = names[-1]
        return found

    def _turns(self, lane: Lane, after: str | None) -> list[str]:
        """Return agents that have jobs in a lane, in turn from after one."""
        params = {"lane": lane.value, "most": LOOKED_AT}
        later = [] if after is None else self._tx.run(
            _LATER_TURNS, {**params, "after": after}).fetchall()  # fmt: skip
        rows = later if len(later) == LOOKED_AT else later + self._tx.run(_TURNS, params).fetchall()
        return list(dict.fromkeys(str(row[0]) for row in rows))

    def claim(self, lane: Lane, agent_id: str, most: int, lease_seconds: float) -> list[ClaimedJob]:
        """Take up to ``most`` due jobs of an agent; each is due again when its lease is over."""
        now = self._tx.now
        params = {"now": now, "most": most, "lease_until": plus(now, lease_seconds),
                  "lane": lane.value, "agent_id": agent_id}  # fmt: skip
        rows = self._tx.run(_CLAIM, params).fetchall()
        found = [
            ClaimedJob(int(r[0]), JobKind(r[1]), str(r[2]), int(r[3]), str(r[4]), int(r[5]))
            for r in rows
        ]
        return sorted(found, key=lambda job: (job.rank, job.id))

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

    def next_at(self, lane: Lane) -> Instant | None:
        """Return when the next job of a lane is due, or None."""
        row = self._tx.run(_NEXT, {"lane": lane.value}).fetchone()
        return None if row is None or row[0] is None else Instant(row[0])

    def depth(self) -> dict[str, int]:
        """Return how many jobs wait by kind; the dead ones under ``dead``."""
        rows = self._tx.query(select(J.c.kind, J.c.dead, func.count()).group_by(J.c.kind, J.c.dead))
        found: dict[str, int] = {}
        for kind, dead, count in rows:
            name = "dead" if dead else str(kind)
            found[name] = found.get(name, 0) + int(count)
        return found

    # --- looking ---

    def waiting(self) -> dict[Lane, Waiting]:
        """Return what is due in each lane, all of them named."""
        rows = self._tx.query(
            select(J.c.lane, func.count(), func.min(J.c.run_at))
            .where(J.c.lane.in_([lane.value for lane in Lane]), J.c.run_at <= self._tx.now)
            .group_by(J.c.lane)
        )
        found = {Lane(row[0]): Waiting(int(row[1]), Instant(row[2])) for row in rows}
        return {lane: found.get(lane, Waiting(0, None)) for lane in Lane}

    def place(self, request_id: str) -> tuple[Instant, int] | None:
        """Return since when a request's execution is due, and its place among its agent's.

        None when it is not due, or in work.
        """
        now, mine = self._tx.now, J.alias()
        row = self._tx.query(
            select(mine.c.run_at, select(func.count()).select_from(J).where(
                J.c.lane == mine.c.lane, J.c.agent_id == mine.c.agent_id, J.c.run_at <= now,
                tuple_(J.c.rank, J.c.run_at, J.c.id)
                <= tuple_(mine.c.rank, mine.c.run_at, mine.c.id),
            ).scalar_subquery())
            .where(mine.c.request_id == request_id, mine.c.kind == JobKind.EXECUTE.value,
                   mine.c.dead.is_(False), mine.c.run_at <= now)
        ).first()  # fmt: skip
        return None if row is None else (Instant(row[0]), int(row[1]))
