"""Every kind of condition: total, described, JSON round trip, documented (POL-2)."""

import json
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.conditions import CONDITIONS
from app.core.conditions.base import Condition, Kind
from app.core.conditions.tree import parse_match, parse_when
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import parse_policy

pytestmark = pytest.mark.requirement("POL-2")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policies.md"
KINDS = pytest.mark.parametrize("kind", CONDITIONS, ids=lambda kind: kind.name)

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(max_size=3),
        st.sampled_from(("EUR", "10.0.0.1", "/repos/a", "GET", "\ud800", "a" * 70_000)),
        st.builds(object),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(("amount", "currency", "note", "file", "to", "x", "0")), inner
        ),
    ),
    max_leaves=6,
)
names = ("amount", "currency", "note", "file", "to", "branch", "coupon", "recipients")
facts_of = st.builds(
    Facts,
    **dict.fromkeys(
        ("action", "kind", "agent_id", "agent_name", "target", "urgency", "reason", "remote_ip"),
        anything,
    ),
    params=st.one_of(anything, st.dictionaries(st.sampled_from(names), anything)),
    context=anything,
    http=st.one_of(
        anything, st.dictionaries(st.sampled_from(("method", "path", "query", "json")), anything)
    ),
    now=st.one_of(anything, st.integers().map(Instant)),
    counters=anything,
)


def parse(kind: Kind, example: JsonValue) -> Condition:
    if kind.form == "expression":
        return parse_when(example, "")
    return parse_match(example, "")


def document(kind: Kind) -> JsonObject:
    where = "when" if kind.form == "expression" else "match"
    rule: JsonObject = {"name": "r", "effect": "allow", where: kind.example}
    return {"name": "p", "rules": [rule]}


@KINDS
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(facts=facts_of)
def test_it_is_total(kind: Kind, facts: Facts) -> None:
    assert parse(kind, kind.example).matches(facts) in {True, False, None}
    policy = parse_policy(cast("dict[str, object]", document(kind)), id="p", version=1)
    assert evaluate(PolicySet.compile([policy], 1), facts).effect in {"allow", "deny", "review"}


@KINDS
def test_it_is_described(kind: Kind) -> None:
    assert kind.summary.endswith(".")
    assert parse(kind, kind.example).describe()


@KINDS
def test_its_json_reads_back(kind: Kind) -> None:
    condition = parse(kind, kind.example)
    written = cast("JsonObject", json.loads(json.dumps(condition.to_json())))
    again = parse(kind, written["when"] if kind.form == "expression" else written)
    assert (again.describe(), again.to_json()) == (condition.describe(), condition.to_json())


@KINDS
def test_it_is_documented(kind: Kind) -> None:
    assert f"| `{kind.name}` |" in PAGE.read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    assert len({kind.name for kind in CONDITIONS}) == len(CONDITIONS)
