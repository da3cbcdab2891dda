"""What is said of calls before they are made never promises more than the verdict keeps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.facts import Facts
from app.core.instant import Instant
from app.core.outlook import outlook
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Effect, parse_policy

pytestmark = pytest.mark.requirement("SVC-3")

MATCHES: list[dict[str, Any]] = [
    {"http.method": "GET"}, {"http": {"method": ["GET", "HEAD"], "path": "/a/**"}},
    {"http.path": {"starts_with": "/a"}}, {"target": "one"}, {"agent.name": "other"},
    {"not": {"http.method": "GET"}}, {"any": [{"http.method": "PUT"}, {"target": "two"}]},
    {"all": [{"action": "http.request"}, {"urgency": "high"}]}, {"reason": {"contains": "x"}},
]  # fmt: skip


def policies(rules: list[tuple[str, int]]) -> PolicySet:
    made = [
        parse_policy(
            {
                "name": f"p{at}", "priority": at,
                "rules": [{"name": "r", "effect": effect, "match": MATCHES[match]}],
            },
            id=f"p{at}", version=1,
        )
        for at, (effect, match) in enumerate(rules)
    ]  # fmt: skip
    return PolicySet.compile(made, 1)


def seen(made: PolicySet, method: str) -> tuple[Effect, ...]:
    return outlook(made, agent_id="a", agent_name="robot", target="one", method=method)


def test_what_depends_on_the_method_alone_is_certain() -> None:
    made = policies([("allow", 0), ("deny", 6)])
    assert seen(made, "GET") == (Effect.ALLOW,)
    assert seen(made, "PUT") == (Effect.DENY,)
    assert seen(made, "POST") == (Effect.REVIEW,)


def test_what_depends_on_more_is_open() -> None:
    assert seen(policies([("allow", 1)]), "GET") == (Effect.ALLOW, Effect.REVIEW)
    assert seen(policies([("allow", 1)]), "POST") == (Effect.REVIEW,)
    assert seen(policies([("deny", 2), ("allow", 0)]), "GET") == (
        Effect.ALLOW, Effect.REVIEW, Effect.DENY,
    )  # fmt: skip


def test_policies_for_others_and_disabled_ones_do_not_count() -> None:
    rule = {"name": "r", "effect": "allow"}
    scoped = parse_policy({"name": "a", "scope": {"agents": ["x*"]}, "rules": [rule]},
                          id="a", version=1)  # fmt: skip
    off = parse_policy({"name": "b", "enabled": False, "rules": [rule]}, id="b", version=1)
    assert seen(PolicySet.compile([scoped, off], 1), "GET") == (Effect.REVIEW,)


@given(
    rules=st.lists(
        st.tuples(st.sampled_from(["allow", "deny", "review"]), st.integers(0, len(MATCHES) - 1)),
        max_size=5,
    ),
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    path=st.sampled_from(["/a/b", "/b", "/a/../b"]),
    urgency=st.sampled_from(["normal", "high"]),
    reason=st.sampled_from(["", "xyz"]),
)
def test_the_verdict_is_always_among_what_was_said(
    rules: list[tuple[str, int]], method: str, path: str, urgency: str, reason: str
) -> None:
    made = policies(rules)
    facts = Facts(
        action="http.request", kind="http", agent_id="a", agent_name="robot", target="one",
        urgency=urgency, reason=reason, params={}, context={},
        http={"method": method, "path": path}, now=Instant(0),
    )  # fmt: skip
    effect = evaluate(made, facts).effect
    said = seen(made, method)
    assert effect in said
