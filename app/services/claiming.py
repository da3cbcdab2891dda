"""What a worker or a door holds while it carries a request out, and what it leaves behind."""

from dataclasses import dataclass

from app.core import events as ev
from app.core.action import Kind, Submission
from app.core.audit import SYSTEM
from app.core.execution import Refusal, plan_of, ssh_plan_of
from app.core.instant import Instant
from app.core.lifecycle import step
from app.core.outcome import Content, HttpResult, Plan
from app.core.request import Request, evolve
from app.core.targets import Target
from app.services.handles import Sealed
from app.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request under this worker's lease, with all that its execution needs.

    :ivar plan: what its executor is handed.
    :ivar content: its body, where a door has it at hand.
    :ivar sealed: what the vault adds, where the claim has read it.
    """

    request: Request
    submission: Submission
    target: Target
    began: Instant
    plan: Plan
    content: Content | None = None
    sealed: Sealed | None = None


def refused(tx: Tx, request: Request, refusal: Refusal) -> None:
    """Withdraw a request that may not be carried out any more."""
    event = ev.Cancel(actor=SYSTEM, code=refusal.code, note=refusal.note)
    tx.record(step(request, event, tx.now))


def plan_for(submission: Submission, target: Target, request_id: str) -> Plan:
    """Return what is handed to the executor of an action's kind."""
    if submission.action.kind is Kind.SSH:
        return ssh_plan_of(submission, target, request_id)
    return plan_of(submission, target)


def as_left(request: Request, event: ev.Event, result: HttpResult | None) -> Request:
    """Return a request as its holder left it: what provably did not start was not sent."""
    not_started = isinstance(event, ev.Fail) and result is None
    return evolve(request, {"sent_at": None}) if not_started else request


def keep_evidence(tx: Tx, claimed: Claimed, event: ev.Event, sent_at: Instant | None) -> None:
    """Keep what a holder reports, whatever becomes of it."""
    summary = event.outcome if isinstance(event, ev.Succeed | ev.Fail | ev.Lose) else ""
    request = claimed.request
    tx.requests.keep_evidence(request.id, request.fence, tx.now, sent_at, summary or "")
