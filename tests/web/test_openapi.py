"""Every route is described or a page, and what a change answers is what the document says."""

from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Mount, Route

from app.asgi import document
from tests.support.canary import CANARY
from tests.web.conftest import Door

DOCUMENT: dict[str, Any] = document()
DESCRIBED = set(DOCUMENT["paths"])

APART = frozenset({"/openapi.json", "/static", "/l/{token}", "/gateway/{path:path}"})
"""Neither operations nor pages."""

PAGES = (
    "/inbox", "/requests", "/setup", "/sign-in", "/sign-out", "/account", "/targets",
    "/credentials", "/policies", "/agents", "/people", "/audit", "/events", "/installation",
    "/notices", "/decisions", "/services", "/connections", "/connect", "/ssh-hosts",
)  # fmt: skip
"""Beginnings of the dashboard's addresses: for browsers with a session, never for keys."""


def deny(uri: str) -> Any:
    """Fetch nothing."""
    raise LookupError(uri)


def check(answer: Any, method: str, path: str) -> Any:
    """Validate an answer against the document and return its body."""
    described = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in described, (method, path, answer.text)
    if answer.status_code == 204:
        assert answer.content == b""
        return None
    kind = answer.headers["content-type"].partition(";")[0]
    schema = described[str(answer.status_code)]["content"][kind]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, retriever=deny).validate(answer.json())
    return answer.json()


async def test_every_route_is_described_or_a_page(door: Door) -> None:
    for route in door.app.router.routes:
        assert isinstance(route, Route | Mount), route
        page = route.path == "/" or any(
            route.path == start or route.path.startswith(f"{start}/") for start in PAGES
        )
        assert [route.path in DESCRIBED, route.path in APART, page].count(True) == 1, route.path


@pytest.mark.requirement("T13", "T33")
async def test_a_key_opens_no_page(door: Door) -> None:
    for who in ("admin", "agent"):
        client = await door.client(who)
        for route in door.app.router.routes:
            if not isinstance(route, Route) or route.path in DESCRIBED | APART:
                continue
            address = route.path.format_map(dict.fromkeys(route.param_convertors, "none_1"))
            for method in sorted((route.methods or set()) - {"HEAD"}):
                answer = await client.request(method, address)
                shown = answer.status_code == 200 and route.path not in ("/sign-in", "/setup")
                assert answer.status_code < 500 and not shown, (who, method, route.path)


@pytest.mark.requirement("REQ-1", "DEC-1", "REQ-5")
async def test_a_requests_life_is_as_described(door: Door) -> None:
    agent, approver = await door.client("agent"), await door.client("approver")
    home = "/api/requests/{request_id}"
    asked = check(await door.ask(reason="r"), "POST", "/api/requests")
    path = f"/api/requests/{asked['id']}"
    ballot = {"decision": "approve", "digest": asked["digest"], "comment": "fine"}
    for status in (200, 409):
        answer = await approver.post(f"{path}/decide", json=ballot)
        assert answer.status_code == status
        check(answer, "POST", f"{home}/decide")
    for tail in ("", "/audit", "/result"):
        check(await agent.get(f"{path}{tail}"), "GET", f"{home}{tail}")
    second = (await door.ask()).json()["id"]
    for status in (200, 409):
        answer = await agent.post(f"/api/requests/{second}/cancel", json={"note": "no need"})
        assert answer.status_code == status
        check(answer, "POST", f"{home}/cancel")
    listed = check(await agent.get("/api/requests?limit=1"), "GET", "/api/requests")
    assert listed["next"]


POLICY = {"name": "p", "rules": [{"name": "r", "effect": "review"}]}
PERSON = {
    "name": "Eve", "email": "eve@example.org", "role": "viewer",
    "password": "four unrelated words 47",
}  # fmt: skip
SECRET = {"name": "c", "kind": "bearer", "fields": {"token": CANARY}}
TARGET = {"name": "t", "base_url": "https://api.example.org"}


@pytest.mark.requirement("POL-8", "VLT-1", "KEY-1", "KEY-4")
async def test_the_directorys_changes_are_as_described(door: Door) -> None:
    client = await door.client("admin")
    ids: dict[str, str] = {}

    async def call(method: str, path: str, json: Any = None, name: str = "") -> Any:
        answer = await client.request(method, path.format_map(ids), json=json)
        assert answer.status_code < 300, (method, path, answer.text)
        found = check(answer, method, path)
        if name:
            ids[name] = found.get("id") or found["key"]["id"]
        return found

    await call("POST", "/api/policies", POLICY, "policy_id")
    await call("POST", "/api/policies/dry-run", {"action": "x", "candidate": POLICY})
    await call("PUT", "/api/policies/{policy_id}", {"document": POLICY, "version": 1})
    await call("GET", "/api/policies/{policy_id}/versions")
    await call("POST", "/api/credentials", SECRET, "credential_id")
    await call("PATCH", "/api/credentials/{credential_id}", {"description": "d"})
    await call("POST", "/api/targets", TARGET, "target_id")
    grant = {"target_id": ids["target_id"], "agent_id": "*"}
    for tail in ("", "/revoke"):
        await call("POST", f"/api/credentials/{{credential_id}}/grants{tail}", grant)
    await call("PATCH", "/api/targets/{target_id}", {"enabled": False})
    await call("POST", "/api/agents", {"name": "a"}, "agent_id")
    await call("PATCH", "/api/agents/{agent_id}", {"frozen": True})
    key = {"name": "k", "scopes": ["request:read"], "agent_id": ids["agent_id"]}
    await call("POST", "/api/keys", key, "key_id")
    await call("PATCH", "/api/keys/{key_id}", {"name": "n"})
    await call("POST", "/api/keys/{key_id}/rotate", {"grace_seconds": 60})
    await call("POST", "/api/keys/{key_id}/revoke")
    await call("POST", "/api/people", PERSON, "person_id")
    await call("PATCH", "/api/people/{person_id}", {"role": "approver"})
    await call("PUT", "/api/installation", {"owner_may_decide": True})
    for path in ("/api/targets/{target_id}", "/api/credentials/{credential_id}"):
        await call("DELETE", path)
    await call("DELETE", "/api/policies/{policy_id}")


@pytest.mark.requirement("T36", "T25")
async def test_refusals_are_as_described(door: Door) -> None:
    admin, agent, nobody = [await door.client(who) for who in ("admin", "agent", None)]
    refused: list[tuple[Any, str, str, str, Any]] = [
        (nobody, "GET", "/api/requests", "/api/requests", None),
        (agent, "GET", "/api/people", "/api/people", None),
        (agent, "GET", "/api/requests/{request_id}", "/api/requests/none", None),
        (agent, "POST", "/api/requests", "/api/requests", {"action": "x", "status": "approved"}),
        (agent, "GET", "/api/requests", "/api/requests?limit=0", None),
        (admin, "POST", "/api/policies", "/api/policies", {"name": "p", "rules": 1}),
        (admin, "POST", "/api/targets", "/api/targets", {**TARGET, "credential_id": "crd_none"}),
        (admin, "POST", "/api/keys", "/api/keys", {"name": "k", "scopes": ["admin"]}),
        (admin, "DELETE", "/api/targets/{target_id}", "/api/targets/none", None),
    ]
    for client, method, path, address, body in refused:
        answer = await client.request(method, address, json=body)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"
        check(answer, method, path)
