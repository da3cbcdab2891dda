"""Reading policy documents: strict, bounded, with errors that say what to change (POL-1, T38)."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.conditions.reading import MAX_STRING
from app.core.errors import InvalidPolicy
from app.core.policy import (
    DEFAULT_ROUTE,
    Effect,
    Obligation,
    Policy,
    Route,
    Scope,
    parse_policy,
    policy_json_schema,
)
from app.core.routing import Plan

pytestmark = [pytest.mark.requirement("POL-1"), pytest.mark.requirement("T38")]

FULL: dict[str, object] = {
    "name": "Payments",
    "description": "small ones",
    "priority": 10,
    "enabled": False,
    "scope": {"agents": ["billing-*"], "targets": ["stripe"], "actions": ["transfer_*"]},
    "rules": [
        {
            "name": "small",
            "effect": "allow",
            "match": {"params.amount": {"gte": 0, "lt": 100}},
            "when": "time.hour >= 9",
            "reason": "small sums",
            "route": {
                "quorum": 2,
                "expires_in": 3600,
                "valid_for": 600,
                "owner_may_decide": False,
                "approvers": ["role:admin", "person:ada@example.com"],
            },
            "obligations": [{"kind": "require_reason"}, {"kind": "tag", "tag": "money"}],
            "tags": ["LLM06"],
        }
    ],
}


def parse(document: object) -> Policy:
    return parse_policy(cast("Mapping[str, object]", document), id="pol_1", version=3)


def with_rule(**fields: object) -> dict[str, object]:
    return {"name": "p", "rules": [{"name": "r", "effect": "deny", **fields}]}


def with_match(match: object) -> dict[str, object]:
    return with_rule(match=match)


def nested(depth: int) -> object:
    match: object = {"action": "x"}
    for _ in range(depth):
        match = {"not": match}
    return match


def test_a_full_document() -> None:
    policy = parse(FULL)
    rule = policy.rules[0]
    assert (policy.id, policy.name, policy.version) == ("pol_1", "Payments", 3)
    assert (policy.priority, policy.enabled) == (10, False)
    assert policy.scope == Scope(("billing-*",), ("stripe",), ("transfer_*",))
    assert (rule.name, rule.effect, rule.when) == ("small", Effect.ALLOW, "time.hour >= 9")
    names = ("role:admin", "person:ada@example.com")
    assert rule.route == Route(2, 3600, 600, owner_may_decide=False, plan=Plan((names, names)))
    assert rule.obligations == (Obligation("require_reason"), Obligation("tag", {"tag": "money"}))
    assert (rule.reason, rule.tags) == ("small sums", ("LLM06",))
    assert policy.document == FULL


def test_defaults() -> None:
    policy = parse(with_rule())
    assert (policy.priority, policy.enabled, policy.scope) == (100, True, Scope())
    assert policy.rules[0].route == DEFAULT_ROUTE
    assert policy.rules[0].match.describe() == "always"


def test_the_document_is_a_copy() -> None:
    document = with_rule(tags=["a"])
    policy = parse(document)
    document["name"] = "changed"
    assert policy.document["name"] == "p"


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        ({}, "", "name is missing"),
        ({"name": "p"}, "", "rules is missing"),
        ({"name": "p", "rules": []}, "/rules", "empty"),
        ({"name": "p", "rules": {}}, "/rules", "must be a list, not an object"),
        ({"name": 1, "rules": []}, "/name", "must be a string, not a number"),
        ({"name": "a\nb", "rules": []}, "/name", "printable"),
        ({"name": " a", "rules": []}, "/name", "outer spaces"),
        ({"name": "", "rules": []}, "/name", "empty"),
        ({**with_rule(), "prioritty": 1}, "/prioritty", "did you mean 'priority'"),
        ({**with_rule(), "priority": True}, "/priority", "whole number"),
        ({**with_rule(), "priority": 1.0}, "/priority", "whole number"),
        ({**with_rule(), "priority": "1"}, "/priority", "whole number"),
        ({**with_rule(), "priority": -1}, "/priority", "from 0 to"),
        ({**with_rule(), "enabled": 1}, "/enabled", "true or false, not a number"),
        ({**with_rule(), "enabled": "false"}, "/enabled", "true or false"),
        ({**with_rule(), "scope": []}, "/scope", "must be an object, not a list"),
        ({**with_rule(), "scope": {"agent": []}}, "/scope/agent", "'agents'"),
        ({**with_rule(), "scope": {"agents": "a"}}, "/scope/agents", "must be a list"),
        ({**with_rule(), "scope": {"agents": [""]}}, "/scope/agents/0", "empty"),
        ({**with_rule(), "scope": {"actions": ["*a" * 20]}}, "/scope/actions/0", "stars"),
        (with_rule(effect="permit"), "/rules/0/effect", "allow, deny or review"),
        (with_rule(effect=None), "/rules/0/effect", "allow, deny or review"),
        (with_rule(match={}), "/rules/0/match", "leave match out"),
        (with_rule(match=None), "/rules/0/match", "object"),
        (with_rule(when=None), "/rules/0/when", "must be a string, not null"),
        (with_rule(when=""), "/rules/0/when", "empty"),
        (with_rule(reason=1), "/rules/0/reason", "string"),
        (with_rule(route={"quorum": 0}), "/rules/0/route/quorum", "from 1 to 20"),
        (with_rule(route={"quorum": 21}), "/rules/0/route/quorum", "from 1 to 20"),
        (with_rule(route={"expires_in": None}), "/rules/0/route/expires_in", "whole number"),
        (with_rule(route={"owner_may_decide": 1}), "/rules/0/route/owner_may_decide", "true"),
        (with_rule(route={"approvers": ["ada"]}), "/rules/0/route/approvers/0", "role:approver"),
        (with_rule(obligations=[{}]), "/rules/0/obligations/0/kind", "require_reason, tag"),
        (with_rule(obligations=[{"kind": "pay"}]), "/rules/0/obligations/0/kind", "one of"),
        (with_rule(obligations=[{"kind": "tag"}]), "/rules/0/obligations/0/tag", "string"),
        (
            with_rule(obligations=[{"kind": "require_reason", "tag": "x"}]),
            "/rules/0/obligations/0/tag",
            "unknown field",
        ),
        (with_rule(tags=[1]), "/rules/0/tags/0", "string"),
        (with_match({"any": []}), "/rules/0/match/any", "empty"),
        (with_match({"any": [{}]}), "/rules/0/match/any/0", "no condition"),
        (with_match({"any": {}}), "/rules/0/match/any", "list"),
        (with_match({"not": []}), "/rules/0/match/not", "object"),
        (with_match({"amount": 1}), "/rules/0/match/amount", "not a known path"),
        (with_match({"agent": "x"}), "/rules/0/match/agent", "agent.name"),
        (with_match({"agent.secret": "x"}), "/rules/0/match/agent.secret", "known path"),
        (with_match({"action.x": "x"}), "/rules/0/match/action.x", "known path"),
        (with_match({"params..x": 1}), "/rules/0/match/params..x", "known path"),
        (with_match({"params.a\\b": 1}), "/rules/0/match/params.a\\b", "backslash"),
        (with_match({"params.a\\": 1}), "/rules/0/match/params.a\\", "ends in a backslash"),
        (with_match({"params." + "a" * 300: 1}), None, "256"),
        (with_match({"params.a/b~": {"gte": "1"}}), "/rules/0/match/params.a~1b~0/gte", "number"),
        (with_match({"params.a": {}}), "/rules/0/match/params.a", "operator"),
        (with_match({"params.a": ["b"]}), "/rules/0/match/params.a", '"in"'),
        (with_match({"params.a": {"gt": 1, "equals": 2}}), None, "unknown operator"),
        (with_match({"params.a": {"$gt": 1}}), "/rules/0/match/params.a/$gt", "'gt'"),
        (with_match({"params.a": {"gt": True}}), "/rules/0/match/params.a/gt", "number"),
        (with_match({"params.a": {"lt": float("nan")}}), "/rules/0/match/params.a/lt", "NaN"),
        (with_match({"params.a": 2**60}), "/rules/0/match/params.a", "integer"),
        (with_match({"params.a": {"in": []}}), "/rules/0/match/params.a/in", "empty"),
        (with_match({"params.a": {"in": "x"}}), "/rules/0/match/params.a/in", "list"),
        (with_match({"params.a": {"exists": "true"}}), None, "true or false"),
        (with_match({"params.a": {"regex": "(?!a)"}}), None, "not a valid RE2 pattern"),
        (with_match({"params.a": {"starts_with": ""}}), None, "empty"),
        (with_match({"params.a": {"min_length": -1}}), None, "from 0"),
        (with_match({"remote_ip": {"cidr": "10.0.0.1/8"}}), None, "host bits"),
        (with_match({"remote_ip": {"cidr": ["x"]}}), "/rules/0/match/remote_ip/cidr/0", "10.0"),
        (with_match({"remote_ip": {"cidr": "::ffff:10.0.0.0/104"}}), None, "as IPv4"),
        (with_match({"http": {}}), "/rules/0/match/http", "method, path, or both"),
        (with_match({"http": {"host": "x"}}), "/rules/0/match/http/host", "unknown field"),
        (with_match({"http": {"method": "get"}}), "/rules/0/match/http/method", "capitals"),
        (with_match({"http": {"path": "repos"}}), None, "begins with /"),
        (with_match({"http": {"path": "/a**"}}), None, "stands alone"),
        (with_match({"http": {"path": "/*" * 20}}), None, "stars"),
        (with_match({"time": {}}), "/rules/0/match/time", "days"),
        (with_match({"time": {"zone": "UTC"}}), "/rules/0/match/time", "days"),
        (with_match({"time": {"days": ["Monday"]}}), "/rules/0/match/time/days/0", "mon"),
        (with_match({"time": {"days": []}}), "/rules/0/match/time/days", "empty"),
        (with_match({"time": {"from": "09:00"}}), "/rules/0/match/time", "together"),
        (with_match({"time": {"days": ["mon"], "to": "10:00"}}), None, "go together"),
        (with_match({"time": {"from": "9:00", "to": "10:00"}}), None, "such as 09:00"),
        (with_match({"time": {"from": "09:60", "to": "10:00"}}), None, "no such time"),
        (with_match({"time": {"from": "24:01", "to": "10:00"}}), None, "no such time"),
        (with_match({"time": {"from": "09:00", "to": "09:00"}}), None, "window is empty"),
        (with_match({"time": {"from": "24:00", "to": "09:00"}}), None, "window is empty"),
        (with_match({"time": {"days": ["mon"], "zone": "Mars/Base"}}), None, "time zone"),
        (with_match({"time": {"days": ["mon"], "zone": "../etc/passwd"}}), None, "time zone"),
        (with_match(nested(9)), None, "nest at most 8"),
        (with_match({"any": [{"params.a": i} for i in range(101)]}), None, "at most 100"),
        (
            with_match(
                {"any": [{f"params.{i}": 1, "action": "x", "kind": "y"} for i in range(90)]}
            ),
            "/rules/0/match",
            "at most 200 conditions",
        ),
        (with_match({"params.a": "x" * (MAX_STRING + 1)}), "/rules/0/match/params.a", "longer"),
        (with_match({"params.a": "\ud800"}), "/rules/0/match/params.a", "surrogate"),
        (with_match({"params.a": {"eq": {1: 2}}}), "/rules/0/match/params.a/eq", "strings"),
        (with_match({"params.a": {"eq": object()}}), None, "not a JSON type"),
        (with_match({"params.a": {"eq": [{"a\x00": 1}]}}), None, "NUL"),
        ({**with_rule(), "rules": [{"name": "r", "effect": "deny"}] * 2}, "/rules/1/name", "two"),
        ({**with_rule(), "rules": [{"name": "r", "effect": "deny"}] * 101}, "/rules", "100"),
        ({**with_rule(), "description": "x" * 2001}, "/description", "2000"),
        ([], "", "must be an object, not a list"),
        (None, "", "must be an object, not null"),
    ],
)
def test_refusals_name_the_place_and_say_what_to_change(
    document: object, pointer: str | None, says: str
) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse(document)
    assert says in refused.value.detail
    if pointer is not None:
        assert refused.value.pointer == pointer


def test_size_and_depth_are_bounded() -> None:
    big = [{"name": f"r{at}", "effect": "deny", "tags": ["t" * 60] * 30} for at in range(100)]
    with pytest.raises(InvalidPolicy, match="larger than 65536"):
        parse({"name": "p", "rules": big})
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidPolicy, match="deeper than 32"):
        parse({"name": deep})


json_like = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=2),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=4),
                st.sampled_from(
                    (
                        "name",
                        "rules",
                        "effect",
                        "match",
                        "when",
                        "params.a",
                        "eq",
                        "any",
                        "not",
                        "time",
                        "http",
                        "regex",
                        "cidr",
                        "glob",
                        "zone",
                        "days",
                        "path",
                    )
                ),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(json_like, st.sampled_from((parse, with_match, with_rule)))
def test_reading_gives_a_policy_or_invalid_policy(
    value: object, how: Callable[..., object]
) -> None:
    document = value if how is parse else with_match(value) if how is with_match else None
    if document is None:
        document = {"name": "p", "rules": [value]}
    with suppress(InvalidPolicy):
        assert isinstance(parse(document), Policy)


@pytest.mark.requirement("T34")
def test_counters_are_asked_for_only_where_a_rule_looks_at_them() -> None:
    looks = parse(with_match({"any": [{"counters.agent_hour": {"gt": 5}}, {"action": "x"}]}))
    asks = parse(with_rule(when="counters.agent_pending > 3"))
    says = parse(with_rule(when='action == "counters"'))
    named = parse(with_match({"params.counters": 1}))
    assert [p.rules[0].uses_counters() for p in (looks, asks, says, named)] == [
        True,
        True,
        False,
        False,
    ]


def test_the_schema_accepts_what_is_accepted() -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    validator = jsonschema_rs.validator_for(policy_json_schema())
    assert validator.is_valid(FULL)
    assert validator.is_valid(with_rule())
    assert not validator.is_valid({**with_rule(), "more": 1})
    assert not validator.is_valid(with_match({}))
