"""Obligations: what is read, and what is refused with its place."""

from typing import Any

import pytest

from app.core.errors import InvalidPolicy
from app.core.explanation import explain
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.obligations import parse_obligations
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Effect, parse_policy

pytestmark = pytest.mark.requirement("POL-4")


@pytest.mark.parametrize(
    "duty",
    [
        {"kind": "tag", "tag": "money"}, {"kind": "require_reason"},
        {"kind": "require_assurance", "level": "L2"},
        {"kind": "rate_limit", "limit": 5, "per": "minute"},
        {"kind": "rate_limit", "limit": 5, "per": 90, "by": "agent+target"},
        {"kind": "redact", "fields": ["email", "/items/*/id"]},
        {"kind": "redact", "where": "result", "patterns": ["a+"], "kinds": ["card"]},
    ],
)  # fmt: skip
def test_what_is_well_formed_is_kept_as_it_is(duty: dict[str, Any]) -> None:
    (found,) = parse_obligations([duty], "")
    assert {"kind": found.kind, **found.parameters} == duty


@pytest.mark.parametrize(
    ("duty", "pointer", "word"),
    [
        ({"kind": "rate_limit", "per": "minute"}, "/0/limit", "1 to 999999"),
        ({"kind": "rate_limit", "limit": 0, "per": "minute"}, "/0/limit", "1 to"),
        ({"kind": "rate_limit", "limit": 1, "per": "week"}, "/0/per", "whole number"),
        ({"kind": "rate_limit", "limit": 1, "per": "day", "by": "x"}, "/0/by", "agent"),
        ({"kind": "rate_limit", "limit": 1, "per": "day", "tag": "x"}, "/0/tag", "unknown"),
        ({"kind": "redact"}, "/0", "give fields"),
        ({"kind": "redact", "fields": []}, "/0/fields", "empty"),
        ({"kind": "redact", "fields": "a"}, "/0/fields", "list"),
        ({"kind": "redact", "fields": [""]}, "/0/fields/0", "empty"),
        ({"kind": "redact", "kinds": ["iban"]}, "/0/kinds/0", "email"),
        ({"kind": "redact", "patterns": ["("]}, "/0/patterns/0", "RE2"),
        ({"kind": "redact", "patterns": ["(a{500}){2}"]}, "/0/patterns/0", "complex"),
        ({"kind": "redact", "where": "arguments", "kinds": ["card"]}, "/0/where", "in full"),
    ],
)
def test_what_is_not_is_refused_at_its_place(duty: dict[str, Any], pointer: str, word: str) -> None:
    with pytest.raises(InvalidPolicy, match=word) as refused:
        parse_obligations([duty], "")
    assert refused.value.pointer == pointer


def facts(kind: str) -> Facts:
    action = "http.request" if kind == "http" else "send_mail"
    return Facts(
        action=action, kind=kind, agent_id="a", agent_name="robot", target=None,
        urgency="normal", reason="", params={}, context={}, http=None, now=Instant(0),
    )  # fmt: skip


@pytest.mark.parametrize("effect", ["allow", "review"])
def test_a_duty_that_nobody_can_fulfil_denies(effect: str) -> None:
    rule = {"name": "r", "effect": effect, "obligations": [{"kind": "redact", "kinds": ["email"]}]}
    policy = parse_policy({"name": "p", "rules": [rule]}, id="p", version=1)
    policies = PolicySet.compile([policy], 1)
    assert evaluate(policies, facts("http")).effect == effect
    denied = evaluate(policies, facts("plain"))
    assert denied.effect is Effect.DENY and "masks results" in denied.reasons[-1]
    told = explain(policies, facts("plain"))
    assert told.verdict == denied
    document: Any = told.to_json()
    assert document["verdict"]["obligations"][0]["kind"] == "redact"
