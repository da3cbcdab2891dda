"""The verdict on a bundle: the strictest call decides, and nobody is asked for less."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bundle_verdict import Asking, combined, combined_route, judge
from app.core.execution import Refusal
from app.core.instant import Instant
from app.core.pipeline import NO_MATCH, PolicySet
from app.core.policy import Effect, Obligation, Route, parse_policy
from app.core.principals import Agent, Person, Role
from app.core.routing import Assurance, Notice, Plan, Rung, Voter, seats_of
from tests.core.test_bundle import a_bundle, a_submission

pytestmark = pytest.mark.requirement("REQ-8", "DEC-3")

AGENT = Agent("agt_1", "robot", "", None, 0, False, Instant(0))
FINANCE, OPS = ("group:finance",), ("group:ops",)
SEATS = st.lists(st.sampled_from([(), FINANCE, OPS, (*FINANCE, *OPS)]), min_size=1, max_size=3)
GROUPS = st.frozensets(st.sampled_from(["finance", "ops"]))


def routed(*seats: tuple[str, ...], quorum: int = 0, **plan: object) -> Route:
    return Route(quorum or len(seats), plan=Plan(seats=seats, **plan))  # pyright: ignore[reportArgumentType]


def voters(groups: list[frozenset[str]]) -> list[Voter]:
    return [
        Voter(Person(f"per_{n}", "", "", Role.APPROVER, "-", True, Instant(0)), found)
        for n, found in enumerate(groups)
    ]  # fmt: skip


@given(st.lists(st.tuples(SEATS, st.integers(1, 3)), min_size=1, max_size=3),
       st.lists(GROUPS, max_size=6))  # fmt: skip
def test_who_satisfies_all_satisfies_each(
    wanted: list[tuple[list[tuple[str, ...]], int]], groups: list[frozenset[str]]
) -> None:
    routes = [routed(*seats, quorum=min(quorum, len(seats))) for seats, quorum in wanted]
    whole, people = combined_route(routes), voters(groups)
    if seats_of(whole.plan.seats, people) >= whole.quorum:
        for route in routes:
            assert seats_of(route.plan.seats, people) >= route.quorum


def test_one_route_stays_as_it_is() -> None:
    route = routed(FINANCE, OPS, quorum=1)
    assert combined_route([route, route]) is route


def test_two_routes_ask_for_all_that_each_asks() -> None:
    first = Route(1, expires_in=60, owner_may_decide=True, plan=Plan(
        denials=2, notify=(Notice("slack"),), ladder=(Rung(5, ("role:admin",)),)))  # fmt: skip
    second = Route(1, valid_for=900, owner_may_decide=False, plan=Plan(
        seats=(FINANCE,), assurance=Assurance.SESSION, notify=(Notice("email"),)))  # fmt: skip
    usual = Route(expires_in=30, valid_for=60)
    found = combined_route([first, second], usual)
    assert found.plan.seats == (FINANCE,) and found.quorum == 1
    assert (found.plan.denials, found.plan.assurance) == (1, Assurance.SESSION)
    assert found.plan.notify == (Notice("slack"), Notice("email"))
    assert found.plan.ladder == (Rung(5, ()),), "nobody more may decide"
    assert (found.expires_in, found.valid_for, found.owner_may_decide) == (30, 60, False)


def test_the_strictest_effect_holds_with_reasons_by_call() -> None:
    allow = replace(NO_MATCH, effect=Effect.ALLOW, reasons=("fine",), tags=("a",))
    deny = replace(NO_MATCH, effect=Effect.DENY, reasons=("never",), tags=("b", "a"))
    duty = replace(NO_MATCH, obligations=(Obligation("require_reason", {}),))
    found = combined([(1, allow), (2, duty), (3, deny), (5, allow)])
    assert found.effect is Effect.DENY
    assert found.reasons == ("call 3: never", "call 2: no policy matched", "calls 1, 5: fine")
    assert found.tags == ("a", "b") and found.obligations == duty.obligations
    assert combined([(1, allow), (2, allow)]).reasons == ("every call: fine",)


def test_the_calls_of_a_bundle_count_one_after_another() -> None:
    document = {
        "name": "few",
        "rules": [{"name": "r", "effect": "deny",
                   "match": {"counters.agent_hour": {"gte": 3}}}],
    }  # fmt: skip
    policies = PolicySet.compile([parse_policy(document, id="pol_1", version=1)], revision=1)
    by = Asking(AGENT, Instant(0), None, {"agent_hour": 1})
    assert judge(policies, a_submission(a_bundle(2)), by).effect is Effect.REVIEW
    assert judge(policies, a_submission(a_bundle(3)), by).effect is Effect.DENY
    assert judge(policies, a_submission(a_bundle(3)), by, [2]).effect is Effect.REVIEW
    assert issubclass(Refusal, Exception)
