"""The verdict on a bundle: each call is judged as the request it is, and the strictest holds."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from msgspec import Struct

from app.core.action import BundleAction, Submission
from app.core.asking import facts_of
from app.core.bundle import call_of
from app.core.command_rules import CommandRules
from app.core.instant import Instant
from app.core.pipeline import PolicySet, Verdict, evaluate
from app.core.policy import Effect
from app.core.policy_route import DEFAULT_ROUTE, Route
from app.core.principals import Agent
from app.core.routing import Plan, Rung

T = TypeVar("T")
Seat = tuple[str, ...]

_ORDER: Final = (Effect.DENY, Effect.REVIEW, Effect.ALLOW)
_COUNTED: Final = frozenset({"agent_minute", "agent_hour", "agent_day"})


class Asking(Struct, frozen=True):
    """What is known about a submission besides its content.

    :ivar usual: times that hold where a route names none.
    :ivar rules: for commands.
    """

    agent: Agent
    now: Instant
    remote_ip: str | None
    counters: Mapping[str, int]
    usual: Route = DEFAULT_ROUTE
    rules: CommandRules | None = None


def judge(
    policies: PolicySet,
    submission: Submission,
    by: Asking,
    only: Collection[int] | None = None,
) -> Verdict:
    """Return what the policies say about a submission; of a bundle, about all of its calls.

    :param only: numbers of the calls that matter; None means all.
    """
    if not isinstance(submission.action, BundleAction):
        facts = facts_of(submission, by.agent, by.now, by.remote_ip, by.counters, by.rules)
        return evaluate(policies, facts)
    count = len(submission.action.items)
    numbers = sorted(range(1, count + 1) if only is None else only)
    found: list[tuple[int, Verdict]] = []
    for before, number in enumerate(numbers):
        counted = {name: n + before * (name in _COUNTED) for name, n in by.counters.items()}
        facts = facts_of(call_of(submission, number), by.agent, by.now, by.remote_ip, counted)
        found.append((number, evaluate(policies, facts)))
    return combined(found, by.usual)


def combined(found: Sequence[tuple[int, Verdict]], usual: Route = DEFAULT_ROUTE) -> Verdict:
    """Return the verdict on calls, by number: the strictest effect, and all that any asks for."""
    effect = next(effect for effect in _ORDER if any(v.effect is effect for _, v in found))
    strictest = [verdict for _, verdict in found if verdict.effect is effect]
    verdicts = [verdict for _, verdict in found]
    risks = [verdict.risk for verdict in verdicts if verdict.risk is not None]
    return replace(
        strictest[0],
        reasons=tuple(_reasons(found)),
        obligations=_once(item for verdict in verdicts for item in verdict.obligations),
        route=combined_route([verdict.route for verdict in strictest], usual),
        tags=_once(tag for verdict in verdicts for tag in verdict.tags),
        risk=max(risks, key=lambda risk: risk.points) if risks else None,
    )


def _reasons(found: Sequence[tuple[int, Verdict]]) -> list[str]:
    """Return each reason with the calls that it is about, the strictest first."""
    told: dict[tuple[int, str], list[int]] = {}
    for number, verdict in found:
        for reason in verdict.reasons:
            told.setdefault((_ORDER.index(verdict.effect), reason), []).append(number)
    in_order = sorted(told.items(), key=lambda item: item[0][0])
    return [f"{_named(numbers, len(found))}: {reason}" for (_, reason), numbers in in_order]


def _named(numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count and count > 1:
        return "every call"
    return f"call{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _once(items: Iterable[T]) -> tuple[T, ...]:
    """Return the items without repetitions, in order."""
    kept: list[T] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return tuple(kept)


def combined_route(routes: Sequence[Route], usual: Route = DEFAULT_ROUTE) -> Route:
    """Return a route that satisfies each of the given ones: nobody is asked for less."""
    first, *others = _once(routes)
    if not others:
        return first
    plans = [route.plan for route in (first, *others)]
    seats = _seats([(route.plan.seats, route.quorum) for route in (first, *others)])
    plan = Plan(
        seats=seats,
        denials=min(plan.denials for plan in plans),
        assurance=max(plan.assurance for plan in plans),
        notify=_once(notice for plan in plans for notice in plan.notify),
        ladder=_ladder(plans),
    )
    owners = [route.owner_may_decide for route in (first, *others)]
    return Route(
        quorum=len(seats),
        expires_in=_least([route.expires_in or usual.expires_in for route in (first, *others)]),
        valid_for=_least([route.valid_for or usual.valid_for for route in (first, *others)]),
        owner_may_decide=False if False in owners else None if None in owners else True,
        plan=plan,
    )


def _seats(wanted: Sequence[tuple[tuple[Seat, ...], int]]) -> tuple[Seat, ...]:
    """Return seats that must all be filled, so that each of the given demands is met.

    Named seats are all there, as often as one demand has them; seats for anybody fill up to the
    largest number of people that a demand has.
    """
    demands = [_must(seats, quorum) for seats, quorum in wanted]
    named: list[Seat] = []
    for demand in demands:
        for seat in demand:
            if seat and named.count(seat) < demand.count(seat):
                named.append(seat)
    missing = max(len(demand) for demand in demands) - len(named)
    return (*named, *(((),) * missing))


def _must(seats: tuple[Seat, ...], quorum: int) -> tuple[Seat, ...]:
    """Return seats that must all be filled and ask for no less than a number out of these."""
    if quorum >= len(seats) or len(set(seats)) == 1:
        return seats[:quorum]
    if quorum > 1:
        return seats
    return ((),) if () in seats else (_once(name for seat in seats for name in seat),)


def _ladder(plans: Sequence[Plan]) -> tuple[Rung, ...]:
    """Return the ladder that all have, or the first one, which then lets nobody more decide."""
    ladders = _once(plan.ladder for plan in plans)
    if len(ladders) == 1:
        return ladders[0]
    found = next(ladder for ladder in ladders if ladder)
    return tuple(replace(rung, approvers=()) for rung in found)


def _least(values: Sequence[int | None]) -> int | None:
    given = [value for value in values if value is not None]
    return min(given) if given else None
