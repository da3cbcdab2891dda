"""The life of a request: one table, and ``step``, the only way to another status.

``step`` decides and does nothing: it returns a Transition, which ``Tx.record`` writes in one
database transaction. Rows for the same source and event have mutually exclusive guards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from msgspec import Struct

from app.core import events as ev
from app.core.action import Kind
from app.core.audit import Actor, AuditEntry
from app.core.canonical import canonical
from app.core.errors import AlreadyDecided, IllegalTransition, RequestExpired
from app.core.instant import Instant, plus
from app.core.jobs import Job, JobKind, backoff
from app.core.json_types import JsonValue
from app.core.policy import Effect
from app.core.request import Request, Status, Vote, evolve

Guard = Callable[[Request, ev.Event, Instant], bool]

_UNANSWERED: Final = "Nobody decided in time."

MAX_ATTEMPTS: Final = 3
"""Claims of one request, first included, when a try failed or a repeat is harmless."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: an event that leads from ``source`` to ``target`` under a guard."""

    number: int
    source: Status | None
    event: type[ev.Event]
    guard: Guard
    target: Status
    jobs: tuple[JobKind, ...] = ()


class Transition(Struct, frozen=True):
    """A step taken: what is to be written together, in one transaction."""

    row: int
    before: Request | None
    after: Request
    now: Instant
    kinds: tuple[JobKind, ...]
    audit: AuditEntry
    vote: Vote | None = None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The work that it leaves behind."""
        return tuple(map(self.job, self.kinds))

    def job(self, kind: JobKind) -> Job:
        """Return the job of a kind; a call that could not be carried out is tried again later."""
        again = self.before is not None and self.before.status is Status.EXECUTING
        after, at = self.after, self.now
        if again and kind in _EXECUTION:
            at = plus(at, backoff(after.attempt))
        return Job(kind, after.id, at, after.agent_id, after.by_people, after.urgency)


def _always(_request: Request, _event: ev.Event, _now: Instant) -> bool:
    return True


def _effect(effect: Effect) -> Guard:
    def guard(request: Request, _event: ev.Event, _now: Instant) -> bool:
        return request.effect is effect

    return guard


def _quorum_met(request: Request, event: ev.Event, now: Instant) -> bool:
    filled = event.filled if isinstance(event, ev.Approve) else 0
    return now < request.expires_at and filled >= request.quorum


def _quorum_open(request: Request, event: ev.Event, now: Instant) -> bool:
    return now < request.expires_at and not _quorum_met(request, event, now)


def _vetoed(request: Request, event: ev.Event, now: Instant) -> bool:
    needed = event.needed if isinstance(event, ev.Deny) else 1
    return now < request.expires_at and request.denials + 1 >= needed


def _veto_open(request: Request, event: ev.Event, now: Instant) -> bool:
    return now < request.expires_at and not _vetoed(request, event, now)


def _step_due(request: Request, _event: ev.Event, now: Instant) -> bool:
    due = request.escalate_at
    return due is not None and due <= now < request.expires_at


def _asks_more(request: Request, event: ev.Event, now: Instant) -> bool:
    return _step_due(request, event, now) and not _ladder_ends(request, event, now)


def _ladder_ends(request: Request, event: ev.Event, now: Instant) -> bool:
    ends = isinstance(event, ev.Escalate) and event.deny
    return ends and _step_due(request, event, now)


def _over(request: Request, _event: ev.Event, now: Instant) -> bool:
    return now >= request.expires_at


def _grant_over(request: Request, _event: ev.Event, now: Instant) -> bool:
    return request.valid_until is None or now >= request.valid_until


def _claimable(request: Request, event: ev.Event, now: Instant) -> bool:
    return request.kind is not Kind.PLAIN and not _grant_over(request, event, now)


def _lost(request: Request, event: ev.Event, now: Instant) -> bool:
    """The lease is over, or its holder itself gives up."""
    given_up = isinstance(event, ev.Lose) and event.fence == request.fence
    return given_up or request.lease_until is None or now >= request.lease_until


def _repeatable(request: Request, event: ev.Event) -> bool:
    """What was never sent is tried until its grant is over; what was is only when harmless."""
    harmless = isinstance(event, ev.Lose) and event.idempotent
    return request.sent_at is None or (harmless and request.attempt < MAX_ATTEMPTS)


def _lost_for_good(request: Request, event: ev.Event, now: Instant) -> bool:
    return _lost(request, event, now) and not _repeatable(request, event)


def _lost_repeatable(request: Request, event: ev.Event, now: Instant) -> bool:
    return _lost(request, event, now) and _repeatable(request, event)


def _ran(_request: Request, event: ev.Event, _now: Instant) -> bool:
    return isinstance(event, ev.Settle) and event.ran and event.complete


def _did_not_run(request: Request, event: ev.Event, now: Instant) -> bool:
    return isinstance(event, ev.Settle) and not _ran(request, event, now)


def _held(request: Request, event: ev.Event, _now: Instant) -> bool:
    """The holder's fencing number is the stored one, so it is not stale."""
    fits = isinstance(event, ev.Advance | ev.Release | ev.Succeed | ev.Fail)
    return fits and event.fence == request.fence


