"""The front door of all front doors: from what an agent asks to a recorded request."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from app.clock import Ids, SystemClock
from app.core import events as ev
from app.core.action import (
    HTTP_BUNDLE,
    Action,
    Submission,
    seal,
)
from app.core.asking import build_action
from app.core.audit import Actor, ActorKind
from app.core.bundle import common_target
from app.core.bundle_verdict import Asking
from app.core.call_errors import BodyNotStored
from app.core.canonical import canonical, digest
from app.core.errors import (
    AgentFrozen,
    Forbidden,
    IdempotencyMismatch,
    InvalidAction,
    InvalidKey,
    NotFound,
    RateLimited,
    TargetUnavailable,
    TooManyOpenRequests,
)
from app.core.instant import Instant, plus
from app.core.lifecycle import Transition, open_request, step
from app.core.pipeline import PoliciesChanged, Verdict
from app.core.policy import Effect
from app.core.policy_route import Route
from app.core.principals import Agent, ApiKey, Caller, Scope
from app.core.request import Request, Status, draft, evolve, freeze
from app.core.targets import Target
from app.services.access import require
from app.services.asked import (
    MAX_CONTEXT_BYTES,
    MAX_EXPIRES_IN,
    Asked,
    check_context,
    check_words,
)
from app.services.binding import Binding
from app.services.decisions import shortage_of
from app.services.judging import judged_by, verdict_text
from app.services.policies import Policies
from app.services.rates import Rates
from app.services.refusals import Refusals
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

Then = Callable[[Tx, Request], Request]
"""What a door does with a request in the transaction that records it."""


_NO_COUNTERS: Final[dict[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Intake:
    """Judges and records what agents ask."""

    store: Store
    ids: Ids
    clock: SystemClock
    policies: Policies
    settings: Settings
    rates: Rates
    binding: Binding
    attached: Refusals = field(default_factory=Refusals)

    async def submit(
        self,
        caller: Caller,
        asked: Asked,
        *,
        remote_ip: str | None = None,
        then: Then | None = None,
    ) -> Request:
        """Record a request and return it as it stands then.

        :param then: done in the same transaction by a door that carries out calls by itself; no
            worker is called then.
        :raises MissingScope: the key cannot create requests.
        :raises AgentFrozen: the agent is stopped.
        :raises InvalidAction: the action cannot be carried out as described.
        :raises TargetNotPermitted: the key does not include this call.
        :raises TooManyOpenRequests: the agent's cap is reached.
        :raises RateLimited: a limit of requests is used up; nothing was recorded.
        :raises TargetUnavailable: a door would call a target now whose breaker is open.
        :raises IdempotencyMismatch: the token was used for another body.
        :raises BodyNotStored: people are asked, and the call's large body is not stored yet.
        """
        require(caller, Scope.REQUEST_CREATE)
        agent, key = _asker(caller)
        submission = await self._submission(agent, key, asked)
        try:
            return await self.policies.with_newest(
                lambda: self._enter(caller, agent, submission, asked, remote_ip, then)
            )
        except (RateLimited, TargetUnavailable) as error:
            await self.rates.note(caller.actor, error)
            raise

    async def _enter(
        self,
        caller: Caller,
        agent: Agent,
        submission: Submission,
        asked: Asked,
        remote_ip: str | None,
        then: Then | None,
    ) -> Request:
        limited = self.rates.applies(agent, submission.target, self.policies.snapshot)
        if self.policies.snapshot.uses_counters:
            return await self.store.write(
                lambda tx: self._counting(tx, caller, submission, asked, remote_ip, then),
                order="" if limited else agent.id,
            )
        made = self._judge(caller, submission, asked, remote_ip, _NO_COUNTERS)
        held = agent.id if made.effect is Effect.REVIEW else ""
        return await self.store.write(
            lambda tx: self._record(tx, made, caller, asked, then),
            order="" if limited else asked.supersedes or held,
        )

    def _counting(
        self,
        tx: Tx,
        caller: Caller,
        submission: Submission,
        asked: Asked,
        remote_ip: str | None,
        then: Then | None,
    ) -> Request:
        """Judge within the transaction: what counts must not be counted twice (LIM-2)."""
        self.rates.hold(tx, _asker(caller)[0], submission.target, self.policies.snapshot)
        tx.agents.lock(submission.agent_id)
        counters = tx.requests.counters(submission.agent_id)
        made = self._judge(caller, submission, asked, remote_ip, counters)
        return self._record(tx, made, caller, asked, then)

    def _judge(
        self,
        caller: Caller,
        submission: Submission,
        asked: Asked,
        remote_ip: str | None,
        counters: dict[str, int],
    ) -> Request:
        """Return the request that the policies make of a submission."""
        agent, key = _asker(caller)
        now = self.clock.now()
        settings = self.settings
        usual = _usual(settings.request_ttl, settings.approval_ttl)
        asking, revision = Asking(agent, now, remote_ip, counters, usual), self.policies.revision
        verdict = self.policies.judge(submission, asking)
        text = verdict_text(verdict, revision)
        return self._request(submission, agent, key, asked, verdict, text, now)

    def _record(
        self, tx: Tx, request: Request, caller: Caller, asked: Asked, then: Then | None
    ) -> Request:
        """Write a request, unless it was made before: by its Idempotency-Key, or identical.

        An identical one that is still pending takes this one in, so that nobody is asked twice
        (REQ-7). What people are asked is recorded one after another for an agent, so that two
        servers neither ask twice nor pass its cap.
        """
        agent, key = _asker(caller)
        token = asked.idempotency_key
        counted = self.rates.enter(tx, request, agent, token, now=then is not None)
        most = _present(tx, key, request)
        if used := _repeated(tx, agent, asked):
            return used
        same = _identical(tx, request, asked)
        if same is None:
            _check_cap(tx, request, most)
            _check_body(request, asked)
        ended = _superseded(tx, request, caller.actor, asked.supersedes)
        # From here on it is written, and no more refused.
        self.rates.count(tx, counted)
        if token is not None and not tx.requests.remember(
            agent.id, token, asked.fingerprint, (same or request).id
        ):
            return _taken(tx, agent, asked)
        if same is not None:
            self._attach(tx, caller.actor, same, asked)
            return same
        return _open(tx, request, caller.actor, ended, then)

    def _attach(self, tx: Tx, actor: Actor, same: Request, asked: Asked) -> None:
        """Note that a request was repeated: once a minute, however often it is (T67)."""
        details = self.attached.admit({"request": same.id}, tx.now, asked)
        if details is not None:
            del details["request"]
            tx.note("request.attached", actor, f"request:{same.id}", details, same.id)

    async def _submission(self, agent: Agent, key: ApiKey, asked: Asked) -> Submission:
        check_words(asked)
        if asked.action == HTTP_BUNDLE:
            action: Action = await self.binding.bundle(agent, key, asked.params, asked.target)
            target = common_target(action)
        else:
            action = asked.call or build_action(asked.action, asked.params)
            target = await self.binding.bind(action, agent, key, asked.target)
        return Submission(
            agent_id=agent.id,
            action=action,
            target=target,
            urgency=asked.urgency,
            reason=asked.reason,
            context=asked.context,
        )

    async def body_limit(self, caller: Caller, asked: Asked) -> int:
        """Return the most bytes that the body of a call may have, before it is read.

        :param asked: with the call's head alone; what it is refused for is refused here.
        """
        return (await self.addressed(caller, asked))[1].settings.request_bytes

    async def addressed(self, caller: Caller, asked: Asked) -> tuple[Agent, Target]:
        """Return who calls and the target of a call, if key and target let it pass."""
        require(caller, Scope.REQUEST_CREATE)
        agent, key = _asker(caller)
        if asked.call is None:
            message = "this is no call at a target"
            raise InvalidAction(message, pointer="/action")
        return agent, await self.binding.target(asked.call, key, asked.target)

    def _request(
        self,
        submission: Submission,
        agent: Agent,
        key: ApiKey,
        asked: Asked,
        verdict: Verdict,
        text: str,
        now: Instant,
    ) -> Request:
        payload = seal(submission)
        if len(payload) > MAX_CONTEXT_BYTES:
            check_context(submission.context)
        route, target = verdict.route, submission.target
        lifetime = min(
            asked.expires_in or MAX_EXPIRES_IN, route.expires_in or self.settings.request_ttl
        )
        made = draft(
            id=self.ids.new("req", now),
            agent_id=agent.id,
            key_id=key.id,
            owner_id=agent.owner_id,
            kind=submission.action.kind,
            action=submission.action.name,
            target_id=None if target is None else target.id,
            target_name=None if target is None else target.name,
            urgency=submission.urgency,
            reason=submission.reason,
            payload=payload,
            digest=digest(payload),
            effect=verdict.effect,
            verdict=text,
            quorum=route.quorum,
            owner_may_decide=route.owner_may_decide,
            route=route.frozen,
            require_reason=any(item.kind == "require_reason" for item in verdict.obligations),
            valid_for=self._valid_for(asked, verdict),
            created_at=now,
            expires_at=plus(now, lifetime),
            status=Status.PENDING,
            decided_by=f"policy:{verdict.policy_id or '-'}",
        )
        return freeze(made)

    def _valid_for(self, asked: Asked, verdict: Verdict) -> int:
        """Return how long a grant lasts; a door's word shortens only what policy grants."""
        usual = verdict.route.valid_for or self.settings.approval_ttl
        if asked.valid_for is None or verdict.effect is not Effect.ALLOW:
            return usual
        return min(asked.valid_for, usual)


