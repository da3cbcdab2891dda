"""Every condition: what holds, what does not, and what can't be known (POL-2, T34, T35)."""

import math
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from app.core.conditions.base import Tri, every, negated, opposite, some
from app.core.conditions.equality import same
from app.core.conditions.tree import parse_match
from app.core.facts import MISSING, UNCLEAR, Facts, parse_path, reader
from app.core.instant import Instant, from_datetime
from app.core.json_types import JsonValue

pytestmark = [pytest.mark.requirement("POL-2"), pytest.mark.requirement("T35")]

FACTS = Facts(
    action="http.request",
    kind="http",
    agent_id="agt_1",
    agent_name="billing-1",
    target="stripe",
    urgency="normal",
    reason="March",
    params={
        "amount": 5,
        "half": 0.5,
        "flag": True,
        "none": None,
        "nan": math.nan,
        "inf": math.inf,
        "big": 2**70,
        "name": "Zoë",
        "surrogate": "\ud800",
        "arabic": "٣",
        "tags": ["a", "b", 1],
        "deep": {"list": [{"x": 1}], "a.b": 2, "back\\slash": 3},
        "ip": "10.1.2.3",
        "mapped": "::ffff:10.1.2.3",
        "six": "2001:db8::7",
        "scoped": "fe80::1%eth0",
        "text": "a\nb",
    },
    context={"amount": 7},
    http={
        "method": "GET",
        "path": "/repos/one/two",
        "query": {"page": "2", "id": ["1", "2"]},
        "headers": {"content-type": "application/json"},
        "json": {"action": "close"},
    },
    now=Instant(0),
    remote_ip="192.0.2.1",
    counters={"agent_hour": 3},
)


def holds(match: JsonValue, facts: Facts = FACTS) -> Tri:
    return parse_match(match, "").matches(facts)


YES: list[JsonValue] = [
    {"action": "http.request"},
    {"agent.name": "billing-1", "agent.id": "agt_1", "kind": "http", "urgency": "normal"},
    {"target": "stripe", "reason": "March", "remote_ip": "192.0.2.1"},
    {"params.amount": 5},
    {"params.amount": 5.0},
    {"params.half": {"gt": 0, "lt": 1}},
    {"params.big": {"gt": 9_007_199_254_740_991}},
    {"params.none": None},
    {"params.amount": {"ne": None}},
    {"params.flag": True},
    {"params.name": {"in": ["x", "Zoë"]}},
    {"params.amount": {"in": ["5", 5]}},
    {"params.amount": {"not_in": [6, 7]}},
    {"params.tags": {"contains": "b"}},
    {"params.tags": {"contains": 1}},
    {"params.tags": {"eq": ["a", "b", 1.0]}},
    {"params.tags.0": "a"},
    {"params.deep.list.0.x": 1},
    {"params.deep.a\\.b": 2},
    {"params.deep.back\\\\slash": 3},
    {"params.deep.list": {"eq": [{"x": 1}]}},
    {"params.name": {"starts_with": "Z", "ends_with": "ë", "contains": "o"}},
    {"params.name": {"min_length": 3, "max_length": 3}},
    {"params.name": {"glob": "Zo?"}},
    {"params.name": {"glob": ["x", "*o*"]}},
    {"params.text": {"glob": "a*b"}},
    {"params.text": {"glob": "a?b"}},
    {"params.text": {"regex": "^b|a\n"}},
    {"params.missing": {"exists": False}, "params.none": {"exists": True}},
    {"params.ip": {"cidr": "10.0.0.0/8"}},
    {"params.mapped": {"cidr": ["192.168.0.0/16", "10.0.0.0/8"]}},
    {"params.six": {"cidr": "2001:db8::/32"}},
    {"http.headers.Content-Type": "application/json"},
    {"http.query.page": "2", "http.query.id.1": "2", "http.json.action": "close"},
    {"http.path": {"glob": "/repos/**"}, "http.method": "GET"},
    {"http": {"method": ["GET", "HEAD"], "path": ["/x", "/repos/*/two"]}},
    {"http": {"method": "GET"}},
    {"counters.agent_hour": {"lte": 3}},
    {"any": [{"params.missing": 1}, {"params.amount": 5}]},
    {"not": {"params.amount": 6}},
    {"all": [{"params.amount": 5}, {"context.amount": 7}]},
]

