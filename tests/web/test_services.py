"""Adding a service over the API, and on a page that works without script."""

import re

import pytest

from app.core.principals import Role
from tests.support.canary import CANARY
from tests.web.conftest import Door
from tests.web.test_targets import browser

pytestmark = [pytest.mark.requirement("SVC-1"), pytest.mark.timeout(120)]


async def test_the_api_lists_presets_and_makes_targets(door: Door) -> None:
    admin, viewer = await door.client("admin"), await door.client("viewer")
    listed = (await viewer.get("/api/presets")).json()["items"]
    jira = next(one for one in listed if one["name"] == "jira")
    assert jira["own_host"] and not jira["oauth"]
    assert jira["credential"]["fields"] == ["username", "password"]
    body = {"preset": "github", "account": "acme", "fields": {"token": CANARY}}
    assert (await viewer.post("/api/targets", json=body)).status_code == 403
    made = await admin.post("/api/targets", json=body)
    assert (made.status_code, made.json()["name"]) == (201, "github.acme")
    assert CANARY not in made.text
    again = await admin.post("/api/targets", json=body)
    assert (again.status_code, again.json()["pointer"]) == (409, "/account")


@pytest.mark.requirement("GW-5", "KEY-2")
async def test_the_api_takes_the_guard_and_lists_of_calls(door: Door) -> None:
    admin, agent = await door.client("admin"), await door.client("agent")
    rule = {"methods": ["DELETE"], "paths": []}
    body = {
        "name": "own", "base_url": "https://a.example.org", "guard": "reads_pass",
        "settings": {"deny": [rule]},
    }  # fmt: skip
    made = await admin.post("/api/targets", json=body)
    assert (made.status_code, made.json()["settings"]["deny"]) == (201, [rule])
    names = [one["name"] for one in (await admin.get("/api/policies")).json()["items"]]
    assert names == ["own"]
    gateway = await agent.delete("/gateway/own/x")
    assert (gateway.status_code, gateway.json()["code"]) == (403, "call_not_permitted")
    denied = {"target": "own", "methods": ["POST"], "paths": ["/x"], "denied": True}
    key = {
        "name": "k", "scopes": ["request:create"], "agent_id": door.world.agent.id,
        "permissions": [{"target": "own"}, denied],
    }  # fmt: skip
    answer = await admin.post("/api/keys", json=key)
    assert answer.status_code == 201
    assert answer.json()["key"]["permissions"][1] == {**denied, "profiles": []}
    bad = {**key, "permissions": [{"target": "own", "paths": ["x"]}]}
    refused = await admin.post("/api/keys", json=bad)
    assert refused.json()["pointer"] == "/permissions/0/paths/0"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "a"}, "/base_url"),
        ({"name": "a", "base_url": "https://a.example.org", "account": "b"}, "/account"),
        ({"name": "a", "preset": "github"}, "/name"),
        ({"preset": "github", "guard": "reads_pass"}, "/guard"),
        ({"preset": "nothing"}, "/preset"),
    ],
)
async def test_half_of_one_and_half_of_the_other_is_refused(
    door: Door, body: dict[str, str], pointer: str
) -> None:
    answer = await (await door.client("admin")).post("/api/targets", json=body)
    assert answer.status_code in {404, 422, 400}
    assert answer.json()["pointer"] == pointer


async def test_a_service_is_added_on_its_page(door: Door) -> None:
    admin = await browser(door, Role.ADMIN)
    assert 'href="/services"' in (await admin.get("/targets")).text
    assert 'href="/services/github"' in (await admin.get("/services")).text
    page = (await admin.get("/services/github")).text
    assert "Fine-grained personal access tokens" in page and "<script" not in page.split("<main")[1]
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token
    form = {"form_token": token[1], "field_token": CANARY, "account": "A B"}
    refused = await admin.post("/services/github", data=form)
    assert refused.status_code in {400, 422} and "/account" in refused.text
    assert CANARY not in refused.text
    added = await admin.post("/services/github", data={**form, "account": ""})
    assert added.status_code == 303
    shown = await admin.get(added.headers["location"])
    assert "api.github.com" in shown.text
    client = {"form_token": token[1], "account": "two", "client_id": "us"}
    connect = await admin.post("/services/github", data=client)
    assert connect.headers["location"].startswith("/connections#")
    assert "github.two" in (await admin.get("/connections")).text


@pytest.mark.requirement("GW-5")
async def test_lists_and_guard_are_on_the_targets_form(door: Door) -> None:
    admin = await browser(door, Role.ADMIN)
    page = (await admin.get("/targets")).text
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token
    form = {
        "form_token": token[1], "name": "own", "base_url": "https://a.example.org", "guard": "on",
        "allow": "get,head /a/** /b\n", "deny": "* /a/secret\n\nDELETE",
    }  # fmt: skip
    added = await admin.post("/targets", data=form)
    assert added.status_code == 303
    shown = (await admin.get(added.headers["location"])).text
    assert "GET,HEAD /a/** /b" in shown and "* /a/secret\nDELETE" in shown
    bad = await admin.post("/targets", data={**form, "name": "b", "deny": "GET a"})
    assert bad.status_code == 400
    assert "At “Never these calls”" in bad.text
    assert (await door.world.services.policies.list(door.world.anne))[0].name == "own"


async def test_the_pages_are_for_administrators(door: Door) -> None:
    operator = await browser(door, Role.OPERATOR)
    assert (await operator.get("/services")).status_code == 403
    assert (await operator.get("/services/github")).status_code == 403


async def test_what_is_destructive_is_marked_where_people_decide(door: Door) -> None:
    admin = await door.client("admin")
    await admin.post("/api/targets", json={"preset": "github"})
    request = await door.world.call("DELETE", "/repos/a/b", "github")
    approver = await browser(door, Role.APPROVER)
    page = (await approver.get(f"/requests/{request.id}")).text
    assert "Risk: <strong>high</strong>" in page and "Marked: <strong>destructive</strong>" in page
    card = (await admin.get(f"/api/requests/{request.id}/card")).json()
    assert card["risk"] == "high"
    assert "Marked" in str(card["facts"]) and "destructive" in str(card["facts"])
