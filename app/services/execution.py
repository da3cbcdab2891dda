"""Carrying out what was approved: claim, check all over again, run once, record what came of it."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, cast

import structlog

from app.clock import SystemClock
from app.core import events as ev
from app.core.action import HttpAction, Kind, Submission, unseal
from app.core.audit import SYSTEM, Actor, ActorKind
from app.core.errors import AssentryError, IllegalTransition, VersionMismatch
from app.core.execution import (
    Refusal,
    in_doubt,
    is_idempotent,
    not_started,
    reported,
    verify_parties,
    verify_payload,
    verify_permission,
    verify_target,
)
from app.core.instant import SECOND, plus
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
from app.core.ports import Executor, Listener, MarkSent, Warm
from app.core.request import Request, Status, evolve
from app.core.targets import Target
from app.services.bodies import Bodies
from app.services.breakers import Breakers, Stopped
from app.services.claiming import Claimed, as_left, keep_evidence, plan_for, refused
from app.services.crowding import Crowd
from app.services.handles import verify_handles
from app.services.judging import verify_policies
from app.services.leases import LEASE_LOST, Leases, mark_held
from app.services.masks import kept_back
from app.services.policies import Policies
from app.services.results import pack
from app.services.sealing import Sealer
from app.services.vault import Vault
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

WHOLE: Final = frozenset({"redact"})
"""Obligations for which an answer is collected first, up to the target's `response_bytes`."""

_WHOLE: Final = tuple(f'"{kind}"' for kind in WHOLE)
ALONE: Final = frozenset({Kind.HTTP, Kind.SSH})
"""Kinds of actions that are carried out here; a bundle has a service of its own."""

HOST_KEY_CHANGED: Final = "host_key_changed"
"""Why nothing was sent to a host that did not show a pinned key."""

RESULT: Final = "result"
"""Purpose under which results are sealed."""

UNAUTHORIZED: Final = 401
_AT_ONCE: Final = SECOND
"""How long what a claim looked at is good for, where the call was marked as sent with it."""

