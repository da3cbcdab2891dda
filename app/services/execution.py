"""Carrying out what was approved: claim, check all over again, run once, record what came of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from app.clock import SystemClock
from app.core import events as ev
from app.core.action import HttpAction, Kind, Submission
from app.core.asking import facts_of
from app.core.audit import SYSTEM, Actor, ActorKind
from app.core.errors import AssentryError, IllegalTransition
from app.core.execution import (
    Refusal,
    in_doubt,
    is_idempotent,
    not_started,
    plan_of,
    reported,
    ssh_plan_of,
    verify_parties,
    verify_payload,
    verify_permission,
    verify_target,
)
from app.core.instant import Instant, plus
from app.core.jobs import Postponed
from app.core.lifecycle import step
from app.core.outcome import (
    Ambiguous,
    Content,
    HttpPlan,
    HttpResult,
    Injection,
    NotStarted,
    Outcome,
    Plan,
)
from app.core.pipeline import Verdict, evaluate
from app.core.policy import Effect
from app.core.ports import Executor, Relay
from app.core.request import Request, Status
from app.core.ssh_verdict import guarded
from app.core.targets import Target
from app.services.bodies import Bodies
from app.services.breakers import Breakers, Stopped
from app.services.decisions import satisfied
from app.services.handles import check_handles
from app.services.leases import Leases
from app.services.masks import check_masks, kept_back
from app.services.policies import Policies
from app.services.results import pack
from app.services.sealing import Sealer
from app.services.vault import Vault
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

WHOLE: Final = frozenset({"redact"})
"""Obligations for which an answer is collected first, up to the target's `response_bytes`."""

ALONE: Final = frozenset({Kind.HTTP, Kind.SSH})
"""Kinds of actions that are carried out here; a bundle has a service of its own."""

HOST_KEY_CHANGED: Final = "host_key_changed"
"""Why nothing was sent to a host that did not show a pinned key."""

RESULT: Final = "result"
"""Purpose under which results are sealed."""

