"""The risk score: added up, explained, and only ever raising."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidPolicy
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.pipeline import PolicySet, evaluate, explain
from app.core.policy import Effect, parse_policy
from app.core.policy_route import Route
from app.core.risk import LEVELS, Raise, Risk, raised
from app.core.routing import Assurance, Plan, pool

FACTS = Facts(
    action="transfer", kind="plain", agent_id="agt_1", agent_name="bot", target=None,
    urgency="normal", reason="", params={"amount": 900}, context={}, http=None, now=Instant(0),
)  # fmt: skip

pytestmark = pytest.mark.requirement("RISK-1")

RISK: dict[str, object] = {
    "factors": [
        {"name": "much money", "points": 40, "match": {"params.amount": {"gt": 500}}},
        {"name": "far away", "points": 20, "match": {"params.country": {"in": ["XX"]}}},
        {"name": "at night", "points": 30, "match": {"action": {"eq": "other"}}},
    ],
    "raise": {"medium": {"quorum": 2}, "high": {"quorum": 3, "assurance": "L3"}},
}


def policies(*documents: Mapping[str, object]) -> PolicySet:
    made = [
        parse_policy({"name": f"p{at}", **document}, id=f"pol_{at}", version=1)
        for at, document in enumerate(documents)
    ]
    return PolicySet.compile(made, 1)


def test_factors_are_added_up_and_named() -> None:
    verdict = evaluate(policies({"risk": RISK}), FACTS)
    assert verdict.risk is not None
    assert (verdict.effect, verdict.risk.points, verdict.risk.level) == (Effect.REVIEW, 60, "high")
    assert verdict.risk.reasons == (
        "much money (40)", "far away, which could not be decided (20)",
    )  # fmt: skip
    assert (verdict.route.quorum, verdict.route.plan.assurance) == (3, Assurance.SESSION)
    assert verdict.risk.document()["level"] == "high"
    assert explain(policies({"risk": RISK}), FACTS).verdict == verdict


def test_an_allow_and_a_deny_are_not_touched() -> None:
    for effect in (Effect.ALLOW, Effect.DENY):
        rule = {"rules": [{"name": "r", "effect": effect.value}], "risk": RISK}
        verdict = evaluate(policies(rule), FACTS)
        assert (verdict.effect, verdict.risk) == (effect, None)


def test_a_policy_counts_within_its_scope_only() -> None:
    for scope in ({"agents": ["other"]}, {"targets": ["x"]}, {"actions": ["other"]}):
        verdict = evaluate(policies({"risk": RISK, "scope": scope}), FACTS)
        assert verdict.risk is not None and verdict.risk.points == 0
    disabled = evaluate(policies({"risk": RISK, "enabled": False}), FACTS)
    assert disabled.risk is None


def test_the_order_of_policies_makes_no_difference() -> None:
    other = {"risk": {"factors": [{"name": "a bot", "points": 50}]}}
    first, second = (
        evaluate(policies(*pair), FACTS).risk
        for pair in ((other, {"risk": RISK}), ({"risk": RISK}, other))
    )
    assert first is not None and second is not None
    assert (first.points, first.reasons) == (second.points, second.reasons) == (
        100, ("a bot (50)", "much money (40)", "far away, which could not be decided (20)"),
    )  # fmt: skip


@given(
    st.integers(1, 4), st.sampled_from(Assurance), st.integers(0, 100),
    st.lists(st.builds(Raise, st.sampled_from(LEVELS), st.integers(1, 5),
                       st.sampled_from(Assurance)), max_size=4).map(tuple),
)  # fmt: skip
def test_nothing_is_ever_lowered(
    quorum: int, level: Assurance, points: int, raises: tuple[Raise, ...]
) -> None:
    route = Route(quorum, plan=Plan(pool(("role:admin",), quorum), assurance=level))
    after = raised(route, Risk(points, (), raises))
    assert after.quorum >= route.quorum
    assert after.plan.assurance >= route.plan.assurance
    assert after.plan.seats[:quorum] == route.plan.seats
    assert len(after.plan.seats) >= after.quorum
    assert set(after.plan.seats) == {("role:admin",)}


def test_seats_of_names_get_further_ones_for_every_approver() -> None:
    route = Route(2, plan=Plan((("group:a",), ("group:b",))))
    after = raised(route, Risk(80, (), (Raise("low", 3),)))
    assert after == replace(route, quorum=3, plan=Plan((("group:a",), ("group:b",), ())))


@pytest.mark.parametrize(
    ("risk", "pointer"),
    [
        ({"factors": [{"name": "x"}]}, "/risk/factors/0"),
        ({"factors": [{"name": "x", "points": 0}]}, "/risk/factors/0/points"),
        ({"factors": [{"name": "x", "points": 1, "match": {}}]}, "/risk/factors/0/match"),
        ({"raise": {"extreme": {}}}, "/risk/raise/extreme"),
        ({"raise": {"high": {"assurance": "L9"}}}, "/risk/raise/high/assurance"),
        ({"raise": {"high": {"quorum": 99}}}, "/risk/raise/high/quorum"),
        ({"points": 1}, "/risk/points"),
    ],
)
def test_what_is_wrong_is_named(risk: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy({"name": "p", "risk": risk}, id="pol_1", version=1)
    assert caught.value.pointer == pointer
