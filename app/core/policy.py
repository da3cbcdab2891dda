"""Policies: what they are, and how one is read from its JSON document.

The document is strict: unknown fields are refused everywhere, types are exact, sizes are
bounded, and every refusal names the place (RFC 6901) and says what to change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.canonical import canonical
from app.core.conditions.base import Condition
from app.core.conditions.expression_limits import names_in
from app.core.conditions.glob import MAX_GLOB, any_of, plain_glob
from app.core.conditions.reading import (
    array,
    below,
    boolean,
    integer,
    json_value,
    members,
    refuse,
    shown,
    text,
)
from app.core.conditions.tree import conjunction, parse_match, parse_when
from app.core.errors import InvalidPolicy
from app.core.json_types import JsonObject, JsonValue
from app.core.obligations import Obligation, parse_obligations
from app.core.policy_route import DEFAULT_ROUTE, Route, assurance, parse_route
from app.core.policy_schema import policy_json_schema
from app.core.risk import NO_RULES, RiskRules, parse_risk
from app.core.routing import Assurance

__all__ = (
    "DEFAULT_ROUTE",
    "Effect",
    "InvalidPolicy",
    "Obligation",
    "Policy",
    "Route",
    "Rule",
    "Scope",
    "parse_policy",
    "policy_json_schema",
)

MAX_DOCUMENT: Final = 65_536
"""Most bytes of a policy's canonical JSON."""

MAX_RULES: Final = 100
"""Most rules in one policy."""

MAX_PRIORITY: Final = 1_000_000
DEFAULT_PRIORITY: Final = 100

_MAX_NAME: Final = 120
_MAX_DESCRIPTION: Final = 2_000
_MAX_REASON: Final = 500
_MAX_TAG: Final = 64
_MAX_ITEMS: Final = 32
_MAX_SCOPE: Final = 200

_POLICY: Final = frozenset({"name", "description", "priority", "enabled", "scope", "rules", "risk"})
_RULE: Final = frozenset(
    {"name", "effect", "match", "when", "reason", "obligations", "route", "tags"}
)


class Effect(StrEnum):
    """What a rule does with an action."""

    ALLOW = "allow"
    DENY = "deny"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Scope:
    """Globs on the agent's name, the target's name and the action; empty means any."""

    agents: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions and what follows when they hold; ``match`` includes ``when``."""

    name: str
    effect: Effect
    match: Condition
    when: str | None = None
    reason: str = ""
    obligations: tuple[Obligation, ...] = ()
    route: Route = DEFAULT_ROUTE
    tags: tuple[str, ...] = ()

    def uses_counters(self) -> bool:
        """Whether a condition looks at counters, which somebody must then count."""
        paths = any(leaf.path[:1] == ("counters",) for leaf in self.match.leaves())
        return paths or (self.when is not None and "counters" in names_in(self.when))


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules; lower priority numbers are looked at first."""

    id: str
    name: str
    version: int
    priority: int
    enabled: bool
    scope: Scope
    rules: tuple[Rule, ...]
    document: JsonObject
    risk: RiskRules = NO_RULES


def parse_policy(document: Mapping[str, object], *, id: str, version: int) -> Policy:  # noqa: A002
    """Return the compiled policy of a JSON document.

    :raises InvalidPolicy: with a message that says what to change and the pointer of the place.
    """
    value = json_value(document)
    if len(canonical(value)) > MAX_DOCUMENT:
        refuse(f"the policy is larger than {MAX_DOCUMENT} bytes", "")
    fields = members(value, "", _POLICY)
    text(fields.get("description", ""), "/description", _MAX_DESCRIPTION, empty=True)
    return Policy(
        id=id,
        name=_name(fields, ""),
        version=version,
        priority=integer(fields.get("priority", DEFAULT_PRIORITY), "/priority", 0, MAX_PRIORITY),
        enabled=boolean(fields.get("enabled", True), "/enabled"),
        scope=_scope(fields.get("scope", {})),
        rules=_rules(fields),
        document=fields,
        risk=parse_risk(fields.get("risk", {}), "/risk"),
    )


def _name(fields: JsonObject, pointer: str) -> str:
    if "name" not in fields:
        refuse("name is missing", pointer)
    name = text(fields["name"], below(pointer, "name"), _MAX_NAME)
    if not name.isprintable() or name != name.strip():
        refuse("a name is one printable line without outer spaces", below(pointer, "name"))
    return name


def _scope(value: JsonValue) -> Scope:
    fields = members(value, "/scope", {"agents", "targets", "actions"})
    globs = {name: _globs(item, below("/scope", name)) for name, item in fields.items()}
    return Scope(**globs)


def _globs(value: JsonValue, pointer: str) -> tuple[str, ...]:
    items = array(value, pointer, _MAX_SCOPE, empty=True)
    globs = tuple(text(item, below(pointer, at), MAX_GLOB) for at, item in enumerate(items))
    if globs:
        any_of(globs, plain_glob, pointer)
    return globs


def _rules(fields: JsonObject) -> tuple[Rule, ...]:
    if "rules" not in fields and "risk" not in fields:
        refuse("rules is missing", "")
    items = array(fields.get("rules", []), "/rules", MAX_RULES, empty="risk" in fields)
    rules = tuple(_rule(item, below("/rules", at)) for at, item in enumerate(items))
    names = [rule.name for rule in rules]
    for at, name in enumerate(names):
        if name in names[:at]:
            refuse(f"two rules are named {shown(name)}", below("/rules", at, "name"))
    return rules


def _rule(value: JsonValue, pointer: str) -> Rule:
    fields = members(value, pointer, _RULE)
    when = fields.get("when")
    reason = text(fields.get("reason", ""), below(pointer, "reason"), _MAX_REASON, empty=True)
    duties = parse_obligations(fields.get("obligations", []), below(pointer, "obligations"))
    return Rule(
        name=_name(fields, pointer),
        effect=_effect(fields, pointer),
        match=_conditions(fields, pointer),
        when=when if isinstance(when, str) else None,
        reason=reason,
        obligations=duties,
        route=parse_route(fields.get("route", {}), below(pointer, "route"), _assurance(duties)),
        tags=_tags(fields.get("tags", []), below(pointer, "tags")),
    )


def _effect(fields: JsonObject, pointer: str) -> Effect:
    value = fields.get("effect")
    if not isinstance(value, str) or value not in tuple(Effect):
        refuse("effect must be allow, deny or review", below(pointer, "effect"))
    return Effect(value)


def _conditions(fields: JsonObject, pointer: str) -> Condition:
    parts = list[Condition]()
    if "match" in fields:
        parts.append(parse_match(fields["match"], below(pointer, "match")))
    if "when" in fields:
        parts.append(parse_when(fields["when"], below(pointer, "when")))
    return conjunction(parts)


def _tags(value: JsonValue, pointer: str) -> tuple[str, ...]:
    items = array(value, pointer, _MAX_ITEMS, empty=True)
    return tuple(text(item, below(pointer, at), _MAX_TAG) for at, item in enumerate(items))


def _assurance(duties: tuple[Obligation, ...]) -> Assurance:
    asked = [duty for duty in duties if duty.kind == "require_assurance"]
    return max((assurance(duty.parameters["level"], "") for duty in asked), default=Assurance.NONE)