_TOLD: Final = (JobKind.REFRESH, JobKind.ANNOUNCE)
_EXECUTION: Final = frozenset({JobKind.EXECUTE, JobKind.BUNDLE})

TABLE: Final[tuple[Row, ...]] = (
    Row(1, None, ev.Submit, _effect(Effect.ALLOW), Status.APPROVED,
        (JobKind.EXECUTE, JobKind.ANNOUNCE)),
    Row(2, None, ev.Submit, _effect(Effect.DENY), Status.DENIED, (JobKind.ANNOUNCE,)),
    Row(3, None, ev.Submit, _effect(Effect.REVIEW), Status.PENDING,
        (JobKind.NOTIFY, JobKind.ANNOUNCE)),
    Row(4, Status.PENDING, ev.Approve, _quorum_open, Status.PENDING, (JobKind.REFRESH,)),
    Row(5, Status.PENDING, ev.Approve, _quorum_met, Status.APPROVED,
        (*_TOLD, JobKind.EXECUTE)),
    Row(6, Status.PENDING, ev.Deny, _vetoed, Status.DENIED, _TOLD),
    Row(6, Status.PENDING, ev.Deny, _veto_open, Status.PENDING, (JobKind.REFRESH,)),
    Row(7, Status.PENDING, ev.Escalate, _asks_more, Status.PENDING,
        (JobKind.NOTIFY, JobKind.ANNOUNCE)),
    Row(7, Status.PENDING, ev.Escalate, _ladder_ends, Status.DENIED, _TOLD),
    Row(8, Status.PENDING, ev.Expire, _over, Status.EXPIRED, _TOLD),
    Row(9, Status.PENDING, ev.Cancel, _always, Status.CANCELLED, _TOLD),
    Row(10, Status.APPROVED, ev.Claim, _claimable, Status.EXECUTING),
    Row(11, Status.APPROVED, ev.Expire, _grant_over, Status.EXPIRED, _TOLD),
    Row(12, Status.APPROVED, ev.Cancel, _always, Status.CANCELLED, _TOLD),
    Row(13, Status.EXECUTING, ev.Release, _held, Status.APPROVED, (JobKind.EXECUTE,)),
    Row(14, Status.EXECUTING, ev.Succeed, _held, Status.SUCCEEDED, _TOLD),
    Row(15, Status.EXECUTING, ev.Fail, _held, Status.FAILED, _TOLD),
    Row(16, Status.EXECUTING, ev.Lose, _lost_for_good, Status.UNKNOWN,
        (*_TOLD, JobKind.ALARM)),
    Row(17, Status.EXECUTING, ev.Lose, _lost_repeatable, Status.APPROVED,
        (JobKind.EXECUTE,)),
    Row(18, Status.UNKNOWN, ev.Settle, _ran, Status.SUCCEEDED, _TOLD),
    Row(18, Status.UNKNOWN, ev.Settle, _did_not_run, Status.FAILED, _TOLD),
    Row(19, Status.EXECUTING, ev.Advance, _held, Status.EXECUTING),
)  # fmt: skip