@lru_cache(4)
def _usual(expires_in: int, valid_for: int) -> Route:
    return Route(expires_in=expires_in, valid_for=valid_for)


def _asker(caller: Caller) -> tuple[Agent, ApiKey]:
    if caller.agent is None or caller.key is None:
        message = "requests are made with an agent's key"
        raise Forbidden(message)
    if caller.agent.frozen:
        raise AgentFrozen
    return caller.agent, caller.key


def _warned(tx: Tx, request: Request) -> Request:
    """Say in the verdict when the people there are can never satisfy the route (DEC-3)."""
    warning = shortage_of(tx, request)
    if not warning:
        return request
    verdict = {**json.loads(request.verdict), "warnings": [warning]}
    return evolve(request, {"verdict": canonical(verdict).decode()})


def _present(tx: Tx, key: ApiKey, request: Request) -> int:
    """Return the agent's most pending requests, as it, its key and the policies are now.

    Another process may have stopped or changed one of them.

    Nobody else records a request of the agent that people are asked, until this transaction ends.

    :raises PoliciesChanged: they were, after they had judged the request.
    """
    standing = tx.agents.standing(key.id, hold=request.effect is Effect.REVIEW)
    if standing is None:
        raise InvalidKey
    frozen, most, revision = standing
    if frozen:
        raise AgentFrozen
    if revision > judged_by(request.verdict):
        raise PoliciesChanged(retry_after=1)
    return most