NO: list[JsonValue] = [
    {"action": "HTTP.request"},
    {"action": {"glob": "http"}},
    {"params.amount": 6},
    {"params.amount": {"gt": 5}},
    {"params.amount": {"gte": 5, "lt": 5}},
    {"params.amount": {"ne": 5.0}},
    {"params.amount": None},
    {"params.flag": False},
    {"params.name": "Zoe\u0308"},
    {"params.name": {"not_in": ["Zoë"]}},
    {"params.arabic": {"regex": r"^\d$"}},
    {"params.tags": {"eq": ["a", "b"]}},
    {"params.deep.list": {"eq": [{"y": 1}]}},
    {"params.six": {"cidr": "10.0.0.0/8"}},
    {"params.tags": {"max_length": 2}},
    {"http": {"method": "GET", "path": "/repos"}},
    {"http": {"method": "POST"}},
    {"http.path": {"glob": "/repos/*"}},
    {"http.path": {"glob": "/repos?one?two"}},
    {"params.missing": 1, "params.amount": 6},
    {"all": [{"params.missing": 1}, {"params.amount": 6}]},
    {"not": {"params.amount": 5}},
]

UNKNOWN: list[JsonValue] = [
    {"params.missing": 1},
    {"params.missing": {"ne": 1}},
    {"params.missing": None},
    {"params.amount": "5"},
    {"params.amount": {"ne": "5"}},
    {"params.amount": True},
    {"params.flag": 1},
    {"params.flag": {"gte": 0}},
    {"params.nan": {"lt": 1}},
    {"params.nan": 1},
    {"params.nan": {"ne": 1}},
    {"params.inf": {"gt": 1}},
    {"params.none": {"lt": 1}},
    {"params.none": "x"},
    {"params.tags": "a"},
    {"params.tags": {"not_in": ["a"]}},
    {"params.tags": {"contains": "c"}},
    {"params.name": {"contains": 1}},
    {"params.amount": {"contains": "5"}},
    {"params.amount": {"glob": "5"}},
    {"params.amount": {"regex": "5"}},
    {"params.amount": {"min_length": 1}},
    {"params.surrogate": {"regex": "a"}},
    {"params.scoped": {"cidr": "fe80::/10"}},
    {"params.name": {"cidr": "10.0.0.0/8"}},
    {"params.deep.list": {"eq": [{"x": "1"}]}},
    {"params.tags.00": "a"},
    {"params.tags.-1": 1},
    {"params.tags.٣": 1},
    {"params.name.0": "Z"},
    {"params.deep.__class__": "x"},
    {"http.query.id": "1"},
    {"http.headers.x-missing": "1"},
    {"counters.other": {"gt": 1}},
    {"not": {"params.missing": 1}},
    {"any": [{"params.missing": 1}, {"params.amount": 6}]},
    {"params.missing": 1, "params.amount": 5},
]


@pytest.mark.parametrize("match", YES, ids=str)
def test_what_holds(match: JsonValue) -> None:
    assert holds(match) is True


@pytest.mark.parametrize("match", NO, ids=str)
def test_what_does_not(match: JsonValue) -> None:
    assert holds(match) is False


@pytest.mark.parametrize("match", UNKNOWN, ids=str)
def test_what_cannot_be_known(match: JsonValue) -> None:
    assert holds(match) is None


def test_any_mapping_is_an_object() -> None:
    frozen = structs.replace(FACTS, params=MappingProxyType({"a": MappingProxyType({"b": 1})}))
    assert holds({"params.a.b": 1}, frozen) is True
    assert holds({"params.a.c": 1}, frozen) is None
    assert holds({"params.a": {"eq": {"b": 1}}}, frozen) is True


def test_absent_facts_are_missing() -> None:
    bare = structs.replace(FACTS, http=None, target=None, remote_ip=None)
    for path in ("http.method", "http.path", "http.query.page", "http.json", "target", "remote_ip"):
        assert reader(parse_path(path))(bare) is MISSING


@pytest.mark.requirement("T34")
@pytest.mark.parametrize(
    "path",
    [
        "/a/../b",
        "/a/./b",
        "//a",
        "/a//b",
        "/a/%2e%2e/b",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a;x=1/b",
        "/a%252e",
        "/a\x00",
        "a/b",
        "",
        "/a?b",
        "/a/..",
    ],
)
def test_a_path_that_reads_in_two_ways_is_not_judged(path: str) -> None:
    unclear = structs.replace(FACTS, http={"method": "GET", "path": path})
    assert reader(("http", "path"))(unclear) is UNCLEAR
    for match in ({"glob": "/**"}, {"eq": path or "x"}, {"starts_with": "/"}, {"regex": "."}):
        assert holds({"http.path": match}, unclear) is None


@pytest.mark.parametrize("path", ["/", "/a", "/.well-known/x", "/a.b/c..d", "/a%20b", "/a/"])
def test_plain_paths_are_judged(path: str) -> None:
    assert (
        holds({"http.path": {"glob": "/**"}}, structs.replace(FACTS, http={"path": path})) is True
    )


