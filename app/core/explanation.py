"""Why a verdict is what it is: every rule in line, with every condition (dry run, POL-8).

Slow on purpose and without the index: it tries everything, so it also is the reference that
:func:`app.core.pipeline.evaluate` is tested against.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeAlias, cast

from app.core.conditions.base import Condition, Tri
from app.core.conditions.glob import plain_glob
from app.core.facts import MISSING, UNCLEAR, Facts
from app.core.json_types import JsonObject
from app.core.policy import Effect, Policy, Rule, Scope
from app.core.risk import Assessor
from app.core.verdict import NO_MATCH, Verdict, entry_of, failed, in_line, stricter, weighed

Outcome: TypeAlias = Literal[
    "match", "no", "indeterminate", "out_of_scope", "disabled", "not_reached"
]

_SHOWN: Final = 80
_RESULTS: Final[Mapping[Tri, str]] = {True: "match", False: "no", None: "indeterminate"}
_WHY: Final[Mapping[Outcome, str]] = {
    "match": "all its conditions hold",
    "no": "a condition does not hold",
    "indeterminate": "it can't be decided: allow is skipped, deny and review become review",
    "out_of_scope": "the policy is for others",
    "disabled": "the policy is disabled",
    "not_reached": "an earlier rule decided",
}


@dataclass(frozen=True, slots=True)
class ConditionExplained:
    """One condition: what was expected, what was found (shortened), and what came of it."""

    expected: str
    result: str
    found: str | None
    why: str
    parts: tuple["ConditionExplained", ...] = ()


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """One rule in line, and why it did or did not match."""

    policy_id: str
    policy_name: str
    policy_version: int
    priority: int
    rule: str
    effect: Effect
    outcome: Outcome
    why: str
    conditions: ConditionExplained | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict, and every rule in the order in which it stands in line."""

    verdict: Verdict
    rules: tuple[RuleExplained, ...]

    def to_json(self) -> JsonObject:
        """Return it as JSON."""
        return cast("JsonObject", _plain(asdict(self)))


class Policies(Protocol):
    """What an explanation needs of a policy set."""

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All policies, disabled ones too."""
        ...


def explain(policies: Policies, facts: Facts) -> Explanation:
    """Return the verdict on the facts with the reasons of every rule. Never raises."""
    try:
        found = _explain(policies.policies, facts)
        enabled = [(policy.scope, policy.risk) for policy in policies.policies if policy.enabled]
        return replace(found, verdict=weighed(found.verdict, Assessor(enabled), facts))
    except Exception:  # noqa: BLE001 (fail closed, as evaluate does)
        return Explanation(failed(facts), ())


def _explain(policies: tuple[Policy, ...], facts: Facts) -> Explanation:
    explained = list[RuleExplained]()
    pending: Verdict | None = None
    decided: Verdict | None = None
    for policy, rule in in_line(policies):
        outcome = _outcome(policy, rule, facts)
        if outcome == "match" and decided is None:
            decided = entry_of(policy, rule).verdict
        elif decided is not None and outcome in {"match", "no", "indeterminate"}:
            outcome = "not_reached"
        elif outcome == "indeterminate" and rule.effect is not Effect.ALLOW:
            pending = pending or entry_of(policy, rule).undecided(facts)
        explained.append(_rule(policy, rule, facts, outcome))
    return Explanation(_verdict(pending, decided), tuple(explained))


def _verdict(pending: Verdict | None, decided: Verdict | None) -> Verdict:
    if pending is not None and decided is not None:
        return stricter(pending, decided)
    return decided or pending or NO_MATCH


def _outcome(policy: Policy, rule: Rule, facts: Facts) -> Outcome:
    if not policy.enabled:
        return "disabled"
    if _outside(policy.scope, facts):
        return "out_of_scope"
    result = rule.match.matches(facts)
    return "indeterminate" if result is None else "match" if result else "no"


def _outside(scope: Scope, facts: Facts) -> str:
    """Return why the facts are out of scope, or nothing."""
    fields = (
        ("agent", scope.agents, facts.agent_name),
        ("target", scope.targets, facts.target),
        ("action", scope.actions, facts.action),
    )
    for name, globs, value in fields:
        if globs and (value is None or not any(plain_glob(glob)(value) for glob in globs)):
            return f"the policy is for {name} {', '.join(globs)[:_SHOWN]}"
    return ""


def _rule(policy: Policy, rule: Rule, facts: Facts, outcome: Outcome) -> RuleExplained:
    tried = outcome in {"match", "no", "indeterminate"}
    return RuleExplained(
        policy_id=policy.id,
        policy_name=policy.name,
        policy_version=policy.version,
        priority=policy.priority,
        rule=rule.name,
        effect=rule.effect,
        outcome=outcome,
        why=_outside(policy.scope, facts) if outcome == "out_of_scope" else _WHY[outcome],
        conditions=_condition(rule.match, facts) if tried else None,
    )


def _condition(condition: Condition, facts: Facts) -> ConditionExplained:
    result = condition.matches(facts)
    found = None if condition.read is None else _found(condition, facts)
    parts = tuple(_condition(part, facts) for part in condition.children)
    why = "" if condition.children else _why(result, found)
    return ConditionExplained(condition.describe(), _RESULTS[result], found, why, parts)


def _found(condition: Condition, facts: Facts) -> str:
    try:
        value = MISSING if condition.read is None else condition.read(facts)
        text = repr(value)
    except Exception:  # noqa: BLE001 (an explanation never fails)
        return "an error"
    if value is MISSING:
        return "nothing"
    if value is UNCLEAR:
        return "a value that can be read in two ways"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _why(result: Tri, found: str | None) -> str:
    if result is True:
        return "holds"
    if result is False:
        return "does not hold"
    if found == "nothing":
        return "can't be known: there is no such value"
    if found is None:
        return "can't be known: a value is missing, too large or of another type"
    return "can't be known: the value found is of another type, too large or unclear"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return {name: _plain(item) for name, item in mapping.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return str(value) if isinstance(value, StrEnum) else value