_BUSY: Final = Postponed(0.5)
_OUTDATED: Final = Postponed(0.05)
log = structlog.get_logger()


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
    crowd: Crowd
    host_key_refused: Callable[[Tx, Target, Request, str], None]

    async def run(self, request_id: str) -> None:
        """Carry out an approved request; do nothing when it is not (or no longer) approved."""
        await self.policies.refresh()
        request = await self.store.read(lambda tx: tx.requests.get(request_id))
        if request is None:
            return
        with self.crowd.inside(request):
            claimed = await self.store.write(
                lambda tx: self.claim(tx, request_id), order=request_id
            )
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
        if wait := self.held_up(tx, request):
            return wait
        try:
            votes = tx.requests.votes(request.id)
            submission, target, plan = self._verify(tx, request, verify_payload(request, votes))
            self.verify_policies(tx, request, submission)
        except Refusal as refusal:
            return refused(tx, request, refusal)
        return self._taken(tx, request, submission, target, plan)

    def held_up(self, tx: Tx, request: Request) -> Postponed | None:
        """Return when to look again, where as many of the agent's calls run as may.

        Or the compiled policies are not those in force, which this transaction read (T40).
        """
        running, revision = tx.requests.running(request.agent_id, by_people=request.by_people)
        if not self.policies.is_newest(revision):
            return _OUTDATED
        return _BUSY if running >= self.settings.agent_concurrency else None

    def claim_new(self, tx: Tx, request: Request) -> Claimed | Postponed | None:
        """Take a request that this transaction records, for a door that carries it out now.

        Nobody else can have changed it, so that it is not read again; the policies that judged it
        were seen to be those in force, and room was found for it (``Rates.enter``). Where a
        connection stands and what is added is at hand, it is marked as sent in the same commit:
        from then on only this process's end could keep the bytes from leaving.
        """
        if request.kind not in ALONE:
            return None
        try:
            submission, target, plan = self._verify(tx, request, unseal(request.payload))
        except Refusal as refusal:
            return refused(tx, request, refusal)
        claimed = self._taken(tx, request, submission, target, plan)
        return self._prepared(tx, claimed) if isinstance(claimed, Claimed) else claimed

    def _prepared(self, tx: Tx, claimed: Claimed) -> Claimed:
        """Read what the vault adds, and mark what is about to be sent."""
        request, target = claimed.request, claimed.target
        try:
            sealed = self.vault.sealed(tx, target, request.agent_id, _call(claimed))
        except AssentryError:
            return claimed  # told when it is asked again, outside of this transaction
        if not sealed.at_hand or not self._is_warm(claimed):
            return replace(claimed, sealed=sealed)
        tx.requests.mark_sent(request.id, request.fence, tx.now)
        return replace(claimed, sealed=sealed, request=evolve(request, {"sent_at": tx.now}))

    def _is_warm(self, claimed: Claimed) -> bool:
        """Whether a connection stands; asked in a transaction, so that nothing is loaded for it."""
        request = claimed.request
        executor = self.executors.get(request.kind.value)
        if executor is None or not _keeps_connections(type(executor)):
            return False
        return cast("Warm[Any]", executor).is_warm(claimed.plan)

    def _taken(
        self, tx: Tx, request: Request, submission: Submission, target: Target, plan: Plan
    ) -> Claimed | Postponed | None:
        if wait := self.breakers.admit(tx, target):
            return Stopped(wait)
        lease = self._lease(target)
        claim = ev.Claim(actor=self._actor(), worker=self.worker, lease_seconds=lease)
        try:
            transition = step(request, claim, tx.now)
        except IllegalTransition:
            tx.record(step(request, ev.Expire(actor=SYSTEM), tx.now))
            return None
        return Claimed(tx.record(transition), submission, target, tx.now, plan)

    def _lease(self, target: Target) -> float:
        """Return the seconds of a lease; what runs longer has it renewed."""
        limits = target.settings
        seconds = limits.total_seconds if limits.ssh is None else limits.ssh.seconds
        return limits.connect_seconds + seconds + self.settings.lease_margin

    def _verify(
        self, tx: Tx, request: Request, submission: Submission
    ) -> tuple[Submission, Target, Plan]:
        key = tx.agents.key(request.key_id)
        verify_parties(tx.agents.get(request.agent_id), key, tx.now)
        verify_permission(submission, key)
        target = verify_target(submission, tx.targets.get(request.target_id or ""))
        plan = plan_for(submission, target, request.id)
        verify_handles(tx, submission, target)
        return submission, target, plan

    def verify_policies(
        self,
        tx: Tx,
        request: Request,
        submission: Submission,
        left: Collection[int] | None = None,
    ) -> None:
        """Refuse what the policies in force do not let through (T40, T1).

        :param left: of a bundle, the calls that are still to run.
        :raises Refusal: they deny it, or ask for more than it has.
        """
        if agent := tx.agents.get(request.agent_id):
            verify_policies(tx, self.policies, request, submission, agent, left)

    # --- run ---

    async def carry_out(
        self, claimed: Claimed, *, once: bool = False, relay: Listener | None = None
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
        self, claimed: Claimed, *, once: bool, relay: Listener | None
    ) -> tuple[ev.Event, HttpResult | None]:
        request, actor = claimed.request, self._actor()
        try:
            outcome = await self._execute(claimed, relay)
        except NotStarted as problem:
            await self.breakers.failed(claimed.target, claimed.request.agent_id, problem)
            if problem.code == HOST_KEY_CHANGED:
                target, detail = claimed.target, problem.detail
                await self.store.write(
                    lambda tx: self.host_key_refused(tx, target, request, detail)
                )
            return not_started(problem, request, actor, once=once), None
        except Ambiguous as problem:
            await self.breakers.failed(claimed.target, claimed.request.agent_id, problem)
            harmless = not once and is_idempotent(claimed.submission, claimed.target)
            return in_doubt(problem, request.fence, actor, idempotent=harmless), None
        await self.breakers.answered(claimed.target, claimed.request.agent_id, outcome)
        return reported(outcome, request.fence, actor), outcome.result

    async def _execute(self, claimed: Claimed, relay: Listener | None) -> Outcome:
        request = claimed.request
        executor = self.executors[request.kind.value]
        injection = await self.inject(claimed)
        plan = claimed.plan
        if needs_whole(request):
            relay = None
        content = await self._content(claimed)
        if content is not None and isinstance(plan, HttpPlan):
            plan = replace(plan, content=content)
        with self.leases.keeping(request, self._lease(claimed.target), partial(_end, relay)):
            outcome = await executor.execute(plan, injection, self._mark(claimed), relay)
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
            if claimed.sealed is not None:
                return await self.vault.opened(claimed.sealed)
            return await self.vault.for_execution(claimed.target, agent_id, _call(claimed))
        except AssentryError as error:
            raise NotStarted(error.code, error.detail, retryable=False) from error

    def _mark(self, claimed: Claimed) -> MarkSent:
        """Return what is awaited before the first byte leaves.

        What was marked with its claim, and leaves at once, was looked at a moment ago.
        """

        async def mark() -> None:
            at_once = 0 <= self.clock.now() - claimed.began <= _AT_ONCE
            if claimed.request.sent_at is None or not at_once:
                await self._mark_sent(claimed)

        return mark

    async def _mark_sent(self, claimed: Claimed) -> None:
        """Write that bytes are about to leave; stop here when another worker holds it by now.

        Connecting takes its time: whether everybody still stands by it is read once more.
        """
        request, revision = claimed.request, claimed.target.revision
        marked = await self.store.write(
            lambda tx: mark_held(tx, request, revision), order=request.id
        )
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
        if claimed.request.sent_at is None:
            return self._finish_locked(tx, claimed, event, result)
        request = as_left(claimed.request, event, result)
        try:
            after = tx.record(step(request, event, tx.now))
        except VersionMismatch:
            return self._finish_locked(tx, claimed, event, result)
        keep_evidence(tx, claimed, event, request.sent_at)
        self._keep_result(tx, after, result)
        return after

    def _finish_locked(
        self, tx: Tx, claimed: Claimed, event: ev.Event, result: HttpResult | None
    ) -> Request:
        """Do the same where somebody else may have changed the request since the claim."""
        request = tx.requests.lock(claimed.request.id)
        if request is None:
            return claimed.request
        keep_evidence(tx, claimed, event, request.sent_at)
        if request.fence != claimed.request.fence or request.status is not Status.EXECUTING:
            log.warning("execution_stale", request_id=request.id, status=request.status.value)
            return request
        after = tx.record(step(request, event, tx.now))
        self._keep_result(tx, after, result)
        return after

    def _keep_result(self, tx: Tx, after: Request, result: HttpResult | None) -> None:
        if result is not None and result.kept:
            until = plus(tx.now, self.settings.result_retention)
            tx.results.put(after.id, self._seal(after.id, result), tx.now, until)

    def _seal(self, request_id: str, result: HttpResult) -> bytes:
        return self.sealer.seal(RESULT, request_id, pack(result))

    def _actor(self) -> Actor:
        return Actor(ActorKind.SYSTEM, self.worker, "worker")


def needs_whole(request: Request) -> bool:
    """Whether an obligation of the verdict looks at the whole answer before anything leaves."""
    if not any(name in request.verdict for name in _WHOLE):
        return False
    found = json.loads(request.verdict).get("obligations", [])
    return any(item["kind"] in WHOLE for item in found)


@cache
def _keeps_connections(kind: type[object]) -> bool:
    return issubclass(kind, Warm)


def _end(relay: Listener | None, why: str) -> None:
    """End an answer that a caller is taking; any other ends by its limits, and is then known."""
    if relay is not None and (relay.begun or why == LEASE_LOST):
        relay.hang_up(why)


def _call(claimed: Claimed) -> HttpAction | None:
    action = claimed.submission.action
    return action if isinstance(action, HttpAction) else None