def test_methods_in_small_letters_are_not_judged() -> None:
    odd = structs.replace(FACTS, http={"method": "get", "path": "/"})
    assert holds({"http": {"method": "GET"}}, odd) is None
    assert holds({"http": {"method": ["POST", "PUT"]}}, odd) is None


@pytest.mark.parametrize(
    ("glob", "path", "found"),
    [
        ("/repos/**", "/repos", True),
        ("/repos/**", "/repos/", True),
        ("/repos/**", "/repository", False),
        ("/**/x", "/x", True),
        ("/**/x", "/a/b/x", True),
        ("/**/x", "/a/bx", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/b/c", False),
        ("/a/v?", "/a/v1", True),
        ("/a.c", "/abc", False),
        ("/a", "/A", False),
        ("/(a|b)", "/a", False),
        ("/*", "/a\n", True),
        ("/*", "/a\n/b", False),
    ],
)
def test_path_globs(glob: str, path: str, found: object) -> None:
    assert (
        holds({"http.path": {"glob": glob}}, structs.replace(FACTS, http={"path": path})) is found
    )


@pytest.mark.parametrize(
    ("glob", "text", "found"),
    [
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "ac", False),
        ("a*ba", "aba", True),
        ("ab*ba", "aba", False),
        ("**", "", True),
        ("*a*a*a*a*a*b", "a" * 5_000, False),
        ("[a]", "a", False),
        ("a.c", "abc", False),
        ("?", "é", True),
        ("?", "", False),
        ("*", "a/b", True),
    ],
)
def test_plain_globs(glob: str, text: str, found: object) -> None:
    assert holds({"params.x": {"glob": glob}}, structs.replace(FACTS, params={"x": text})) is found


@pytest.mark.parametrize(
    ("window", "moment", "found"),
    [
        ({"days": ["mon"]}, "2026-11-23T00:00+00:00", True),
        ({"days": ["mon"]}, "2026-11-24T00:00+00:00", False),
        ({"from": "09:00", "to": "17:00"}, "2026-11-23T09:00+00:00", True),
        ({"from": "09:00", "to": "17:00"}, "2026-11-23T17:00+00:00", False),
        ({"from": "09:00", "to": "24:00"}, "2026-11-23T23:59+00:00", True),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-11-20T23:00+00:00", True),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-11-21T05:59+00:00", True),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-11-20T05:00+00:00", False),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-11-21T06:00+00:00", False),
        ({"from": "09:00", "to": "10:00", "zone": "Europe/Berlin"}, "2026-07-01T07:30+00:00", True),
        ({"from": "09:00", "to": "10:00", "zone": "Europe/Berlin"}, "2026-01-01T08:30+00:00", True),
        (
            {"from": "09:00", "to": "10:00", "zone": "Europe/Berlin"},
            "2026-01-01T09:30+00:00",
            False,
        ),
    ],
)
def test_time_windows(window: JsonValue, moment: str, found: object) -> None:
    now = from_datetime(datetime.fromisoformat(moment))
    assert holds({"time": window}, structs.replace(FACTS, now=now)) is found


def test_a_time_out_of_the_calendar_cannot_be_known() -> None:
    far = structs.replace(FACTS, now=Instant(10**30))
    assert holds({"time": {"days": ["mon"]}}, far) is None
    assert ZoneInfo("UTC") is not None


tri = st.sampled_from((True, False, None))


def _all_of(values: list[Tri]) -> Tri:
    return False if False in values else None if None in values else True


@given(st.lists(tri, max_size=5))
def test_kleene(values: list[Tri]) -> None:
    checks = [(lambda _facts, value=value: value) for value in values]
    both, either = every(checks)(FACTS), some(checks)(FACTS)
    assert both is _all_of(values)
    assert either is (True if True in values else None if None in values else False)
    flipped = [opposite(check) for check in checks]
    assert some(flipped)(FACTS) is opposite(every(checks))(FACTS)
    assert every(flipped)(FACTS) is opposite(some(checks))(FACTS)


@given(tri)
def test_not_twice_is_nothing(value: Tri) -> None:
    assert opposite(opposite(lambda _: value))(FACTS) is value
    assert negated(negated(lambda _: value))(None) is value


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=6,
)


@given(json_values, json_values)
def test_a_value_is_the_same_as_itself_and_never_as_another(one: JsonValue, two: JsonValue) -> None:
    assert same(one, one) is True
    if same(one, two) is True:
        assert same(two, one) is True
        assert one == two
