"""The index: the same verdicts as trying everything, in any order, never softer (POL-1, T39)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from app.core.conditions.glob import plain_glob
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.pipeline import PolicySet, evaluate, explain
from app.core.policy import Effect, Policy, parse_policy
from app.core.policy_index import CACHE_SIZE, Classifier

pytestmark = [pytest.mark.requirement("POL-1"), pytest.mark.requirement("T39")]

SOFTNESS = {Effect.DENY: 0, Effect.REVIEW: 1, Effect.ALLOW: 2}
NAMES = ("a", "b", "ab", "abc", "x.y")
GLOBS = ("a", "b", "a*", "*c", "*", "?", "a*c", "x.*")

values = st.one_of(
    st.sampled_from(NAMES), st.integers(0, 3), st.none(), st.booleans(), st.just(["a"])
)
params = st.dictionaries(st.sampled_from(("p", "q")), values, max_size=2)
facts_of = st.builds(
    Facts,
    action=st.sampled_from(NAMES),
    kind=st.just("plain"),
    agent_id=st.just("agt_1"),
    agent_name=st.sampled_from(NAMES),
    target=st.one_of(st.none(), st.sampled_from(NAMES)),
    urgency=st.just("normal"),
    reason=st.just(""),
    params=params,
    context=st.just({}),
    http=st.none(),
    now=st.just(Instant(0)),
)
leaf = st.one_of(
    st.builds(
        lambda path, name: {path: name},
        st.sampled_from(("params.p", "params.q", "action")),
        st.sampled_from(NAMES),
    ),
    st.builds(
        lambda names: {"params.p": {"in": names}},
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    ),
    st.builds(lambda limit: {"params.q": {"gt": limit}}, st.integers(0, 3)),
    st.builds(lambda there: {"params.q": {"exists": there}}, st.booleans()),
)
matches = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=4,
)


@st.composite
def policy_sets(draw: st.DrawFn) -> list[Policy]:
    """Draw policies that often collide in priority, scope and conditions."""
    policies = list[Policy]()
    for number in range(draw(st.integers(0, 14))):
        scope = {
            name: draw(st.lists(st.sampled_from(GLOBS), max_size=2))
            for name in ("agents", "targets", "actions")
            if draw(st.booleans())
        }
        rules = list[object]()
        for at in range(draw(st.integers(1, 2))):
            rule: dict[str, object] = {"name": f"r{at}", "effect": draw(st.sampled_from(Effect))}
            if draw(st.integers(0, 4)):
                rule["match"] = draw(matches)
            rules.append({**rule, "effect": str(rule["effect"])})
        document = {
            "name": f"p{number}",
            "priority": draw(st.integers(0, 2)),
            "enabled": draw(st.integers(0, 5)) > 0,
            "scope": scope,
            "rules": rules,
        }
        policies.append(parse_policy(document, id=f"pol_{number}", version=1))
    return policies


class Broken(Mapping[str, object]):
    """Facts that fail when they are looked at."""

    def __getitem__(self, name: str) -> object:
        raise OSError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, name: object) -> bool:
        return True


def first_deny(policies: Sequence[Policy], match: dict[str, object]) -> Policy:
    document = {
        "name": "first",
        "priority": 0,
        "rules": [{"name": "no", "effect": "deny", "match": match}],
    }
    policy = parse_policy(document, id="", version=1)
    lowest = min((other.priority for other in policies), default=0)
    return replace(policy, priority=lowest - 1)


@given(policy_sets(), st.lists(facts_of, min_size=1, max_size=5))
def test_the_index_agrees_with_trying_every_rule(policies: list[Policy], many: list[Facts]) -> None:
    compiled = PolicySet.compile(policies, 1)
    for facts in many:
        assert evaluate(compiled, facts) == explain(compiled, facts).verdict


@given(policy_sets(), facts_of, st.randoms())
def test_the_order_of_insertion_makes_no_difference(
    policies: list[Policy], facts: Facts, shuffler: Random
) -> None:
    shuffled = list(policies)
    shuffler.shuffle(shuffled)
    before = evaluate(PolicySet.compile(policies, 1), facts)
    assert evaluate(PolicySet.compile(shuffled, 1), facts) == before


@given(policy_sets(), facts_of, matches)
def test_putting_a_deny_first_never_loosens(
    policies: list[Policy], facts: Facts, match: dict[str, object]
) -> None:
    before = evaluate(PolicySet.compile(policies, 1), facts)
    tightened = [*policies, first_deny(policies, match)]
    after = evaluate(PolicySet.compile(tightened, 1), facts)
    assert SOFTNESS[after.effect] <= SOFTNESS[before.effect]


@given(st.sets(st.sampled_from((*GLOBS, "ab*", "abc*", "a**", "??"))), st.text("abcx.", max_size=4))
def test_a_class_is_the_set_of_patterns_that_match(patterns: set[str], value: str) -> None:
    found = Classifier(patterns).of(value).patterns
    matching = {pattern for pattern in patterns if plain_glob(pattern)(value)}
    assert {one.replace("**", "*") for one in found} == {one.replace("**", "*") for one in matching}


def test_values_that_agents_invent_do_not_grow_the_classes() -> None:
    classifier = Classifier(["transfer_*", "http.request"])
    classes = {classifier.of(f"transfer_{number}") for number in range(CACHE_SIZE + 10)}
    assert len(classes) == 1
    assert classifier.of(None) is classifier.of("unknown")


def test_a_long_list_is_split_by_equality_and_stays_right_after_the_cache_is_emptied() -> None:
    policies = [
        parse_policy(
            {
                "name": f"p{at}",
                "rules": [{"name": "r", "effect": "deny", "match": {"params.customer": f"c{at}"}}],
            },
            id=f"pol_{at:05}",
            version=1,
        )
        for at in range(CACHE_SIZE + 50)
    ]
    compiled = PolicySet.compile(policies, 1)
    base = Facts("x", "plain", "a", "a", None, "normal", "", {}, {}, None, Instant(0))
    for at in (0, *range(CACHE_SIZE + 50), 7):
        facts = structs.replace(base, params={"customer": f"c{at}"})
        assert len(compiled.candidates(facts)) == 1
        assert evaluate(compiled, facts).policy_name == f"p{at}"
    assert compiled.candidates(structs.replace(base, params={"customer": "other"})) == ()
    broken = structs.replace(base, params=cast("dict[str, object]", Broken()))
    assert evaluate(compiled, broken).effect is Effect.REVIEW
    confused = evaluate(compiled, structs.replace(base, params={"customer": ["c1"]}))
    assert confused.effect is Effect.REVIEW
    assert "could not be decided" in confused.reasons[0]
