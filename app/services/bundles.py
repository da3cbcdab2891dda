"""Carrying out bundles: one lease, one call after another, each at most once (REQ-8, EXE-1)."""

from dataclasses import dataclass, replace
from typing import Final

import structlog

from app.core import events as ev
from app.core.action import BundleAction, Kind, Submission
from app.core.audit import SYSTEM, Actor, ActorKind
from app.core.bundle import (
    CallStatus,
    become,
    bundle_of,
    call_of,
    consequences,
    excluded_by,
    goes_on,
    left_to_run,
    summary,
    whole,
    with_status,
)
from app.core.canonical import canonical
from app.core.errors import IllegalTransition
from app.core.execution import (
    Refusal,
    plan_of,
    reported,
    verify_parties,
    verify_payload,
    verify_permission,
    verify_target,
)
from app.core.instant import plus
from app.core.jobs import Postponed
from app.core.json_types import JsonValue
from app.core.lifecycle import MAX_ATTEMPTS, step
from app.core.outcome import Ambiguous, HttpResult, NotStarted, Outcome
from app.core.request import Request, Status
from app.services.breakers import Stopped
from app.services.execution import UNAUTHORIZED, Claimed, Execution
from app.services.handles import verify_handles
from app.services.masks import kept_back
from app.services.results import ITEM_RESULT, pack
from app.store.tx import Tx

ADVANCED: Final = "request.advanced"
_HTTP: Final = Kind.HTTP.value
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a bundle under this worker's lease."""

    number: int
    claimed: Claimed

    @property
    def id(self) -> str:
        """What its result is sealed for: the request's id and the number."""
        return f"{self.claimed.request.id}/{self.number}"