UNAUTHORIZED: Final = 401
_BUSY: Final = Postponed(0.5)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request under this worker's lease, with all that its execution needs.

    :ivar content: its body, where a door has it at hand.
    """

    request: Request
    submission: Submission
    target: Target
    began: Instant
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """Runs approved requests, each at most once."""

    store: Store
    clock: SystemClock
    policies: Policies
    vault: Vault
    sealer: Sealer
    settings: Settings
    executors: Mapping[str, Executor[Any]]
    worker: str
    leases: Leases
    breakers: Breakers
    bodies: Bodies
    host_key_refused: Callable[[Tx, Target, Request, str], None]

    async def run(self, request_id: str) -> None:
        """Carry out an approved request; do nothing when it is not (or no longer) approved."""
        await self.policies.refresh()
        claimed = await self.store.write(lambda tx: self.claim(tx, request_id), order=request_id)
        if isinstance(claimed, Postponed):
            raise claimed
        if claimed is not None:
            await self.carry_out(claimed)

    # --- claim ---

    def claim(self, tx: Tx, request_id: str) -> Claimed | Postponed | None:
        """Take the request under a lease, or refuse it for good, in one transaction."""
        request = tx.requests.lock(request_id)
        if request is None or request.status is not Status.APPROVED:
            return None
        if request.kind not in ALONE:
            return None
        running = tx.requests.executing(request.agent_id, by_people=request.by_people)
        if running >= self.settings.agent_concurrency:
            return _BUSY
        try:
            submission, target = self._verify(tx, request)
        except Refusal as refusal:
            event = ev.Cancel(actor=SYSTEM, code=refusal.code, note=refusal.note)
            tx.record(step(request, event, tx.now))
            return None
        if wait := self.breakers.admit(tx, target):
            return Stopped(wait)
        lease = self._lease(target)
        claim = ev.Claim(actor=self._actor(), worker=self.worker, lease_seconds=lease)
        try:
            transition = step(request, claim, tx.now)
        except IllegalTransition:
            tx.record(step(request, ev.Expire(actor=SYSTEM), tx.now))
            return None
        return Claimed(tx.record(transition), submission, target, tx.now)

    def _lease(self, target: Target) -> float:
        """Return the seconds of a lease; what runs longer has it renewed."""
        limits = target.settings
        seconds = limits.total_seconds if limits.ssh is None else limits.ssh.seconds
        return limits.connect_seconds + seconds + self.settings.lease_margin

    def _verify(self, tx: Tx, request: Request) -> tuple[Submission, Target]:
        submission = verify_payload(request, tx.requests.votes(request.id))
        agent, policies = tx.agents.get(request.agent_id), self.policies.snapshot
        key = tx.agents.key(request.key_id)
        verify_parties(agent, key)
        verify_permission(submission, key)
        target = verify_target(submission, tx.targets.get(request.target_id or ""))
        _plan(submission, target, request.id)
        verify_handles(tx, submission, target)
        if agent is not None and not self.is_judged(request):
            counters = tx.requests.counters(agent.id) if policies.uses_counters else {}
            rules = self.policies.commands.current
            facts = facts_of(submission, agent, tx.now, None, counters, rules)
            verdict = guarded(evaluate(policies, facts), submission, rules)
            self.verify_policy(tx, request, verdict)
        return submission, target

    def is_judged(self, request: Request) -> bool:
        """Whether its verdict is one of the policies in force."""
        return f'"revision":{self.policies.snapshot.revision}' in request.verdict

    def verify_policy(self, tx: Tx, request: Request, verdict: Verdict) -> None:
        """Refuse what the policies of today would not let through (T40).

        :raises Refusal: they deny it, or ask for more than it has.
        """
        if self.is_judged(request):
            return
        if verdict.effect is Effect.DENY:
            raise Refusal("policy_denies", "A policy made since then denies it.")
        check_masks(request.verdict, verdict)
        if verdict.effect is not Effect.REVIEW:
            return
        if request.effect is Effect.ALLOW:
            raise Refusal("policy_reviews", "A policy made since then wants a person to decide.")
        if not satisfied(tx, request, verdict.route):
            raise Refusal("policy_asks_more", "A policy made since then asks for other approvals.")

    # --- run ---

    async def carry_out(
        self, claimed: Claimed, *, once: bool = False, relay: Relay | None = None
    ) -> tuple[Request, HttpResult | None]:
        """Carry out what was claimed; return how it stands then, and the answer if there is one.

        :param once: a door waits for it, so that no worker tries again what could be.
        :param relay: takes the answer while it comes.
        """
        event, result = await self._attempt(claimed, once=once, relay=relay)
        if result is not None and result.status == UNAUTHORIZED:
            await self.vault.rejected(claimed.target, claimed.began, _call(claimed))
        after = await self.store.write(
            lambda tx: self._finish(tx, claimed, event, result), order=claimed.request.id
        )
        return after, result

    async def _attempt(
        self, claimed: Claimed, *, once: bool, relay: Relay | None
    ) -> tuple[ev.Event, HttpResult | None]:
        request, actor = claimed.request, self._actor()
        try:
            outcome = await self._execute(claimed, relay)
        except NotStarted as problem:
            await self.breakers.failed(claimed.target, problem)
            if problem.code == HOST_KEY_CHANGED:
                target, detail = claimed.target, problem.detail
                await self.store.write(
                    lambda tx: self.host_key_refused(tx, target, request, detail)
                )
            return not_started(problem, request, actor, once=once), None
        except Ambiguous as problem:
            await self.breakers.failed(claimed.target, problem)
            harmless = not once and is_idempotent(claimed.submission, claimed.target)
            return in_doubt(problem, request.fence, actor, idempotent=harmless), None
        await self.breakers.answered(claimed.target, outcome)
        return reported(outcome, request.fence, actor), outcome.result

    async def _execute(self, claimed: Claimed, relay: Relay | None) -> Outcome:
        request = claimed.request
        executor = self.executors[request.kind.value]
        injection = await self.inject(claimed)
        plan = _plan(claimed.submission, claimed.target, request.id)
        if needs_whole(request):
            relay = None
        content = await self._content(claimed)
        if content is not None and isinstance(plan, HttpPlan):
            plan = replace(plan, content=content)
        lost = _nothing if relay is None else lambda: relay.hang_up()  # noqa: PLW0108 - set later
        with self.leases.keeping(request, self._lease(claimed.target), lost):
            outcome = await executor.execute(
                plan, injection, lambda: self._mark_sent(request), relay
            )
        return await kept_back(outcome, request.verdict)

    async def _content(self, claimed: Claimed) -> Content | None:
        """Return the body that is kept apart, if there is one."""
        action = claimed.submission.action
        if claimed.content is not None or not isinstance(action, HttpAction):
            return claimed.content
        if action.detached is None:
            return None
        return await self.bodies.checked(claimed.request.id, action.detached)

    async def inject(self, claimed: Claimed) -> Injection:
        """Return what the vault adds to a call.

        :raises NotStarted: it cannot be had.
        """
        agent_id = claimed.request.agent_id
        try:
            return await self.vault.for_execution(claimed.target, agent_id, _call(claimed))
        except AssentryError as error:
            raise NotStarted(error.code, error.detail, retryable=False) from error

    async def _mark_sent(self, request: Request) -> None:
        """Write that bytes are about to leave; stop here when another worker holds it by now.

        Connecting takes its time: whether everybody still stands by it is read once more.
        """
        marked = await self.store.write(lambda tx: _marked(tx, request), order=request.id)
        if isinstance(marked, Refusal):
            raise NotStarted(marked.code, marked.note, retryable=False)
        if not marked:
            code = "lease_lost"
            raise NotStarted(code, "The lease was over before anything was sent.")

    # --- finish ---

    def _finish(
        self, tx: Tx, claimed: Claimed, event: ev.Event, result: HttpResult | None
    ) -> Request:
        """Record what came of it; from a stale holder only as evidence."""
        request = tx.requests.lock(claimed.request.id)
        if request is None:
            return claimed.request
        summary = event.outcome if isinstance(event, ev.Succeed | ev.Fail | ev.Lose) else ""
        fence = claimed.request.fence
        tx.requests.keep_evidence(request.id, fence, tx.now, request.sent_at, summary or "")
        if request.fence != fence or request.status is not Status.EXECUTING:
            log.warning("execution_stale", request_id=request.id, status=request.status.value)
            return request
        after = tx.record(step(request, event, tx.now))
        if result is not None and result.kept:
            until = plus(tx.now, self.settings.result_retention)
            tx.results.put(after.id, self._seal(after.id, result), tx.now, until)
        return after

    def _seal(self, request_id: str, result: HttpResult) -> bytes:
        return self.sealer.seal(RESULT, request_id, pack(result))

    def _actor(self) -> Actor:
        return Actor(ActorKind.SYSTEM, self.worker, "worker")


def _marked(tx: Tx, request: Request) -> bool | Refusal:
    """Mark a request as sent; a refusal is returned, for a raised one spoils the whole group."""
    target = tx.targets.get(request.target_id or "")
    try:
        verify_parties(tx.agents.get(request.agent_id), tx.agents.key(request.key_id))
    except Refusal as refusal:
        return refusal
    if target is None or not target.enabled:
        return Refusal("target_disabled", "The target is gone or switched off.")
    over = request.valid_until is None or tx.now >= request.valid_until
    if request.by_people and over:
        return Refusal("grant_over", "The approval was over before anything was sent.")
    return tx.requests.mark_sent(request.id, request.fence, tx.now)


def verify_handles(tx: Tx, submission: Submission, target: Target) -> None:
    """Refuse a call whose handles may not be used there by its agent any more (T63).

    :raises Refusal: there is one.
    """
    try:
        check_handles(tx, submission.action, target.id, submission.agent_id)
    except AssentryError as error:
        raise Refusal(error.code, error.detail) from error


def needs_whole(request: Request) -> bool:
    """Whether an obligation of the verdict looks at the whole answer before anything leaves."""
    found = json.loads(request.verdict).get("obligations", [])
    return any(item["kind"] in WHOLE for item in found)


def _plan(submission: Submission, target: Target, request_id: str) -> Plan:
    if submission.action.kind is Kind.SSH:
        return ssh_plan_of(submission, target, request_id)
    return plan_of(submission, target)


def _nothing() -> None:
    """There is nobody to tell."""


def _call(claimed: Claimed) -> HttpAction | None:
    action = claimed.submission.action
    return action if isinstance(action, HttpAction) else None


def lose(tx: Tx, request_id: str, now: Instant) -> bool:
    """Take a request from a holder whose lease is over; False when there is nothing to take."""
    request = tx.requests.lock(request_id)
    if request is None or request.status is not Status.EXECUTING:
        return False
    try:
        submission = verify_payload(request, tx.requests.votes(request_id))
        target = tx.targets.get(request.target_id or "")
        harmless = is_idempotent(submission, target)
    except Refusal:
        harmless = False
    event = ev.Lose(actor=SYSTEM, fence=-1, outcome=_LOST, idempotent=harmless)
    try:
        tx.record(step(request, event, now))
    except IllegalTransition:
        return False
    return True


_LOST: Final = '{"code":"worker_lost","detail":"The worker did not report back in time."}'
