"""From what an agent sends to an action, and from an action to the facts about it."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.action import BoundTarget, Detached, HttpAction, PlainAction, Submission, Urgency
from app.core.asking import build_action, facts_of, permit
from app.core.canonical import canonical
from app.core.conditions.tree import parse_match, parse_when
from app.core.errors import InvalidAction, TargetNotPermitted
from app.core.facts import UNCLEAR, Facts
from app.core.graphql import may_be_graphql
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.principals import Agent, Permission

AGENT = Agent("agt_1", "robot", "", "per_1", 0, False, Instant(0))
NOW = Instant(1)


def call(**params: Any) -> HttpAction:
    """Build an HTTP action."""
    action = build_action("http.request", {"method": "POST", "path": "/x", **params})
    assert isinstance(action, HttpAction)
    return action


@pytest.mark.requirement("REQ-1")
@pytest.mark.parametrize("name", ["a", "send_mail", "a.b-c_9", "a" * 128, "httpx.request"])
def test_plain_names(name: str) -> None:
    assert build_action(name, {"to": "bob"}) == PlainAction(name, {"to": "bob"})


@pytest.mark.requirement("REQ-1", "T5")
@pytest.mark.parametrize(
    "name",
    [
        "", "A", "9a", "_a", "a b", "a\n", "a/b", "a" * 129, "ä", "\u0430bc", "http.", "http.get",
        "ssh.run", "mcp.call", "HTTP.request", "http.request ",
    ],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidAction) as refused:
        build_action(name, {"method": "GET", "path": "/"})
    assert refused.value.pointer == "/action"


@pytest.mark.requirement("REQ-2")
def test_a_call_is_kept_byte_for_byte() -> None:
    action = call(path="/a%20b?q=1&q=2", headers={"X-Tag": "v"}, text="é")
    assert (action.path, action.query) == ("/a%20b", "q=1&q=2")
    assert action.headers == (("x-tag", "v"),)
    assert action.body == "é".encode()
    assert call(base64="AAH/").body == b"\x00\x01\xff"
    assert call().body == b""


@pytest.mark.requirement("REQ-2")
def test_json_is_canonical_and_gets_its_type() -> None:
    action = call(json={"b": 1, "a": [None]})
    assert action.body == canonical({"a": [None], "b": 1})
    assert action.headers == (("content-type", "application/json"),)
    typed = call(json={}, headers={"Content-Type": "application/vnd.x+json"})
    assert typed.headers == (("content-type", "application/vnd.x+json"),)
    assert call(json=None).body == b"null"


@pytest.mark.requirement("REQ-1", "T45")
@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"method": None}, "/params/method"),
        ({"method": "post"}, "/params/method"),
        ({"method": "TRACE"}, "/params/method"),
        ({"method": "CONNECT"}, "/params/method"),
        ({"method": "GET\r\nX: y"}, "/params/method"),
        ({"path": 1}, "/params/path"),
        ({"path": "x"}, "/params/path"),
        ({"path": "/a/../b"}, "/params/path"),
        ({"path": "//evil.example/"}, "/params/path"),
        ({"url": "https://evil.example"}, "/params/url"),
        ({"headers": []}, "/params/headers"),
        ({"headers": {"X": 1}}, "/params/headers/X"),
        ({"json": {}, "text": ""}, "/params/text"),
        ({"text": "", "base64": ""}, "/params/base64"),
        ({"text": {}}, "/params/text"),
        ({"base64": "A"}, "/params/base64"),
        ({"base64": "AA A="}, "/params/base64"),
        ({"base64": "é"}, "/params/base64"),
    ],
)
def test_malformed_calls_are_pointed_at(params: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidAction) as refused:
        call(**params)
    assert refused.value.pointer == pointer


@pytest.mark.requirement("T45")
@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Transfer-Encoding", "Connection", "X Y", "X\r\nY", ""]
)
def test_headers_of_the_framing_are_refused(name: str) -> None:
    with pytest.raises(InvalidAction) as refused:
        call(headers={name: "v"})
    assert (refused.value.pointer or "").startswith("/params/headers")


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    ("permissions", "good"),
    [
        (None, True),
        ((), False),
        ((Permission("github"),), True),
        ((Permission("Github"),), False),
        ((Permission("github", profiles=("readonly-safe",)),), False),
        ((Permission("mail"),), False),
        ((Permission("github", ("GET",)),), False),
        ((Permission("github", ("GET", "POST")),), True),
        ((Permission("github", (), ("/repos/*",)),), True),
        ((Permission("github", (), ("/repos",)),), False),
        ((Permission("github", (), ("/users/**",)),), False),
        ((Permission("github", ("GET",), ("/repos/*",)),), False),
        ((Permission("github", ("GET",)), Permission("github", ("POST",), ("/repos/**",))), True),
        ((Permission("github", ("GET",), ("/repos/*",)), Permission("mail", ("POST",))), False),
    ],
)
def test_permissions_of_a_key(permissions: tuple[Permission, ...] | None, good: bool) -> None:
    action = call(path="/repos/x")
    if good:
        permit(permissions, "github", action)
    else:
        with pytest.raises(TargetNotPermitted, match="POST /repos/x at github"):
            permit(permissions, "github", action)


@pytest.mark.requirement("KEY-2", "T43")
@pytest.mark.parametrize("path", ["/repos%2Fx/y", "/repos/%2e%2e/admin", "/%72epos/x"])
def test_an_escaped_path_does_not_slip_through_a_permission(path: str) -> None:
    try:
        action = call(path=path)
    except InvalidAction:
        return
    with pytest.raises(TargetNotPermitted):
        permit((Permission("github", (), ("/repos/other",)),), "github", action)


@pytest.mark.requirement("POL-2", "T34", "T43")
def test_facts_are_computed_from_what_would_run() -> None:
    action = call(
        path="/x?a=1&a=2&b=", headers={"X-Tag": "v"}, json={"amount": 5, "method": "DELETE"}
    )
    submission = Submission(
        "agt_1", action, BoundTarget("tgt_1", "github", "https://x", 3), Urgency.HIGH, "why",
        {"action": "other", "target": "fake"},
    )  # fmt: skip
    facts = facts_of(submission, AGENT, NOW, "192.0.2.1", {"pending": 2})
    assert (facts.action, facts.kind, facts.target) == ("http.request", "http", "github")
    assert (facts.agent_id, facts.agent_name, facts.urgency) == ("agt_1", "robot", "high")
    assert (facts.reason, facts.remote_ip, facts.now) == ("why", "192.0.2.1", NOW)
    assert facts.context == {"action": "other", "target": "fake"}
    assert facts.counters == {"pending": 2}
    assert facts.http == {
        "method": "POST",
        "path": "/x",
        "query": {"a": ["1", "2"], "b": ""},
        "headers": {"x-tag": "v", "content-type": "application/json"},
        "json": {"amount": 5, "method": "DELETE"},
        "body_bytes": 30,
    }


@pytest.mark.requirement("POL-2", "T36")
def test_a_body_that_is_not_strict_json_is_unclear() -> None:
    typed = {"Content-Type": "application/json"}
    large = replace(call(headers=typed), detached=Detached("0" * 64, 9_000_000))
    bodies = ('{"a": 1, "a": 2}', "hello", '{"a": NaN}', '{"a": 1')
    for action in (large, call(text='{"a": 1}'), *(call(text=x, headers=typed) for x in bodies)):
        facts = facts_about(action)
        assert facts.http is not None and facts.http["json"] is UNCLEAR
        for text in ({"exists": False}, {"exists": True}, {"eq": None}, {"ne": 1}):
            for name in ("http.json", "http.json.a", "http.json.a.0"):
                assert parse_match({name: text}, "").matches(facts) is None, (name, text)
        assert parse_match({"http.query.a": {"exists": False}}, "").matches(facts) is True


@pytest.mark.requirement("POL-2", "POL-3", "T36")
def test_without_a_body_nothing_is_in_it() -> None:
    facts = facts_about(call())
    assert facts.http is not None and "json" not in facts.http
    assert parse_match({"http.json.a": {"exists": False}}, "").matches(facts) is True
    assert parse_when("!has(http.json)", "").matches(facts) is True


@pytest.mark.requirement("POL-3", "T36")
@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("!has(http.json)", None),
        ("!has(http.json.a)", None),
        ("!('json' in http)", None),
        ("!has( http // .\n . json )", None),
        ("http['js' + 'on'].a != 1", None),
        ("http.all(name, name != 'json')", None),
        ("http.method == 'POST' && !has(http.json.a)", None),
        ("http.method == 'POST' || has(http.json.a)", True),
        ("http.method == 'GET' && has(http.json.a)", False),
        ("http.method == 'POST' && http.path.startsWith('/') && !has(http.query.a)", True),
        ("http.body_bytes == 5 && size(http.headers) == 1", True),
        ("http != null", None),
        ("!has(params.http)", True),
    ],
)
def test_an_expression_knows_nothing_of_a_body_that_nobody_could_read(
    source: str, *, found: bool | None
) -> None:
    facts = facts_about(call(text="hello", headers={"Content-Type": "application/json"}))
    assert parse_when(source, "").matches(facts) is found


@pytest.mark.requirement("POL-2", "POL-3", "T36")
def test_a_query_that_servers_split_in_two_ways_is_unclear() -> None:
    facts = facts_about(call(path="/issues?x=1;sudo=root"))
    assert facts.http is not None and facts.http["query"] is UNCLEAR
    for text in ({"exists": False}, {"exists": True}, {"eq": "1"}, {"ne": "1"}):
        for name in ("http.query.x", "http.query.sudo", "http.query.y"):
            assert parse_match({name: text}, "").matches(facts) is None, (name, text)
    for source, found in (
        ("!has(http.query.sudo)", None), ("!('sudo' in http.query)", None), ("http != null", None),
        ("!has(http.json)", True), ("http.path == '/issues' && !has(http.json)", True),
        ('!("query" in .http)', None), ("!has(.http.query)", None), ("size( .http ) == 4", None),
        ("!has(params.http)", True), (".http.path == '/issues'", True),
    ):  # fmt: skip
        assert parse_when(source, "").matches(facts) is found, source
    assert may_be_graphql(facts.http)
    encoded = facts_about(call(path="/issues?x=1%3Bsudo=root"))
    assert parse_match({"http.query.x": "1;sudo=root"}, "").matches(encoded) is True


def facts_about(action: HttpAction) -> Facts:
    submission = Submission("agt_1", action, None, Urgency.NORMAL, "", {})
    return facts_of(submission, AGENT, NOW, None, {})


@pytest.mark.requirement("T34")
def test_a_plain_action_has_no_http_facts() -> None:
    action = PlainAction("send", {"http": {"method": "GET"}, "target": "github"})
    submission = Submission("agt_1", action, None, Urgency.NORMAL, "", {})
    facts = facts_of(submission, AGENT, NOW, None, {})
    assert (facts.http, facts.target) == (None, None)


@pytest.mark.requirement("T35", "T44")
@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"Content-Type": "application/json"}, True),
        ({"Content-Type": "application/vnd.x+json; charset=utf-8"}, True),
        ({"Content-Type": "application/x-www-form-urlencoded"}, False),
        ({"Content-Type": "application/json; charset=utf-16"}, False),
        ({}, False),
    ],
)
def test_a_body_is_json_only_where_the_upstream_reads_it_so(
    headers: dict[str, JsonValue], known: bool
) -> None:
    params: JsonObject = {"method": "POST", "path": "/", "headers": headers,
                          "text": '{"amount":5,"x":"&amount=9999&"}'}  # fmt: skip
    action = build_action("http.request", params)
    assert isinstance(action, HttpAction) and action.says_json is known
