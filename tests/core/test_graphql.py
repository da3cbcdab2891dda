"""Calls that may be GraphQL: their answers name fields as the query likes."""

from collections.abc import Mapping

import pytest

from app.core.action import Submission, Urgency
from app.core.asking import build_action, facts_of
from app.core.facts import Facts
from app.core.graphql import may_be_graphql
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Effect, parse_policy
from app.core.principals import Agent

pytestmark = pytest.mark.requirement("POL-4")
AGENT = Agent("agt_1", "robot", "", "per_1", 0, False, Instant(0))


def facts(**params: JsonValue) -> Facts:
    action = build_action("http.request", {"method": "POST", "path": "/x", **params})
    submission = Submission("agt_1", action, None, Urgency.NORMAL, "", {})
    return facts_of(submission, AGENT, Instant(1), None, {})


MAY: list[dict[str, JsonValue]] = [
    {"path": "/graphql"},
    {"path": "/api/GraphQL/"},
    {"method": "GET", "path": "/x?query=%7Bme%7Bid%7D%7D"},
    {"method": "GET", "path": "/x?extensions=1"},
    {"json": {"query": "{ me { t: token } }"}},
    {"json": [{"query": "{ me }"}]},
    {"json": {"extensions": {"persistedQuery": {}}}},
    {"text": "{ me { t: token } }", "headers": {"Content-Type": "application/graphql"}},
    {"text": "query=%7Bme%7D", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
]
NOT: list[dict[str, JsonValue]] = [
    {"method": "GET", "path": "/search?query=blue+shoes"},
    {"path": "/graphql/docs"},
    {"json": {"name": "query"}},
    {"json": [1, "query"]},
    {"json": "query"},
    {},
]


@pytest.mark.parametrize("params", MAY, ids=str)
def test_these_may_be(params: dict[str, JsonValue]) -> None:
    assert may_be_graphql(facts(**params).http)


@pytest.mark.parametrize("params", NOT, ids=str)
def test_these_are_not(params: dict[str, JsonValue]) -> None:
    assert not may_be_graphql(facts(**params).http)
    assert not may_be_graphql(None)


def verdict(duty: Mapping[str, JsonValue], effect: str, **params: JsonValue) -> tuple[Effect, str]:
    document = {
        "name": "p",
        "rules": [{"name": "r", "effect": effect, "obligations": [{"kind": "redact", **duty}]}],
    }
    policies = PolicySet.compile([parse_policy(document, id="pol_1", version=1)], 1)
    found = evaluate(policies, facts(**params))
    return found.effect, " ".join(found.reasons)


def test_a_mask_by_name_asks_where_the_query_gives_the_names() -> None:
    named: JsonObject = {"fields": ["token"]}
    query: JsonObject = {"query": "{ me { t: token } }"}
    effect, reasons = verdict(named, "allow", json=query)
    assert effect is Effect.REVIEW and "GraphQL" in reasons
    assert "GraphQL" in verdict(named, "review", json=query)[1]
    assert verdict(named, "deny", json=query)[0] is Effect.DENY
    assert verdict(named, "allow", json={"name": "x"})[0] is Effect.ALLOW
    assert verdict({"kinds": ["email"]}, "allow", json=query)[0] is Effect.ALLOW
