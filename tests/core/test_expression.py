"""CEL in ``when``: exactly true or false, bounded, refused early (POL-3, T35, T38)."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from app.core.conditions.base import Tri
from app.core.conditions.expression import MAX_EXPRESSION
from app.core.conditions.expression_limits import names_in
from app.core.conditions.tree import parse_when
from app.core.errors import InvalidPolicy
from app.core.facts import Facts
from app.core.instant import SECOND, Instant

pytestmark = [pytest.mark.requirement("POL-3"), pytest.mark.requirement("T38")]

FACTS = Facts(
    action="transfer",
    kind="plain",
    agent_id="agt_1",
    agent_name="billing-1",
    target=None,
    urgency="normal",
    reason="March",
    params={"amount": 5, "half": 0.5, "note": "a+b", "tags": ["a", "b"], "none": None},
    context={},
    http=None,
    now=Instant(1_795_000_000 * SECOND),  # Wednesday, 18 November 2026, 11:06:40 UTC
    remote_ip=None,
    counters={"agent_hour": 3},
)


def when(source: str, facts: Facts = FACTS) -> Tri:
    return parse_when(source, "/when").matches(facts)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("params.amount < 100", True),
        ("params.amount + 1 == 6", True),
        ("params.amount == 5.0", True),
        ("params.amount > 100 || action == 'transfer'", True),
        ("agent.name.startsWith('billing-') && agent.id == 'agt_1'", True),
        ("target == null && http == null && remote_ip == null", True),
        ("target == 'stripe'", False),
        ("time.hour == 11 && time.minute == 6 && time.weekday == 3", True),
        ("time.date == '2026-11-18' && time.epoch == 1795000000", True),
        ("counters.agent_hour >= 3", True),
        ("params.tags.exists(tag, tag == 'a')", True),
        ("params.tags.all(tag, tag.matches('^[a-c]$'))", True),
        ("[{'n': 'ab'}].all(x, x.n.contains('a') && size(x.n) == 2)", True),
        ("'a' in params.tags && has(params.note)", True),
        (r"params.note.matches('a\\+b')", True),
        (r"params.note.matches(r'a\+b')", True),
        ("reason == 'map(' || reason == \"+\"", False),
        ("params.amount == 5 // + + + + + + + + + +", True),
        ("size(params.tags) == 2 && urgency in ['normal', 'low']", True),
        ("params.missing > 1", None),
        ("params.missing > 1 || true", True),
        ("params.note > 1", None),
        ("params.amount", None),
        ("params.none > 1", None),
        ("http.method == 'GET'", None),
        ("target.startsWith('s')", None),
        ("counters.other > 1", None),
        ("params.amount / 0 == 1", None),
        ("params.amount * 9223372036854775807 > 1", None),
    ],
)
def test_meaning(source: str, found: object) -> None:
    assert when(source) is found


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("params.amount <", "Syntax error"),
        ("amount > 1", "undeclared reference to 'amount'"),
        ("time.hours > 1", "undeclared reference"),
        ("action > 1", "no matching overload"),
        ("1", "gives INT, not true or false"),
        ("'true'", "gives STRING"),
        ("(" * 200 + "true" + ")" * 200, "recursion"),
        ("params.tags.map(x, x) == []", "map is not accepted"),
        ("params.tags . filter (x, true) == []", "filter is not accepted"),
        ("params.tags.all(x, x + x == x)", "no +"),
        ("params.tags.all(x, params.tags.exists(y, y == x))", "inside another"),
        ("params.tags.all(x, string(x) == '')", "no call of string"),
        ("params.tags.all(x, bytes(x) == b'')", "no call of bytes"),
        ("params.tags.all(x, reason.matches('a'))", "works on the item only"),
        ("params.tags.all(x, (reason).contains(x))", "works on the item only"),
        ("params.tags.all(x, params.x.contains('a'))", "works on the item only"),
        ("params.tags.exists(x, [1].exists(y, y == x))", "inside another"),
        ("reason.matches('.{400}')", "too complex"),
        ("reason" + " + reason" * 9 + " == ''", "at most 8 plus"),
        ("reason.matches(params.pattern)", "in quotes"),
        ("matches(reason, 'a')", "in quotes"),
        ("reason.matches('a' + 'b')", "in quotes"),
        ("reason.matches('(?=a)')", "RE2"),
        (r"reason.matches('\q')", "not a valid string"),
        ("reason.matches(b'a')", "not a string"),
        ("true" + " " * MAX_EXPRESSION, "at most 2048"),
        ("true\x00", ""),
        (r"reason == r'\' || params.tags.map(x, x) == ['']", ""),
    ],
)
def test_refusals(source: str, says: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_when(source, "/when")
    assert says in refused.value.detail
    assert refused.value.pointer == "/when"


@pytest.mark.requirement("T35")
@pytest.mark.parametrize(
    "params",
    [
        {"x": "a" * 70_000},
        {"x": "é" * 40_000},
        {"a" * 70_000: 1},
        {"x": list(range(1_001))},
        {"x": {str(at): at for at in range(1_001)}},
        {"x": [list(range(900))] * 20},
        {"x": "\ud800"},
        {"x": {"\ud800": 1}},
    ],
    ids=lambda params: str(params)[:30],
)
def test_what_is_too_large_or_no_text_cannot_be_known(params: dict[str, object]) -> None:
    assert when("action == 'transfer'", structs.replace(FACTS, params=params)) is None


def test_deep_values_cannot_be_known() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    assert when("true", structs.replace(FACTS, params={"x": deep})) is None


@pytest.mark.parametrize(
    "odd", [2**70, object(), (1, 2), {1: 2}, b"x"], ids=["int", "object", "tuple", "dict", "bytes"]
)
def test_odd_values_never_raise(odd: object) -> None:
    assert when("params.x == 1", structs.replace(FACTS, params={"x": odd})) in {None, False}


def test_names_in_strings_are_no_names() -> None:
    assert names_in("a.b('c d') == r'e' // f") == {"a", "b"}


@given(st.text(alphabet="abx.()+'\"\\ r|&=1[]all,matches", max_size=40))
def test_any_text_is_compiled_or_refused(source: str) -> None:
    try:
        condition = parse_when(source, "")
    except InvalidPolicy:
        return
    assert condition.matches(FACTS) in {True, False, None}


def test_cel_is_imported_only_when_a_policy_uses_it() -> None:
    code = (
        "import sys, app.core.pipeline as p; from app.core.policy import parse_policy as q\n"
        "q({'name': 'p', 'rules': [{'name': 'r', 'effect': 'deny'}]}, id='x', version=1)\n"
        "sys.exit('cel_expr_python' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