@dataclass(frozen=True, slots=True)
class Work:
    """A bundle under this worker's lease, and the calls that are left."""

    request: Request
    bundle: BundleAction
    calls: tuple[Call, ...]
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What came of trying a call; ``WAITING`` when it is to be tried again."""

    became: CallStatus
    outcome: str
    result: HttpResult | None = None


@dataclass(frozen=True, slots=True)
class Bundles:
    """Runs approved bundles, each call of them at most once."""

    execution: Execution

    async def run(self, request_id: str) -> None:
        """Carry out an approved bundle; do nothing when it is not (or no longer) approved."""
        await self.execution.policies.refresh()
        store = self.execution.store
        request = await store.read(lambda tx: tx.requests.get(request_id))
        if request is None:
            return
        with self.execution.crowd.inside(request):
            claimed = await store.write(lambda tx: self.claim(tx, request_id), order=request_id)
            if isinstance(claimed, Postponed):
                raise claimed
            if claimed is not None:
                await self.carry_out(claimed)

    # --- claim ---

    def claim(self, tx: Tx, request_id: str) -> Work | Postponed | None:
        """Take the bundle under a lease, or refuse it for good, in one transaction."""
        request = tx.requests.lock(request_id)
        if request is None or request.status is not Status.APPROVED:
            return None
        if request.kind is not Kind.BUNDLE:
            return None
        if wait := self.execution.held_up(tx, request):
            return wait
        try:
            work = self._verify(tx, request)
        except Refusal as refusal:
            event = ev.Cancel(actor=SYSTEM, code=refusal.code, note=refusal.note)
            tx.record(step(request, event, tx.now))
            return None
        if wait := self.execution.breakers.admit(tx, work.calls[0].claimed.target):
            return Stopped(wait)
        return self._taken(tx, work)

    def _taken(self, tx: Tx, work: Work) -> Work | None:
        worker = self.execution.worker
        claim = ev.Claim(actor=self._actor(), worker=worker, lease_seconds=work.lease_seconds)
        try:
            transition = step(work.request, claim, tx.now)
        except IllegalTransition:
            tx.record(step(work.request, ev.Expire(actor=SYSTEM), tx.now))
            return None
        after = tx.record(transition)
        left = {call.number for call in work.calls}
        out = {state.number for state in tx.bundles.of(after.id)
               if state.status is CallStatus.WAITING and state.number not in left}  # fmt: skip
        tx.bundles.leave_out(after.id, out, after.fence)
        held = (replace(call, claimed=replace(call.claimed, request=after)) for call in work.calls)
        return replace(work, request=after, calls=tuple(held))

    def _verify(self, tx: Tx, request: Request) -> Work:
        """Check all that was checked before, of the bundle and of every call that is left.

        :raises Refusal: something does not hold any more.
        """
        votes = tx.requests.votes(request.id)
        submission = verify_payload(request, votes)
        bundle = bundle_of(submission)
        verify_parties(tx.agents.get(request.agent_id), tx.agents.key(request.key_id), tx.now)
        trail = tx.audit.of_request(request.id)
        advanced = [record.details["number"] for record in trail if record.event == ADVANCED]
        states = tx.bundles.of(request.id)
        left = left_to_run(bundle, states, excluded_by(votes), advanced)
        calls = tuple(self._call(tx, request, submission, number) for number in left)
        self.execution.verify_policies(tx, request, submission, left)
        return Work(request, bundle, calls, max(self._lease(call) for call in calls))

    def _lease(self, call: Call) -> float:
        """Return the seconds of a lease for one call; what runs longer has it renewed."""
        limits = call.claimed.target.settings
        return limits.connect_seconds + limits.total_seconds + self.execution.settings.lease_margin

    def _call(self, tx: Tx, request: Request, submission: Submission, number: int) -> Call:
        one = call_of(submission, number)
        target = verify_target(one, tx.targets.get(one.target.id if one.target else ""))
        verify_permission(one, tx.agents.key(request.key_id))
        plan = plan_of(one, target)
        verify_handles(tx, one, target)
        return Call(number, Claimed(request, one, target, tx.now, plan))

    # --- run ---

    async def carry_out(self, work: Work) -> None:
        """Carry out the calls in order, until one says that it ends here."""
        for place, call in enumerate(work.calls):
            held_up = place > 0 and await self._stopped(call)
            report = _held_up(call) if held_up else await self._attempt(call)
            more = await self.execution.store.write(
                lambda tx, call=call, report=report: self._finish(tx, work, call, report),
                order=work.request.id,
            )
            if not more:
                return

    async def _stopped(self, call: Call) -> bool:
        """Whether the breaker of the call's target does not let it through now."""
        breakers, target = self.execution.breakers, call.claimed.target
        if target.id not in breakers.open:
            return False
        return await self.execution.store.write(lambda tx: breakers.admit(tx, target)) > 0

    async def _attempt(self, call: Call) -> Report:
        claimed, execution = call.claimed, self.execution
        began = execution.clock.now()
        try:
            outcome = await self._execute(call)
        except NotStarted as problem:
            await execution.breakers.failed(claimed.target, claimed.request.agent_id, problem)
            again = problem.retryable and claimed.request.attempt < MAX_ATTEMPTS
            became = CallStatus.WAITING if again else CallStatus.FAILED
            return Report(became, _problem(call, problem))
        except Ambiguous as problem:
            await execution.breakers.failed(claimed.target, claimed.request.agent_id, problem)
            return Report(CallStatus.UNKNOWN, _problem(call, problem))
        await execution.breakers.answered(claimed.target, claimed.request.agent_id, outcome)
        if outcome.result.status == UNAUTHORIZED:
            await execution.vault.rejected(claimed.target, began)
        event = reported(outcome, claimed.request.fence, SYSTEM)
        became = CallStatus.SUCCEEDED if outcome.succeeded else CallStatus.FAILED
        return Report(became, _summary_of(event), outcome.result)

    async def _execute(self, call: Call) -> Outcome:
        claimed, execution = call.claimed, self.execution
        injection = await execution.inject(claimed)
        plan = plan_of(claimed.submission, claimed.target)
        with execution.leases.keeping(claimed.request, self._lease(call), _unheard):
            outcome = await execution.executors[_HTTP].execute(
                plan, injection, lambda: self._mark(call)
            )
        return await kept_back(outcome, claimed.request.verdict)

    async def _mark(self, call: Call) -> None:
        """Write that bytes of this call are about to leave, if nothing speaks against it by now."""
        refusal = await self.execution.store.write(
            lambda tx: self._mark_sent(tx, call), order=call.claimed.request.id
        )
        if refusal is not None:
            again = refusal.code == "lease_lost"
            raise NotStarted(refusal.code, refusal.note, retryable=again)

    def _mark_sent(self, tx: Tx, call: Call) -> Refusal | None:
        """Look once more at what may have changed since the claim, and commit to this call."""
        request, number = call.claimed.request, call.number
        try:
            verify_parties(tx.agents.get(request.agent_id), tx.agents.key(request.key_id), tx.now)
            target = tx.targets.get(call.claimed.target.id)
            verify_target(call.claimed.submission, target)
        except Refusal as refusal:
            return refusal
        if request.valid_until is None or tx.now >= request.valid_until:
            return Refusal("grant_over", "The approval was over before this call was sent.")
        state = tx.bundles.get(request.id, number)
        if state is None or state.status is not CallStatus.WAITING:
            return Refusal("calls_changed", "The call does not wait any more.")
        if not tx.requests.mark_sent(request.id, request.fence, tx.now):
            return Refusal("lease_lost", "The lease was over before anything was sent.")
        tx.bundles.mark_sent(request.id, number, request.fence)
        return None

    # --- finish ---

    def _finish(self, tx: Tx, work: Work, call: Call, report: Report) -> bool:
        """Record what came of a call, and of the bundle with it; return whether it goes on."""
        request, fence = tx.requests.lock(work.request.id), work.request.fence
        if request is None:
            return False
        tx.requests.keep_evidence(request.id, fence, tx.now, request.sent_at, report.outcome)
        if request.fence != fence or request.status is not Status.EXECUTING:
            log.warning("execution_stale", request_id=request.id, status=request.status.value)
            return False
        if report.became is CallStatus.UNKNOWN and request.sent_at is None:
            report = replace(report, became=CallStatus.WAITING)
        self._keep(tx, call, report)
        if report.became in (CallStatus.WAITING, CallStatus.UNKNOWN):
            lost = report.became is CallStatus.UNKNOWN
            event = (ev.Lose if lost else ev.Release)(self._actor(), fence, report.outcome)
            tx.record(step(request, event, tx.now))
            return False
        return self._advance(tx, work, request, call, report)

    def _keep(self, tx: Tx, call: Call, report: Report) -> None:
        """Write how a call stands by now, and its sealed answer."""
        request = call.claimed.request
        state = tx.bundles.get(request.id, call.number)
        if state is None:
            return
        ended = None if report.became is CallStatus.WAITING else tx.now
        tx.bundles.put(
            become(state, report.became, finished_at=ended, outcome=report.outcome,
                   fence=request.fence)
        )  # fmt: skip
        if report.result is not None and report.result.kept:
            until = plus(tx.now, self.execution.settings.result_retention)
            sealed = self.execution.sealer.seal(ITEM_RESULT, call.id, pack(report.result))
            tx.bundles.put_result(request.id, call.number, sealed, until)

    def _advance(self, tx: Tx, work: Work, request: Request, call: Call, report: Report) -> bool:
        states = tx.bundles.of(request.id)
        left = any(state.status is CallStatus.WAITING for state in states)
        more = left and goes_on(work.bundle, report.became)
        if not more:
            states = with_status(states, consequences(Status.FAILED))
        fence, outcome = work.request.fence, summary(states)
        ahead = ev.Advance(
            self._actor(), fence, outcome, number=call.number, became=report.became.value,
            lease_seconds=work.lease_seconds,
        )  # fmt: skip
        after = tx.record(step(request, ahead, tx.now))
        if not more:
            end = (ev.Succeed if whole(states) else ev.Fail)(self._actor(), fence, outcome)
            tx.record(step(after, end, tx.now))
        return more

    def _actor(self) -> Actor:
        return Actor(ActorKind.SYSTEM, self.execution.worker, "worker")


def _unheard(_why: str) -> None:
    """A lost lease shows at the next mark or report, which is refused."""


def _held_up(call: Call) -> Report:
    stopped = NotStarted("target_unavailable", "The target's breaker is open; it is tried later.")
    return Report(CallStatus.WAITING, _problem(call, stopped))


def _problem(call: Call, problem: NotStarted | Ambiguous) -> str:
    parts: dict[str, JsonValue] = {
        "code": problem.code, "detail": problem.detail[:500], "call": call.number,
    }  # fmt: skip
    return canonical(parts).decode()


def _summary_of(event: ev.Event) -> str:
    return (event.outcome or "") if isinstance(event, ev.Succeed | ev.Fail) else ""
