"""The plain form of a policy: what it shows, what it writes, and what it never touches."""

import json
from typing import Any

import pytest

from app.core.policy import parse_policy
from app.services.policies import PolicyRecord
from app.web.dashboard.doors import Form
from app.web.dashboard.policy_form import EMPTY, read, write
from tests.web.conftest import Door
from tests.web.test_doors import administrator
from tests.web.test_faults import wrong
from tests.web.test_selection import fields

pytestmark = pytest.mark.requirement("POL-8", "DASH-1")

RULE: dict[str, Any] = {"name": "r", "effect": "deny", "match": {"http.method": {"in": ["GET"]}}}
PLAIN: dict[str, Any] = {"name": "p", "rules": [RULE]}
READ: dict[str, dict[str, Any]] = {
    "bare": PLAIN,
    "whole": {
        "name": "p", "description": "for us", "priority": 7, "enabled": False,
        "scope": {"agents": ["ci-*", "robot"], "targets": ["git*"], "actions": ["http.request"]},
        "rules": [{**RULE, "reason": "no", "match": {"http.method": {"in": ["GET", "PUT"]},
                                                     "http.path": {"glob": ["/a/**", "/b"]}}}],
    },
    "one path": {**PLAIN, "rules": [{**RULE, "match": {"http.path": {"glob": "/a"}}}]},
    "empty lists": {**PLAIN, "scope": {"agents": [], "targets": []}},
    "every call": {"name": "p", "scope": {"actions": ["http.request"]},
                   "rules": [{"name": "r", "effect": "review"}]},
}  # fmt: skip
OTHER: dict[str, dict[str, Any]] = {
    "two rules": {**PLAIN, "rules": [RULE, {**RULE, "name": "s"}]},
    "risk": {**PLAIN, "risk": {}},
    "no rule": {"name": "p", "risk": {}},
    "route": {**PLAIN, "rules": [{**RULE, "route": {"quorum": 2}}]},
    "when": {**PLAIN, "rules": [{**RULE, "when": "params.a == 1"}]},
    "tags": {**PLAIN, "rules": [{**RULE, "tags": ["LLM06"]}]},
    "obligations": {**PLAIN, "rules": [{**RULE, "obligations": [{"kind": "require_reason"}]}]},
    "another fact": {**PLAIN, "rules": [{**RULE, "match": {"params.a": 1}}]},
    "another operator": {**PLAIN, "rules": [{**RULE, "match": {"http.method": "GET"}}]},
    "two operators": {**PLAIN, "rules": [{**RULE, "match": {"http.path": {
        "glob": "/a", "starts_with": "/"}}}]},
    "no text": {**PLAIN, "rules": [{**RULE, "match": {"http.method": {"in": ["GET", 1]}}}]},
    "small letters": {**PLAIN, "rules": [{**RULE, "match": {"http.method": {"in": ["get"]}}}]},
    "a blank in a path": {**PLAIN, "rules": [{**RULE, "match": {"http.path": {"glob": "/a b"}}}]},
    "other actions": {**PLAIN, "scope": {"actions": ["send_mail"]}},
    "every action": {"name": "p", "rules": [{"name": "r", "effect": "deny"}]},
    "a reason with a blank": {**PLAIN, "rules": [{**RULE, "reason": "no "}]},
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_it_shows_it_writes_as_it_was(name: str) -> None:
    document = READ[name]
    parse_policy(document, id="pol_1", version=1)
    before = json.dumps(document)
    form = read(document)
    assert form is not None
    assert json.dumps(write(form, document)) == before == json.dumps(document)


@pytest.mark.parametrize("name", OTHER)
def test_what_says_more_is_not_shown(name: str) -> None:
    parse_policy(OTHER[name], id="pol_1", version=1)
    assert read(OTHER[name]) is None


def test_a_change_leaves_all_else_as_it_is() -> None:
    whole = READ["whole"]
    form = read(whole)
    assert form is not None and form["methods"] == "GET PUT" and form["paths"] == "/a/** /b"
    changed = write(Form({**form, "paths": "", "agents": "", "reason": "", "methods": "POST",
                          "effect": "review", "name": "q", "priority": "8"}), whole)  # fmt: skip
    assert changed == {
        **whole, "name": "q", "priority": 8,
        "scope": {"targets": ["git*"], "actions": ["http.request"]},
        "rules": [{"name": "r", "effect": "review", "match": {"http.method": {"in": ["POST"]}}}],
    }  # fmt: skip
    everything = write(Form(name="p", effect="deny", priority="100"), PLAIN)
    assert everything["scope"] == {"actions": ["http.request"]}
    assert read(EMPTY) is not None


async def policies(door: Door) -> list[PolicyRecord]:
    return await door.world.services.policies.list(door.world.anne)


async def test_a_policy_is_made_and_changed_by_the_form(door: Door) -> None:
    browser = await administrator(door)
    form = fields(await browser.get("/policies/new"))
    given = {**form, "name": "Reads", "effect": "allow", "targets": "shop", "priority": "500",
             "methods": "get, HEAD", "paths": "/notes/**"}  # fmt: skip
    made = await browser.post("/policies", data=given)
    assert made.status_code == 303, made.text
    (record,) = await policies(door)
    assert record.document == {
        "name": "Reads", "priority": 500, "enabled": True,
        "scope": {"actions": ["http.request"], "targets": ["shop"]},
        "rules": [{"name": "calls", "effect": "allow", "match": {
            "http.method": {"in": ["GET", "HEAD"]}, "http.path": {"glob": ["/notes/**"]}}}],
    }  # fmt: skip
    address = made.headers["location"]
    page = await browser.get(address)
    assert 'value="GET HEAD"' in page.text and "<summary>Edit as JSON" in page.text
    given = {**fields(page), **given, "paths": ""}
    assert (await browser.post(address, data=given)).status_code == 303
    (record,) = await policies(door)
    assert record.version == 2 and "http.path" not in json.dumps(record.document)
    late = await browser.post(address, data={**given, "version": "1"})
    assert (late.status_code, "version_mismatch" in late.text) == (409, True)
    assert 'value="shop"' in late.text


async def test_mistakes_stand_at_the_fields_and_what_was_written_stays(door: Door) -> None:
    browser = await administrator(door)
    form = {**fields(await browser.get("/policies/new")), "name": "p", "targets": "shop",
            "effect": "allow"}  # fmt: skip
    for name, text in (("paths", "repos"), ("priority", "soon"), ("name", ""), ("targets", "")):
        sent = await browser.post("/policies", data={**form, name: text})
        assert (sent.status_code, list(wrong(sent.text))) == (400, [name]), (name, sent.text)
        assert f'value="{text}"' in sent.text and '<option value="allow" selected>' in sent.text
    sent = await browser.post("/policies", data={**form, "document": '{"name": ""}'})
    assert (sent.status_code, wrong(sent.text)) == (400, {})
    assert "Begin again" in sent.text and "&#34;name&#34;: &#34;&#34;" in sent.text


async def test_a_policy_that_says_more_is_edited_as_json_alone(door: Door) -> None:
    services, browser = door.world.services, await administrator(door)
    record = await services.policies.create(door.world.anne, OTHER["route"])
    page = await browser.get(f"/policies/{record.id}")
    assert "says more than the plain form can" in page.text and 'name="methods"' not in page.text
    form = {**fields(page), "name": "p", "effect": "deny", "priority": "1"}
    sent = await browser.post(f"/policies/{record.id}", data=form)
    assert (sent.status_code, "edit it as JSON" in sent.text) == (400, True)
    assert (await policies(door))[0].document == OTHER["route"]