def _identical(tx: Tx, request: Request, asked: Asked) -> Request | None:
    if request.effect is not Effect.REVIEW or asked.supersedes is not None:
        return None
    return tx.requests.identical(request.agent_id, request.digest, tx.now)


def _repeated(tx: Tx, agent: Agent, asked: Asked) -> Request | None:
    """Return the request that was made with this Idempotency-Key, if there is one."""
    token = asked.idempotency_key
    used = None if token is None else tx.requests.recall(agent.id, token)
    if used is None:
        return None
    if used[0] != asked.fingerprint:
        raise IdempotencyMismatch
    return tx.requests.get(used[1])


def _taken(tx: Tx, agent: Agent, asked: Asked) -> Request:
    """Return what another process made with this Idempotency-Key at this moment."""
    request = _repeated(tx, agent, asked)
    if request is None:
        message = "the request of this Idempotency-Key is gone"
        raise NotFound(message)
    return request


def _check_cap(tx: Tx, request: Request, most: int) -> None:
    if request.effect is not Effect.REVIEW or not most:
        return
    if tx.requests.has_pending(request.agent_id, most):
        message = f"the agent has {most} pending requests, its most"
        raise TooManyOpenRequests(message, retry_after=60)


def _check_body(request: Request, asked: Asked) -> None:
    """Refuse what waits while its large body is in no database, before anything is written."""
    detached = asked.call is not None and asked.call.detached is not None
    if detached and not asked.body_id and request.effect is Effect.REVIEW:
        raise BodyNotStored(retry_after=1)


def _open(
    tx: Tx, request: Request, by: Actor, ended: Transition | None, then: Then | None
) -> Request:
    """Write a new request; its grant begins now, for it may have waited to be written."""
    if ended is not None:
        tx.record(ended)
    if request.effect is Effect.REVIEW and request.plan_is_special:
        request = _warned(tx, request)
    opened = max(request.created_at, tx.now)
    after = tx.record(open_request(request, by, opened, inline=then is not None))
    return after if then is None else then(tx, after)


def _superseded(tx: Tx, request: Request, by: Actor, earlier_id: str | None) -> Transition | None:
    """Return how the agent's earlier request is withdrawn in favour of this one (REQ-5)."""
    if earlier_id is None:
        return None
    earlier = tx.requests.lock(earlier_id)
    if earlier is None or earlier.agent_id != request.agent_id:
        message = "there is no such request of this agent"
        raise NotFound(message, pointer="/supersedes")
    actor = Actor(ActorKind.AGENT, earlier.agent_id, by.name)
    return step(earlier, ev.Cancel(actor=actor, code="superseded", note=request.id), tx.now)