_INDEX: Final[dict[tuple[Status | None, type[ev.Event]], tuple[Row, ...]]] = {
    (row.source, row.event): tuple(
        other for other in TABLE if (other.source, other.event) == (row.source, row.event)
    )
    for row in TABLE
}


def open_request(
    request: Request, actor: Actor, now: Instant, *, inline: bool = False
) -> Transition:
    """Return the first transition of a request, rows 1 to 3.

    :param request: the request as submitted; its status field is set here.
    :param inline: the door executes it by itself at once, so no job is needed.
    """
    event = ev.Submit(actor=actor, inline=inline)
    row = _pick(None, request, event, now)
    after = evolve(request, {**_EFFECTS[ev.Submit](request, event, now), "status": row.target})
    return _transition(row, None, after, event, now)


def step(request: Request, event: ev.Event, now: Instant) -> Transition:
    """Return the transition that the event causes.

    :param now: the database's time of the transaction that will record it.
    :raises AlreadyDecided: a vote on a request that is decided.
    :raises RequestExpired: a vote after ``expires_at``.
    :raises IllegalTransition: any other event that has no row here.
    """
    row = _pick(request.status, request, event, now)
    changes = _EFFECTS[type(event)](request, event, now)
    after = evolve(request, {**changes, "status": row.target, "version": request.version + 1})
    return _transition(row, request, after, event, now)


def _pick(source: Status | None, request: Request, event: ev.Event, now: Instant) -> Row:
    for row in _INDEX.get((source, type(event)), ()):
        if row.guard(request, event, now):
            return row
    raise _refusal(source, request, event)


def _refusal(source: Status | None, request: Request, event: ev.Event) -> Exception:
    extra = {"status": request.status.value, "decided_by": request.decided_by}
    if isinstance(event, ev.Approve | ev.Deny):
        if source in (Status.PENDING, Status.EXPIRED):
            return RequestExpired(extra=extra)
        return AlreadyDecided(f"The request is already {request.status.value}.", extra=extra)
    return IllegalTransition(
        f"A request that is {request.status.value} cannot take "
        f"'{type(event).__name__.lower()}' now.",
        extra=extra,
    )


def _transition(
    row: Row, before: Request | None, after: Request, event: ev.Event, now: Instant
) -> Transition:
    return Transition(
        row=row.number,
        before=before,
        after=after,
        now=now,
        kinds=_kinds(row.jobs, after.kind, isinstance(event, ev.Submit) and event.inline),
        audit=AuditEntry(
            event=f"request.{_audit_name(row, event)}",
            actor=event.actor,
            subject=f"request:{after.id}",
            request_id=after.id,
            details=_details(row, before, after, event),
        ),
        vote=_vote(after, event, now),
    )


@cache
def _kinds(kinds: tuple[JobKind, ...], kind: Kind, inline: bool) -> tuple[JobKind, ...]:  # noqa: FBT001
    if kind is Kind.PLAIN or inline:
        return tuple(one for one in kinds if one is not JobKind.EXECUTE)
    run = JobKind.BUNDLE if kind is Kind.BUNDLE else JobKind.EXECUTE
    return tuple(run if one is JobKind.EXECUTE else one for one in kinds)


def _audit_name(row: Row, event: ev.Event) -> str:
    if isinstance(event, ev.Approve | ev.Deny) and row.target is Status.PENDING:
        return "voted"
    return event.past


def _details(
    row: Row, before: Request | None, after: Request, event: ev.Event
) -> dict[str, JsonValue]:
    return {
        "row": row.number,
        "from": before.status.value if before else None,
        "to": after.status.value,
        "digest": after.digest,
        **event.details(),
    }


def _vote(after: Request, event: ev.Event, now: Instant) -> Vote | None:
    if not isinstance(event, ev.Approve | ev.Deny):
        return None
    return Vote(after.id, event.actor.id, event.ballot, now)


