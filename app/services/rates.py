"""Limits of requests by token buckets: of all agents, an agent, a target, and a rule (LIM-1).

A request is counted in the transaction that records it, so that the count is exact over all
servers, and a refused one leaves nothing behind but a bounded word in the record. Where no limit
applies there is not one statement more.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from app.core.action import BoundTarget
from app.core.audit import Actor
from app.core.bucket import MOST_SECONDS, Level, Rate, parse_rate, take
from app.core.bundle import calls_by_target
from app.core.errors import RateLimited, TargetUnavailable, TooBusy
from app.core.instant import Instant, plus
from app.core.pipeline import PolicySet
from app.core.policy import Effect
from app.core.principals import Agent
from app.core.request import Request
from app.core.targets import Target
from app.services.breakers import Breakers
from app.services.refusals import Refusals
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

_DUTY: Final = '"rate_limit"'
Counted: TypeAlias = Sequence[tuple[str, Level]]
"""Limits by their names in the store, with the levels after a request."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit that a request counts against.

    :ivar scope: ``global``, ``agent``, ``target`` or ``rule``.
    :ivar key: its name in the store; another rate is another bucket, which begins full.
    :ivar count: how often the request counts; a bundle does once for each call.
    """

    scope: str
    key: str
    rate: Rate
    count: int = 1


@dataclass(frozen=True, slots=True)
class Rates:
    """The limits of requests.

    :ivar targets: the rates of targets by id, as they were when a call was last bound to them.
    """

    store: Store
    settings: Settings
    breakers: Breakers
    targets: dict[str, str] = field(default_factory=dict[str, str])
    refusals: Refusals = field(default_factory=Refusals)

    def learn(self, target: Target) -> None:
        """Keep the limits of a target that a call is about to be bound to."""
        self.breakers.learn(target)
        if target.settings.rate:
            self.targets[target.id] = target.settings.rate
        else:
            self.targets.pop(target.id, None)

    def applies(self, agent: Agent, target: BoundTarget | None, policies: PolicySet) -> bool:
        """Whether a request of the agent at the target may count against a limit."""
        rate: str | bool = bool(self.targets) if target is None else self.targets.get(target.id, "")
        return bool(self.settings.request_rate or agent.rate or rate) or policies.uses_rates

    def hold(self, tx: Tx, agent: Agent, target: BoundTarget | None, policies: PolicySet) -> None:
        """Take the lock of the limits before any other, where one may apply."""
        if self.applies(agent, target, policies):
            tx.limits.hold()

    def enter(
        self, tx: Tx, request: Request, agent: Agent, repeats: str | None, *, now: bool
    ) -> Counted:
        """Refuse a request that is about to be recorded and would be one too many.

        Nothing is written here: a unit of work that refuses before it writes disturbs no other.

        :param repeats: its Idempotency-Key; one that was used before repeats a counted request,
            also where another process made that one at this moment.
        :param now: the door carries it out at once, when the policies allow it.
        :returns: what ``count`` writes in the same transaction, once nothing else refuses it.
        :raises RateLimited: a limit is used up.
        :raises TargetUnavailable: the target's breaker is open.
        :raises TooBusy: as many of the agent's calls run as may.
        """
        try:
            return self._entered(tx, request, agent, now=now)
        except (RateLimited, TargetUnavailable, TooBusy):
            if repeats is None or tx.requests.recall(agent.id, repeats) is None:
                raise
        return ()

    def _entered(self, tx: Tx, request: Request, agent: Agent, *, now: bool) -> Counted:
        if now and request.effect is Effect.ALLOW:
            self._look_for_room(tx, request)
        buckets = list(self._buckets(request, agent))
        if not buckets:
            return ()
        tx.limits.hold()
        levels = [(one, *_taken(one, tx.limits.level(one.key), tx.now)) for one in buckets]
        longest, refused = max(((wait, one) for one, _, wait in levels), key=lambda item: item[0])
        if longest:
            raise _refusal(refused, longest)
        return [(one.key, level) for one, level, _ in levels]

    def _look_for_room(self, tx: Tx, request: Request) -> None:
        self.breakers.look(tx, request.target_id)
        running = tx.requests.executing(request.agent_id, by_people=False)
        if running >= self.settings.agent_concurrency:
            raise TooBusy(retry_after=1)

    def count(self, tx: Tx, counted: Counted) -> None:
        """Count a request that ``enter`` let in."""
        for key, level in counted:
            tx.limits.put_level(key, level)

    def look(self, tx: Tx, agent: Agent, target_id: str) -> None:
        """Refuse a call that would be one too many now; none is counted.

        :raises RateLimited: a limit is used up.
        """
        for one in self._standing(agent, {target_id: 1}):
            if wait := take(one.rate, tx.limits.level(one.key), tx.now)[1]:
                raise _refusal(one, wait)

    async def note(self, actor: Actor, error: RateLimited | TargetUnavailable) -> None:
        """Put a refusal on record, once a minute for each limit and agent, and few in all."""
        scope = str(error.extra.get("scope", "target"))
        details = {"code": error.code, "scope": scope, "by": actor.reference}
        await self.refusals.note(self.store, "request.refused", f"limit:{scope}", details, actor)

    def _buckets(self, request: Request, agent: Agent) -> Iterator[Bucket]:
        some = self.targets or self.settings.request_rate or agent.rate or _DUTY in request.verdict
        if not some:
            return
        targets = calls_by_target(request)
        if request.effect is Effect.DENY:  # it is kept, but it reaches no target
            yield from self._standing(agent, {"": sum(targets.values())})
            return
        yield from self._standing(agent, targets)
        if _DUTY in request.verdict:
            yield from _duties(request, sum(targets.values()))

    def _standing(self, agent: Agent, targets: Mapping[str, int]) -> Iterator[Bucket]:
        """Yield the limits that hold whatever the policies say."""
        calls = sum(targets.values())
        for scope, name, text, count in (
            ("global", "", self.settings.request_rate, calls),
            ("agent", agent.id, agent.rate, calls),
            *(("target", name, self.targets.get(name, ""), n) for name, n in targets.items()),
        ):
            if text:
                yield Bucket(scope, f"{scope}:{name}:{text}", parse_rate(text), count)


def _taken(bucket: Bucket, level: Level | None, now: Instant) -> tuple[Level, int]:
    """Return the level after the request and 0, or the level and the seconds to wait."""
    after, wait = take(bucket.rate, level, now)
    for _ in range(bucket.count - 1):
        if not wait:
            after, wait = take(bucket.rate, after, now)
    return after, wait


def _duties(request: Request, calls: int) -> Iterator[Bucket]:
    """Yield the limits that the rule which decided puts on what it lets through."""
    verdict: dict[str, Any] = json.loads(request.verdict)
    for place, duty in enumerate(verdict["obligations"]):
        if duty["kind"] != "rate_limit":
            continue
        rate = parse_rate(f"{duty['limit']}/{duty['per']}")
        whose = {"agent": request.agent_id, "target": request.target_id or "", "global": ""}
        by = "|".join(whose[part] for part in str(duty.get("by", "agent")).split("+"))
        rule = f"{verdict['policy']['id']}:{place}:{by}:{rate}:{verdict['rule']}"
        yield Bucket("rule", f"rule:{rule}", rate, calls)


def _refusal(bucket: Bucket, wait: int) -> RateLimited:
    rate = bucket.rate
    whose = {
        "global": "all agents together may make",
        "agent": "this agent may make",
        "target": "the target takes",
        "rule": "a policy lets through",
    }
    message = f"{whose[bucket.scope]} {rate.limit} requests in {rate.seconds} s; wait {wait} s"
    extra = {"scope": bucket.scope, "limit": rate.limit, "seconds": rate.seconds}
    return RateLimited(message, retry_after=wait, extra=extra)


def forget(tx: Tx) -> None:
    """Remove the buckets that are full again."""
    tx.limits.drop_levels(plus(tx.now, -MOST_SECONDS))
