"""Verdicts: first match, ties, undecided rules, failures, explanations (POL-1, POL-8, T35, T38)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn, cast

import pytest
from msgspec import structs

from app.core.facts import Facts
from app.core.instant import Instant
from app.core.pipeline import NO_MATCH, POLICY_ERROR, PolicySet, evaluate, explain
from app.core.policy import Effect, Policy, Route, parse_policy
from app.core.routing import Plan, pool

pytestmark = [pytest.mark.requirement("POL-1"), pytest.mark.requirement("T38")]

FACTS = Facts(
    action="transfer_money",
    kind="plain",
    agent_id="agt_1",
    agent_name="billing-1",
    target="stripe",
    urgency="normal",
    reason="March",
    params={"amount": 5, "currency": "EUR"},
    context={},
    http=None,
    now=Instant(1_795_000_000_000_000),
)
UNKNOWN = {"params.missing": "x"}


def policy(name: str, *rules: dict[str, object], **fields: object) -> Policy:
    named = [{"name": f"r{at}", **rule} for at, rule in enumerate(rules)]
    return parse_policy({"name": name, "rules": named, **fields}, id=f"pol_{name}", version=7)


def rule(
    effect: str, match: Mapping[str, object] | None = None, **more: object
) -> dict[str, object]:
    return {"effect": effect, **({} if match is None else {"match": match}), **more}


def verdict_of(*policies: Policy, facts: Facts = FACTS) -> tuple[str, str | None]:
    compiled = PolicySet.compile(policies, 1)
    verdict = evaluate(compiled, facts)
    assert explain(compiled, facts).verdict == verdict
    return str(verdict.effect), verdict.policy_name


def test_without_a_match_a_human_looks() -> None:
    assert evaluate(PolicySet.compile([], 1), FACTS) is NO_MATCH
    assert verdict_of(policy("a", rule("allow", {"action": "other"}))) == ("review", None)
    assert NO_MATCH.effect is Effect.REVIEW
    assert NO_MATCH.reasons == ("no policy matched",)


def test_a_verdict_carries_what_the_rule_says() -> None:
    asked = rule(
        "review",
        reason="ask",
        route={"quorum": 3},
        tags=["LLM06"],
        obligations=[{"kind": "require_reason"}],
    )
    verdict = evaluate(PolicySet.compile([policy("a", asked)], 1), FACTS)
    assert (verdict.policy_id, verdict.policy_version, verdict.rule) == ("pol_a", 7, "r0")
    assert (verdict.reasons, verdict.tags, verdict.route) == (
        ("ask",),
        ("LLM06",),
        Route(3, plan=Plan(pool((), 3))),
    )
    assert [duty.kind for duty in verdict.obligations] == ["require_reason"]


def test_lower_numbers_come_first() -> None:
    early = policy("a", rule("allow"), priority=1)
    late = policy("b", rule("deny"), priority=2)
    assert verdict_of(late, early) == ("allow", "a")


@pytest.mark.requirement("T39")
def test_ties_go_to_deny_then_review_then_allow_then_id_then_place() -> None:
    allow, review, deny = (policy(x, rule(x)) for x in ("allow", "review", "deny"))
    assert verdict_of(allow, review, deny) == ("deny", "deny")
    assert verdict_of(allow, review) == ("review", "review")
    twin = policy("aa", rule("allow"))
    assert verdict_of(allow, twin) == ("allow", "aa")
    inside = policy("p", rule("allow", {"action": "transfer_money"}), rule("deny"), rule("deny"))
    verdict = evaluate(PolicySet.compile([inside], 1), FACTS)
    assert (verdict.effect, verdict.rule) == (Effect.DENY, "r1")


def test_disabled_policies_say_nothing() -> None:
    assert verdict_of(policy("a", rule("allow"), enabled=False)) == ("review", None)


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        ({}, True),
        ({"agents": []}, True),
        ({"agents": ["billing-*"]}, True),
        ({"agents": ["Billing-*"]}, False),
        ({"agents": ["agt_1"]}, False),
        ({"targets": ["str?pe"]}, True),
        ({"targets": ["paypal", "*"]}, True),
        ({"actions": ["transfer_*"], "agents": ["x"]}, False),
        ({"actions": ["*_money"]}, True),
        ({"actions": ["transfer"]}, False),
    ],
)
def test_scope(scope: dict[str, object], *, inside: bool) -> None:
    expected = ("allow", "a") if inside else ("review", None)
    assert verdict_of(policy("a", rule("allow"), scope=scope)) == expected


def test_a_policy_for_targets_is_not_for_actions_without_one() -> None:
    anywhere = policy("a", rule("allow"), scope={"targets": ["*"]})
    assert verdict_of(anywhere, facts=structs.replace(FACTS, target=None)) == ("review", None)


@pytest.mark.requirement("T35")
def test_an_undecided_allow_is_skipped() -> None:
    first = policy("a", rule("allow", UNKNOWN), priority=1)
    assert verdict_of(first) == ("review", None)
    assert verdict_of(first, policy("b", rule("allow"), priority=2)) == ("allow", "b")


@pytest.mark.requirement("T35")
@pytest.mark.parametrize("effect", ["deny", "review"])
def test_an_undecided_deny_or_review_is_a_review_that_says_so(effect: str) -> None:
    first = policy("a", rule(effect, UNKNOWN, route={"quorum": 2}), priority=1)
    after = policy("b", rule("allow"), priority=2)
    verdict = evaluate(PolicySet.compile([first, after], 1), FACTS)
    assert (verdict.effect, verdict.policy_name, verdict.rule) == (Effect.REVIEW, "a", "r0")
    assert verdict.route == Route(2, plan=Plan(pool((), 2)))
    assert 'could not be decided: params.missing is "x"' in verdict.reasons[0]
    assert verdict_of(first, after) == ("review", "a")


def test_an_undecided_rule_never_softens_a_deny_behind_it() -> None:
    first = policy("a", rule("deny", UNKNOWN), priority=1)
    after = policy("b", rule("deny"), priority=2)
    verdict = evaluate(PolicySet.compile([first, after], 1), FACTS)
    assert (verdict.effect, verdict.policy_name, len(verdict.reasons)) == (Effect.DENY, "b", 2)
    assert verdict_of(first, after) == ("deny", "b")


def _burst(_: Facts) -> NoReturn:
    raise MemoryError


def test_any_failure_is_a_review() -> None:
    good = policy("a", rule("allow"))
    broken = replace(good.rules[0], match=replace(good.rules[0].match, matches=_burst))
    compiled = PolicySet.compile([replace(good, rules=(broken,))], 1)
    assert evaluate(compiled, FACTS) is POLICY_ERROR
    assert explain(compiled, FACTS).verdict is POLICY_ERROR
    nonsense = structs.replace(FACTS, action=cast("str", []))
    assert evaluate(PolicySet.compile([good], 1), nonsense) is POLICY_ERROR


def test_a_set_knows_its_revision_and_whether_it_counts() -> None:
    counting = policy("a", rule("deny", {"counters.agent_hour": {"gt": 5}}))
    assert PolicySet.compile([counting], 4).uses_counters
    assert not PolicySet.compile([replace(counting, enabled=False)], 4).uses_counters
    assert PolicySet.compile([], 4).revision == 4
    assert not PolicySet.compile([counting], 4).repeatable
    assert PolicySet.compile([replace(counting, enabled=False)], 4).repeatable
    for when in ('remote_ip == "10.0.0.1"', "counters.agent_day > 3"):
        assert not PolicySet.compile([policy("b", rule("deny", when=when))], 4).repeatable
    risk = {"factors": [{"name": "f", "points": 1, "match": {"remote_ip": "10.0.0.1"}}]}
    assert not PolicySet.compile([policy("c", risk=risk)], 4).repeatable
    busy = structs.replace(FACTS, counters={"agent_hour": 6})
    assert verdict_of(counting, facts=busy) == ("deny", "a")
    assert verdict_of(counting) == ("review", "a")


@pytest.mark.requirement("T34")
def test_params_never_shadow_what_is_known() -> None:
    hostile = {"action": "read", "agent": {"name": "root"}, "params": {"amount": 1}, "kind": "x"}
    lies = structs.replace(FACTS, params={**hostile, "params.amount": 1}, context=hostile)
    for match in (
        {"action": "read"},
        {"agent.name": "root"},
        {"kind": "x"},
        {"params.amount": 1},
        {"params.__class__": {"exists": True}},
    ):
        assert verdict_of(policy("a", rule("allow", match)), facts=lies) == ("review", None)
    assert verdict_of(policy("a", rule("allow", {"params.params\\.amount": 1})), facts=lies) == (
        "allow",
        "a",
    )


@pytest.mark.requirement("POL-8")
def test_an_explanation_has_every_rule_with_its_outcome() -> None:
    policies = [
        policy("disabled", rule("deny"), enabled=False, priority=1),
        policy("others", rule("deny"), scope={"agents": ["x"]}, priority=2),
        policy("unsure", rule("allow", UNKNOWN), priority=3),
        policy("no", rule("deny", {"params.amount": {"gt": 9}}), priority=4),
        policy("yes", rule("allow", {"params.amount": {"lt": 9}}), priority=5),
        policy("late", rule("deny"), priority=6),
    ]
    explained = explain(PolicySet.compile(policies, 1), FACTS)
    assert [(one.policy_name, one.outcome) for one in explained.rules] == [
        ("disabled", "disabled"),
        ("others", "out_of_scope"),
        ("unsure", "indeterminate"),
        ("no", "no"),
        ("yes", "match"),
        ("late", "not_reached"),
    ]
    no = explained.rules[3].conditions
    assert no is not None
    assert (no.expected, no.found, no.result) == ("params.amount is greater than 9", "5", "no")
    unsure = explained.rules[2].conditions
    assert unsure is not None
    assert unsure.why == "can't be known: there is no such value"
    assert json.loads(json.dumps(explained.to_json()))["verdict"]["effect"] == "allow"


@pytest.mark.requirement("POL-8")
def test_an_explanation_shortens_what_it_found() -> None:
    long = structs.replace(FACTS, params={"note": "x" * 5_000})
    asked = policy("a", rule("deny", {"any": [{"params.note": {"gt": 1}}, {"action": "y"}]}))
    found = explain(PolicySet.compile([asked], 1), long).rules[0].conditions
    assert found is not None
    assert len(found.parts[0].found or "") <= 80
    assert "another type" in found.parts[0].why


@pytest.mark.requirement("POL-8")
@pytest.mark.parametrize(
    ("match", "path", "found", "why"),
    [
        ({"http.path": "/a"}, "/a/../b", "a value that can be read in two ways", "unclear"),
        ({"http.path": "/a"}, "/a", "'/a'", "holds"),
        ({"http.path": "/a"}, "/b", "'/b'", "does not hold"),
        ({"http.query.x": "1"}, "/a", "nothing", "no such value"),
        ({"http.json.x": "1"}, OSError(), "an error", "of another type"),
    ],
)
def test_an_explanation_says_what_was_found(
    match: Mapping[str, object], path: object, found: str, why: str
) -> None:
    http: object = {"method": "GET", "path": path}
    facts = structs.replace(
        FACTS, http=cast("dict[str, object]", 5 if isinstance(path, OSError) else http)
    )
    explained = explain(PolicySet.compile([policy("a", rule("deny", match))], 1), facts)
    condition = explained.rules[0].conditions
    assert condition is not None
    assert condition.found == found
    assert why in condition.why


@pytest.mark.requirement("POL-8")
def test_an_explanation_of_an_expression_that_cannot_be_known() -> None:
    asked = rule("deny", when="params.missing == 1")
    explained = explain(PolicySet.compile([policy("a", asked)], 1), FACTS)
    condition = explained.rules[0].conditions
    assert condition is not None
    assert (condition.result, condition.found) == ("indeterminate", None)
    assert condition.why.startswith("can't be known")


@pytest.mark.requirement("T60")
def test_an_error_asks_a_person_and_denies_what_nobody_can_approve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> object:
        raise ArithmeticError

    monkeypatch.setattr("app.core.pipeline._decide", broken)
    effects = [
        evaluate(PolicySet.compile([], 1), structs.replace(FACTS, http={"method": method})).effect
        for method in ("GET", "WEBSOCKET")
    ]
    assert effects == [Effect.REVIEW, Effect.DENY]
