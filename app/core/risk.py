"""The risk score: declared factors, added up and explained; it raises what a review needs (RISK-1).

A factor is points under conditions, declared in a policy. The score is the sum over all enabled
policies in scope; a factor that can't be decided counts. What a level raises (seats, assurance)
is added to the route of the rule that decided; nothing is ever lowered, and an allow or a deny is
not touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from app.core.conditions.base import Condition
from app.core.conditions.glob import Match, any_of, plain_glob
from app.core.conditions.reading import array, below, integer, members, refuse, text
from app.core.conditions.tree import conjunction, parse_match, parse_when
from app.core.facts import Facts
from app.core.json_types import JsonObject, JsonValue
from app.core.policy_route import MAX_SEATS, Route, assurance
from app.core.routing import Assurance

LEVELS: Final = ("low", "medium", "high", "critical")
_FLOORS: Final = {"critical": 75, "high": 50, "medium": 25, "low": 0}
MAX_FACTORS: Final = 50
MAX_POINTS: Final = 100
_MAX_NAME: Final = 120
_MAX_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Factor:
    """Points that count under conditions."""

    name: str
    points: int
    match: Condition


@dataclass(frozen=True, slots=True)
class Raise:
    """What a level asks for at least."""

    level: str
    quorum: int = 1
    assurance: Assurance = Assurance.NONE


@dataclass(frozen=True, slots=True)
class RiskRules:
    """The risk part of a policy."""

    factors: tuple[Factor, ...] = ()
    raises: tuple[Raise, ...] = ()


@dataclass(frozen=True, slots=True)
class Risk:
    """A score with its reasons, the strongest first.

    :ivar points: 0 to 100.
    :ivar reasons: names of the factors with their points, such as ``deletes data (40)``.
    """

    points: int
    reasons: tuple[str, ...]
    raises: tuple[Raise, ...] = field(default=(), repr=False)

    @property
    def level(self) -> str:
        """``low``, ``medium`` (from 25 points), ``high`` (50) or ``critical`` (75)."""
        return next(level for level, floor in _FLOORS.items() if self.points >= floor)

    def document(self) -> JsonObject:
        """Return what is kept with the verdict."""
        return {"points": self.points, "level": self.level, "reasons": list(self.reasons)}


NO_RULES: Final = RiskRules()


def parse_risk(value: JsonValue, pointer: str) -> RiskRules:
    """Return the risk part of a policy.

    :raises InvalidPolicy: with a message that says what to change.
    """
    fields = members(value, pointer, {"factors", "raise"})
    where = below(pointer, "factors")
    factors = array(fields.get("factors", []), where, MAX_FACTORS, empty=True)
    raises = members(fields.get("raise", {}), below(pointer, "raise"), set(LEVELS))
    return RiskRules(
        factors=tuple(_factor(item, below(where, at)) for at, item in enumerate(factors)),
        raises=tuple(_raise(level, item, below(pointer, "raise", level))
                     for level, item in raises.items()),
    )  # fmt: skip


def _factor(value: JsonValue, pointer: str) -> Factor:
    fields = members(value, pointer, {"name", "points", "match", "when"})
    parts = list[Condition]()
    if "match" in fields:
        parts.append(parse_match(fields["match"], below(pointer, "match")))
    if "when" in fields:
        parts.append(parse_when(fields["when"], below(pointer, "when")))
    if "points" not in fields:
        refuse("points is missing", pointer)
    return Factor(
        name=text(fields.get("name"), below(pointer, "name"), _MAX_NAME),
        points=integer(fields["points"], below(pointer, "points"), 1, MAX_POINTS),
        match=conjunction(parts),
    )


def _raise(level: str, value: JsonValue, pointer: str) -> Raise:
    fields = members(value, pointer, {"quorum", "assurance"})
    quorum = integer(fields.get("quorum", 1), below(pointer, "quorum"), 1, MAX_SEATS)
    if "assurance" not in fields:
        return Raise(level, quorum)
    return Raise(level, quorum, assurance(fields["assurance"], below(pointer, "assurance")))


class _Scope(Protocol):
    @property
    def agents(self) -> tuple[str, ...]: ...
    @property
    def targets(self) -> tuple[str, ...]: ...
    @property
    def actions(self) -> tuple[str, ...]: ...


class Assessor:
    """The risk rules of all enabled policies, ready to be added up."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[tuple[_Scope, RiskRules]]) -> None:
        """Take each policy's scope and rules."""
        self._parts = [
            (_glob(scope.agents), _glob(scope.targets), _glob(scope.actions), rules)
            for scope, rules in parts
            if rules != NO_RULES
        ]

    def __bool__(self) -> bool:
        """Whether there is anything to assess."""
        return bool(self._parts)

    def assess(self, facts: Facts) -> Risk:
        """Return the risk of an action; deterministic, and the same for every order of policies."""
        found = list[tuple[int, str]]()
        raises = list[Raise]()
        for agents, targets, actions, rules in self._parts:
            inside = _in(agents, facts.agent_name) and _in(targets, facts.target)
            if not (inside and _in(actions, facts.action)):
                continue
            raises += rules.raises
            found += [(factor.points, _reason(factor, result)) for factor in rules.factors
                      if (result := factor.match.matches(facts)) is not False]  # fmt: skip
        found.sort(key=lambda item: (-item[0], item[1]))
        points = min(sum(points for points, _ in found), MAX_POINTS)
        shown = tuple(f"{reason} ({points})" for points, reason in found[:_MAX_SHOWN])
        return Risk(points, shown, tuple(raises))


def _reason(factor: Factor, result: bool | None) -> str:  # noqa: FBT001
    return factor.name if result else f"{factor.name}, which could not be decided"


def _glob(globs: tuple[str, ...]) -> Match | None:
    return any_of(globs, plain_glob, "") if globs else None


def _in(match: Match | None, value: str | None) -> bool:
    return match is None or (value is not None and match(value) is not False)


def raised(route: Route, risk: Risk) -> Route:
    """Return the route with everything that the risk's level and those below it ask for."""
    reached = LEVELS.index(risk.level)
    asked = [item for item in risk.raises if LEVELS.index(item.level) <= reached]
    level = max((item.assurance for item in asked), default=Assurance.NONE)
    quorum = max((item.quorum for item in asked), default=1)
    plan = replace(route.plan, assurance=max(route.plan.assurance, level))
    if quorum <= route.quorum:
        return replace(route, plan=plan)
    more = quorum - len(plan.seats)
    names = plan.seats[-1] if len(set(plan.seats)) == 1 else ()
    seats = (*plan.seats, *((names,) * max(more, 0)))
    return replace(route, quorum=quorum, plan=replace(plan, seats=seats))
