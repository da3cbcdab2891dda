"""Requests, their votes, attempts, results and idempotency keys."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, bindparam, func, insert, literal_column, or_, select, update

from app.clock import time_part
from app.core.errors import VersionMismatch
from app.core.instant import Instant, plus
from app.core.policy import Effect
from app.core.request import Ballot, Choice, Request, Status, Vote, evolve
from app.core.routing import Assurance
from app.store.policies import REVISION
from app.store.request_due import BEGINNING, DUE, PENDING
from app.store.request_filter import RequestFilter, page_of, parameters
from app.store.request_rows import T, changes_to_row, flat, from_row
from app.store.sql import Sql, table_of
from app.store.tables import AttemptRow, IdempotencyRow, VoteRow
from app.store.tables_bundles import RequestItemRow

if TYPE_CHECKING:
    from app.store.tx import Tx

V = table_of(VoteRow)
A = table_of(AttemptRow)
B = table_of(RequestItemRow)
I = table_of(IdempotencyRow)  # noqa: E741 - the initial of its table, like the others

_ALL: Final = tuple(T.columns)
_SHAPES: Final = 128
_VERSIONS: Final = (T.c.id, T.c.version)
_INSERT: Final = Sql(insert(T), flat=flat)
_GET: Final = Sql(select(T).where(T.c.id == bindparam("id")))
_HEAD: Final = Sql(select(T.c.version, T.c.agent_id, T.c.kind).where(T.c.id == bindparam("id")))
_LOCK: Final = Sql(select(T).where(T.c.id == bindparam("id")), suffix={"postgresql": " FOR UPDATE"})
_PENDING: Final = Sql(
    select(T.c.id)
    .where(T.c.agent_id == bindparam("agent_id"), T.c.status == "pending")
    .limit(1)
    .offset(bindparam("most"))
)
_EXECUTING: Final = Sql(
    select(func.count(), REVISION).where(
        T.c.agent_id == bindparam("agent_id"), T.c.status == "executing",
        T.c.effect == bindparam("effect"),
    )
)  # fmt: skip
_EXECUTING_NOW: Final = Sql(
    select(T.c.agent_id, func.count())
    .where(T.c.status == literal_column("'executing'"), T.c.effect == bindparam("effect"))
    .group_by(T.c.agent_id)
)
_BEGUN: Final = Sql(
    select(T.c.id, T.c.digest).where(
        bindparam("beginning") == BEGINNING,
        T.c.agent_id == bindparam("agent_id"),
        T.c.status == PENDING,
        T.c.expires_at > bindparam("now"),
    ),
    index="ix_requests_identical",
)
"""A whole digest in the statement would keep SQLite from looking the beginning up."""
_COUNTERS: Final = Sql(
    select(T.c.status, func.count())
    .where(T.c.agent_id == bindparam("agent_id"), T.c.id >= bindparam("since"))
    .group_by(T.c.status)
)
_WINDOWS: Final = {"minute": 60, "hour": 3600, "day": 86400}
_HELD: Final = update(T).where(
    T.c.id == bindparam("b_id"),
    T.c.fence == bindparam("b_fence"),
    T.c.status == "executing",
    T.c.lease_until > bindparam("b_now"),
)
_SENT: Final = Sql(_HELD.values(sent_at=bindparam("sent_at")))
_RENEW: Final = Sql(_HELD.values(lease_until=bindparam("lease_until")))
_VOTE: Final = Sql(insert(V), flat=tuple)
_VOTED: Final = Sql(
    select(V.c.choice).where(
        V.c.request_id == bindparam("request_id"), V.c.person_id == bindparam("person_id")
    )
)
_VOTES: Final = Sql(
    select(V).where(V.c.request_id == bindparam("request_id")).order_by(V.c.cast_at)
)
_CLAIMED: Final = Sql(insert(A))
_EVIDENCE: Final = Sql(
    update(A)
    .where(A.c.request_id == bindparam("b_id"), A.c.fence == bindparam("b_fence"))
    .values({name: bindparam(name) for name in ("sent_at", "finished_at", "evidence")})
)
_IDEMPOTENT: Final = Sql(
    insert(I), suffix=dict.fromkeys(("sqlite", "postgresql"), " ON CONFLICT DO NOTHING")
)
_USED: Final = Sql(
    select(I.c.fingerprint, I.c.request_id).where(
        I.c.agent_id == bindparam("agent_id"), I.c.token == bindparam("token")
    )
)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


def _effect(*, by_people: bool) -> str:
    return (Effect.REVIEW if by_people else Effect.ALLOW).value


@lru_cache(_SHAPES)
def _updating(names: tuple[str, ...]) -> Sql:
    """Return the statement that writes these columns; each column that it names costs time."""
    return Sql(
        update(T)
        .where(T.c.id == bindparam("b_id"), T.c.version == bindparam("b_version"))
        .values({name: bindparam(name) for name in names})
    )


def _place(fresh: list[Request], request_id: str) -> int | None:
    """Return where a request stands among those that are not written yet."""
    for place in range(len(fresh) - 1, -1, -1):
        if fresh[place].id == request_id:
            return place
    return None


class Requests:
    """The requests of one transaction or read."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, request_id: str) -> Request | None:
        """Return a request, or None."""
        row = self._tx.run(_GET, {"id": request_id}).fetchone()
        return None if row is None else from_row(row)

    def head(self, request_id: str) -> tuple[int, str, str] | None:
        """Return version, agent and kind of a request, or None."""
        row = self._tx.run(_HEAD, {"id": request_id}).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def lock(self, request_id: str) -> Request | None:
        """Return a request that nobody else can change until this transaction ends, or None."""
        row = self._tx.run(_LOCK, {"id": request_id}).fetchone()
        self._tx.tick()
        return None if row is None else from_row(row)

    def insert(self, request: Request) -> None:
        """Add a request; it is written with the others of its group."""
        self._tx.defer(_INSERT, request, first=True)
        self._recount(None, request)

    def update(self, before: Request, after: Request) -> None:
        """Write what a transition changed, if nobody else has meanwhile.

        :raises VersionMismatch: when the stored version is not the one stepped from.
        """
        fresh = self._fresh()
        place = _place(fresh, before.id)
        if place is not None and fresh[place].version == before.version:
            fresh[place] = after
            self._recount(before, after)
            return
        changes = changes_to_row(before, after)
        params = {**changes, "b_id": before.id, "b_version": before.version}
        if self._tx.run(_updating(tuple(changes)), params).rowcount != 1:
            raise VersionMismatch
        self._recount(before, after)

    def _recount(self, before: Request | None, after: Request) -> None:
        """Keep the number of those that are carried out right."""
        was = before is not None and before.status is Status.EXECUTING
        difference = (after.status is Status.EXECUTING) - was
        if difference:
            self._tx.recount((after.agent_id, after.effect.value), difference)

    def _fresh(self) -> list[Request]:
        """Return the requests that this transaction adds and has not written yet."""
        return self._tx.deferred(_INSERT)

    def has_pending(self, agent_id: str, most: int) -> bool:
        """Whether an agent has at least ``most`` (1 or more) pending requests."""
        waiting = sum(
            fresh.agent_id == agent_id and fresh.status is Status.PENDING for fresh in self._fresh()
        )
        left = most - 1 - waiting
        if left < 0:
            return True
        params = {"agent_id": agent_id, "most": left}
        return self._tx.run(_PENDING, params, blind=True).fetchone() is not None

    def names_target(self, target_id: str) -> bool:
        """Whether an open request names this target."""
        calls = select(B.c.request_id).where(B.c.target_id == target_id)
        statement = select(T.c.id).where(
            or_(T.c.target_id == target_id, T.c.id.in_(calls)),
            T.c.status.in_(("pending", "approved", "executing")),
        )
        return self._tx.query(statement.limit(1)).first() is not None

    def counters(self, agent_id: str) -> dict[str, int]:
        """Return the counters that policies may look at.

        ``agent_pending``, and for the last minute, hour and day ``agent_minute``, ``agent_hour``
        and ``agent_day``: how many requests the agent made, and ``agent_hour_denied`` of them.
        """
        found: dict[str, int] = {}
        for name, seconds in _WINDOWS.items():
            since = f"req_{time_part(plus(self._tx.now, -seconds))}"
            rows = self._tx.run(_COUNTERS, {"agent_id": agent_id, "since": since}).fetchall()
            counts = {str(row[0]): int(row[1]) for row in rows}
            found[f"agent_{name}"] = sum(counts.values())
            found[f"agent_{name}_denied"] = counts.get("denied", 0)
        found["agent_pending"] = self.counts(agent_id).get(Status.PENDING, 0)
        return found

    def find(self, wanted: RequestFilter, limit: int) -> list[Request]:
        """Return a page, newest first (or the next newer ones, when ``after`` is given)."""
        found = [from_row(row) for row in self._page(_ALL, wanted, limit)]
        return found[::-1] if wanted.after else found

    def find_versions(self, wanted: RequestFilter, limit: int) -> list[tuple[str, int]]:
        """Return (id, version) of a page, in the order of ``find``."""
        found: list[tuple[str, int]] = self._page(_VERSIONS, wanted, limit)
        return found[::-1] if wanted.after else found

    def _page(
        self, columns: tuple[Column[Any], ...], wanted: RequestFilter, limit: int
    ) -> list[Any]:
        params = parameters(wanted)
        sql = page_of(columns, tuple(params))
        return self._tx.run(sql, {**params, "most": limit}).fetchall()

    def many(self, ids: Sequence[str]) -> list[Request]:
        """Return the requests with these ids, in no particular order."""
        return [from_row(row) for row in self._tx.query(select(T).where(T.c.id.in_(ids)))]

    def due(self, what: str, now: Instant, most: int) -> list[str]:
        """Return ids for a sweep: ``expire``, ``lapse`` (grant over) or ``lose`` (lease over)."""
        rows = self._tx.run(DUE[what], {"now": now, "most": most}).fetchall()
        return [str(row[0]) for row in rows]

    def counts(self, agent_id: str | None = None) -> dict[Status, int]:
        """Return how many requests stand in each unfinished status."""
        open_ones = ("pending", "approved", "executing", "unknown")
        statement = select(T.c.status, func.count()).where(T.c.status.in_(open_ones))
        if agent_id is not None:
            statement = statement.where(T.c.agent_id == agent_id)
        return {
            Status(row[0]): int(row[1]) for row in self._tx.query(statement.group_by(T.c.status))
        }

    def executing(self, agent_id: str, *, by_people: bool) -> int:
        """Return how many of an agent's requests are being carried out.

        :param by_people: whether to count those that people approved, or the others.
        """
        return self._tx.counted(
            (agent_id, _effect(by_people=by_people)),
            lambda: self.running(agent_id, by_people=by_people)[0],
        )

    def running(self, agent_id: str, *, by_people: bool) -> tuple[int, int]:
        """Return the same, and by the way the revision of the policies in force."""
        params = {"agent_id": agent_id, "effect": _effect(by_people=by_people)}
        unwritten = sum(
            fresh.agent_id == agent_id and fresh.status is Status.EXECUTING
            and fresh.effect.value == params["effect"]
            for fresh in self._fresh()
        )  # fmt: skip
        count, revision = self._tx.run(_EXECUTING, params, blind=True).fetchone()
        return unwritten + int(count), int(revision or 0)

    def executing_now(self, *, by_people: bool) -> dict[str, int]:
        """Return the same of every agent that has any."""
        rows = self._tx.run(_EXECUTING_NOW, {"effect": _effect(by_people=by_people)}).fetchall()
        return {str(row[0]): int(row[1]) for row in rows}

    def identical(self, agent_id: str, digest: str, now: Instant) -> Request | None:
        """Return an undecided request of the agent for exactly the same, or None."""
        params = {"agent_id": agent_id, "beginning": digest[:16], "now": now}
        here = any(fresh.digest == digest for fresh in self._fresh())
        rows = self._tx.run(_BEGUN, params, blind=not here).fetchall()
        same = next((row[0] for row in rows if row[1] == digest), None)
        return None if same is None else self.get(same)

    # --- votes ---

    def add_vote(self, vote: Vote) -> None:
        """Count a ballot; it is written with the others of its group."""
        cast = vote.ballot
        self._tx.defer(
            _VOTE,
            (
                vote.request_id,
                vote.person_id,
                cast.choice.value,
                cast.digest,
                cast.comment,
                cast.channel,
                vote.cast_at,
                int(cast.assurance),
                cast.display,
                ",".join(map(str, cast.excluded)),
            ),
        )

    def has_voted(self, request_id: str, person_id: str) -> bool:
        """Whether this person has voted on this request."""
        params = {"request_id": request_id, "person_id": person_id}
        return self._tx.run(_VOTED, params).fetchone() is not None

    def votes(self, request_id: str) -> list[Vote]:
        """Return the votes of a request, oldest first."""
        rows = self._tx.run(_VOTES, {"request_id": request_id}).fetchall()
        return [
            Vote(str(r[0]), str(r[1]),
                 Ballot(Choice(r[2]), r[3], r[4], r[5], Assurance(r[7]), r[8], _numbers(r[9])),
                 Instant(r[6]))
            for r in rows
        ]  # fmt: skip

    # --- execution ---

    def add_attempt(self, request: Request, now: Instant) -> None:
        """Write down a claim; it is committed before anything is done with it."""
        self._tx.defer(
            _CLAIMED,
            {
                "request_id": request.id,
                "fence": request.fence,
                "worker": request.worker,
                "claimed_at": now,
                "sent_at": None,
                "finished_at": None,
                "evidence": "",
            },
        )

    def mark_sent(self, request_id: str, fence: int, now: Instant) -> bool:
        """Write that bytes are about to leave; False when this holder is stale."""
        fresh = self._fresh()
        place = _place(fresh, request_id)
        if place is not None and fresh[place].fence == fence:
            fresh[place] = evolve(fresh[place], {"sent_at": now})
            return True
        params = {"b_id": request_id, "b_fence": fence, "b_now": now, "sent_at": now}
        return self._tx.run(_SENT, params).rowcount == 1

    def renew(self, request_id: str, fence: int, now: Instant, until: Instant) -> bool:
        """Let a lease last until then; False when it is over or somebody else's."""
        params = {"b_id": request_id, "b_fence": fence, "b_now": now, "lease_until": until}
        return self._tx.run(_RENEW, params).rowcount == 1

    def keep_evidence(
        self, request_id: str, fence: int, now: Instant, sent_at: Instant | None, evidence: str
    ) -> None:
        """Keep what a holder reported about its attempt, stale or not."""
        self._tx.run(
            _EVIDENCE,
            {
                "b_id": request_id,
                "b_fence": fence,
                "sent_at": sent_at,
                "finished_at": now,
                "evidence": evidence,
            },
        )

    # --- idempotency ---

    def remember(self, agent_id: str, token: str, fingerprint: str, request_id: str) -> bool:
        """Take an Idempotency-Key for a request; False when it was taken before."""
        params = {
            "agent_id": agent_id,
            "token": token,
            "fingerprint": fingerprint,
            "request_id": request_id,
            "created_at": self._tx.now,
        }
        return self._tx.run(_IDEMPOTENT, params).rowcount == 1

    def recall(self, agent_id: str, token: str) -> tuple[str, str] | None:
        """Return fingerprint and request id of a used Idempotency-Key, or None."""
        row = self._tx.run(_USED, {"agent_id": agent_id, "token": token}).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def drop_idempotency(self, before: Instant) -> int:
        """Forget the Idempotency-Keys used before an instant."""
        return self._tx.query(I.delete().where(I.c.created_at < before)).rowcount