# --- what each event changes -------------------------------------------------------------------

Changes = dict[str, object]


def _granted(request: Request, by: str, comment: str, now: Instant) -> Changes:
    until = plus(now, request.valid_for)
    return {"decided_at": now, "decided_by": by, "comment": comment, "valid_until": until}


def _submit(request: Request, _event: ev.Event, now: Instant) -> Changes:
    by = request.decided_by or "policy:-"
    if request.effect is Effect.ALLOW:
        return _granted(request, by, "", now)
    if request.effect is Effect.DENY:
        return {"decided_at": now, "decided_by": by}
    seconds = request.plan.after(0) if request.route else None
    return {} if seconds is None else {"escalate_at": plus(now, seconds)}


def _approve(request: Request, event: ev.Event, now: Instant) -> Changes:
    assert isinstance(event, ev.Approve)
    if event.filled < request.quorum:
        return {"approvals": event.filled}
    granted = _granted(request, event.actor.reference, event.ballot.comment, now)
    return {"approvals": event.filled, "escalate_at": None, **granted}


def _deny(request: Request, event: ev.Event, now: Instant) -> Changes:
    assert isinstance(event, ev.Deny)
    denials = {"denials": request.denials + 1}
    if request.denials + 1 < event.needed:
        return dict(denials)
    by, comment = event.actor.reference, event.ballot.comment
    return {**denials, "decided_at": now, "decided_by": by, "comment": comment, "escalate_at": None}


def _escalate(request: Request, event: ev.Event, now: Instant) -> Changes:
    assert isinstance(event, ev.Escalate)
    later = None if event.seconds is None else plus(now, event.seconds)
    changes: Changes = {"stage": request.stage + 1, "escalate_at": later}
    if event.deny:
        changes |= {"decided_at": now, "decided_by": event.actor.reference, "comment": _UNANSWERED}
    return changes


def _finish(request: Request, event: ev.Event, now: Instant) -> Changes:
    outcome = event.outcome if isinstance(event, ev.Succeed | ev.Fail | ev.Settle) else None
    return {
        "finished_at": now, "lease_until": None, "worker": None,
        "outcome": outcome or request.outcome,
    }  # fmt: skip


def _close(_request: Request, event: ev.Event, now: Instant) -> Changes:
    changes: Changes = {"finished_at": now, "escalate_at": None}
    if isinstance(event, ev.Cancel) and event.note:
        told = canonical({"code": event.code, "detail": event.note})
        changes["outcome"] = told.decode()
    return changes


def _claim(request: Request, event: ev.Event, now: Instant) -> Changes:
    assert isinstance(event, ev.Claim)
    return {
        "attempt": request.attempt + 1,
        "fence": request.fence + 1,
        "worker": event.worker,
        "lease_until": plus(now, event.lease_seconds),
        "sent_at": None,
    }


def _advance(request: Request, event: ev.Event, now: Instant) -> Changes:
    assert isinstance(event, ev.Advance)
    return {"lease_until": plus(now, event.lease_seconds), "sent_at": None,
            "outcome": event.outcome or request.outcome}  # fmt: skip


def _give_back(request: Request, event: ev.Event, _now: Instant) -> Changes:
    outcome = event.outcome if isinstance(event, ev.Release | ev.Lose) else None
    return {"worker": None, "lease_until": None, "outcome": outcome or request.outcome}


_EFFECTS: Final[dict[type[ev.Event], Callable[[Request, ev.Event, Instant], Changes]]] = {
    ev.Submit: _submit,
    ev.Approve: _approve,
    ev.Deny: _deny,
    ev.Escalate: _escalate,
    ev.Expire: _close,
    ev.Cancel: _close,
    ev.Claim: _claim,
    ev.Advance: _advance,
    ev.Release: _give_back,
    ev.Succeed: _finish,
    ev.Fail: _finish,
    ev.Lose: _give_back,
    ev.Settle: _finish,
}
