"""Policies, targets, credentials, agents, keys and people over REST."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.canary import CANARY
from tests.web.conftest import Door

DOCUMENT = {
    "name": "mail",
    "rules": [{"name": "r", "effect": "allow", "match": {"action": "send_mail"}}],
}


@pytest.mark.requirement("POL-8")
async def test_policies_from_first_version_to_last(any_door: Door) -> None:
    client = await any_door.client("operator")
    made = await client.post("/api/policies", json=DOCUMENT)
    assert made.status_code == 201
    home = made.headers["location"]
    changed = await client.put(home, json={"document": {**DOCUMENT, "priority": 5}, "version": 1})
    assert (changed.json()["version"], changed.json()["priority"]) == (2, 5)
    stale = await client.put(home, json={"document": DOCUMENT, "version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "version_mismatch")
    versions = (await client.get(f"{home}/versions")).json()["items"]
    assert [item["version"] for item in versions] == [2, 1]
    assert (await client.get(f"{home}/versions/1")).json() == DOCUMENT
    assert (await client.get(f"{home}/versions/9")).status_code == 404
    assert (await any_door.ask()).json()["status"] == "approved"
    assert (await client.delete(home)).status_code == 204
    assert (await client.get(home)).status_code == 404
    assert (await any_door.ask()).json()["status"] == "pending"


async def test_a_broken_policy_is_pointed_at(door: Door) -> None:
    client = await door.client("operator")
    broken = {"name": "x", "rules": [{"name": "r", "effect": "maybe"}]}
    answer = await client.post("/api/policies", json=broken)
    assert (answer.status_code, answer.json()["pointer"]) == (400, "/rules/0/effect")
    taken = [await client.post("/api/policies", json=DOCUMENT) for _ in range(2)][1]
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")


@pytest.mark.requirement("POL-8")
async def test_a_dry_run_explains_and_records_nothing(door: Door) -> None:
    client = await door.client("viewer")
    answer = await client.post(
        "/api/policies/dry-run", json={"action": "send_mail", "candidate": DOCUMENT}
    )
    body = answer.json()
    assert body["verdict"]["effect"] == "allow"
    assert body["rules"][0]["outcome"] == "match"
    assert (await client.get("/api/requests")).json()["items"] == []
    assert (await client.get("/api/policies")).json()["items"] == []


@pytest.mark.requirement("POL-8", "SSH-3")
async def test_a_dry_run_names_the_key_that_would_ask(door: Door) -> None:
    client = await door.client("viewer")
    asked = {"action": "ssh.exec", "target": "box", "params": {"command": "uptime"}}
    unknown = await client.post("/api/policies/dry-run", json={**asked, "key": "key_none"})
    assert (unknown.status_code, unknown.json()["pointer"]) == (404, "/target")
    plain = await client.post("/api/policies/dry-run", json={"action": "x", "key": "key_none"})
    assert (plain.status_code, plain.json()["pointer"]) == (400, "/key")


@pytest.mark.requirement("T62")
async def test_credentials_go_in_and_never_out(any_door: Door) -> None:
    client = await any_door.client("admin")
    seen: list[str] = []

    async def call(method: str, path: str, **given: Any) -> Any:
        answer = await client.request(method, path, **given)
        seen.append(answer.text)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.text else None

    made = await call(
        "POST", "/api/credentials",
        json={"name": "api", "kind": "bearer", "fields": {"token": CANARY}},
    )  # fmt: skip
    home = f"/api/credentials/{made['id']}"
    assert made["fields"] == ["token"]
    target = await call(
        "POST", "/api/targets",
        json={
            "name": "up", "base_url": "https://api.example.org", "credential_id": made["id"],
            "grant_agents": [any_door.world.agent.id],
        },
    )  # fmt: skip
    grants = await call("GET", f"{home}/grants")
    assert [item["agent_id"] for item in grants["items"]] == [any_door.world.agent.id]
    await call("PATCH", home, json={"fields": {"token": CANARY + "2"}})
    await call("GET", home)
    await call("GET", "/api/credentials")
    await call("GET", f"/api/targets/{target['id']}")
    await call("GET", "/api/audit")
    assert (await client.delete(home)).status_code == 409
    broken = await client.post(
        "/api/credentials", json={"name": "b", "kind": "headers", "fields": {"X Bad": CANARY}}
    )
    seen.append(broken.text)
    assert broken.status_code == 400
    assert CANARY not in "".join(seen)


async def test_targets_are_checked(door: Door) -> None:
    client = await door.client("admin")
    for body, pointer in (
        ({"name": "T", "base_url": "https://a.example"}, "/name"),
        ({"name": "t", "base_url": "ftp://a.example"}, "/base_url"),
        ({"name": "t", "base_url": "https://u:p@a.example"}, "/base_url"),
        (
            {"name": "t", "base_url": "https://a.example", "settings": {"networks": ["x"]}},
            "/settings/networks/0",
        ),
        (
            {"name": "t", "base_url": "https://a.example", "settings": {"nope": 1}},
            "/settings/nope",
        ),
    ):
        answer = await client.post("/api/targets", json=body)
        assert (answer.status_code, answer.json().get("pointer")) == (400, pointer), body


@pytest.mark.requirement("KEY-1")
async def test_keys_are_shown_once_and_rotate(any_door: Door) -> None:
    client = await any_door.client("admin")
    made = await client.post(
        "/api/keys",
        json={
            "name": "k", "scopes": ["request:read"], "agent_id": any_door.world.agent.id,
            "expires_in": 3600, "networks": ["127.0.0.0/8", "::1/128"],
        },
    )  # fmt: skip
    assert made.status_code == 201
    secret, home = made.json()["secret"], f"/api/keys/{made.json()['key']['id']}"
    assert made.json()["key"]["prefix"] == secret[:12]
    listing = await client.get("/api/keys")
    assert secret not in listing.text
    assert "sha256" not in listing.text
    assert (await client.patch(home, json={"name": "n"})).json()["name"] == "n"
    fresh = await client.post(f"{home}/rotate", json={"grace_seconds": 60})
    assert fresh.json()["secret"] != secret
    for token in (secret, fresh.json()["secret"]):
        caller = await any_door.client(headers={"Authorization": f"Bearer {token}"})
        assert (await caller.get("/api/requests")).status_code == 200


@pytest.mark.requirement("KEY-4")
async def test_a_frozen_agent_asks_nothing(door: Door) -> None:
    client = await door.client("admin")
    home = f"/api/agents/{door.world.agent.id}"
    assert (await client.patch(home, json={"frozen": True})).json()["frozen"] is True
    door.world.services.access.forget([("agent", door.world.agent.id)])
    refused = await door.ask()
    assert (refused.status_code, refused.json()["code"]) == (403, "agent_frozen")


async def test_people_and_the_installation(door: Door) -> None:
    client = await door.client("admin")
    body = {
        "name": "Eve", "email": "eve@example.org", "role": "viewer",
        "password": "correct-horse-battery",
    }  # fmt: skip
    made = await client.post("/api/people", json=body)
    assert made.status_code == 201
    assert "password" not in made.text
    home = made.headers["location"]
    assert (await client.patch(home, json={"role": "approver"})).json()["role"] == "approver"
    weak = await client.post(
        "/api/people", json={**body, "email": "e@example.org", "password": "short"}
    )
    assert (weak.status_code, weak.json()["code"]) == (400, "weak_password")
    assert (await client.post(f"{home}/sessions/revoke")).status_code == 204
    changed = await client.put("/api/installation", json={"owner_may_decide": True})
    assert changed.json() == {"owner_may_decide": True}


@pytest.mark.requirement("AUD-1")
async def test_the_record_is_read_page_by_page(door: Door) -> None:
    for _ in range(3):
        await door.pending()
    client = await door.client("viewer")
    seen: list[int] = []
    params: dict[str, str] = {"limit": "2", "event": "request.submitted"}
    for size in (2, 1):
        page = (await client.get("/api/audit", params=params)).json()
        assert len(page["items"]) == size
        seen += [line["seq"] for line in page["items"]]
        params["cursor"] = page["next"]
    assert page["next"] is None
    assert seen == sorted(seen, reverse=True)


async def test_forged_cursors_of_the_record_are_400(door: Door) -> None:
    from app.web.cursors import Cursor, encode  # noqa: PLC0415 - forging needs the maker

    client = await door.client("viewer")
    for name in ("abc", "9" * 40, "_"):
        cursor = encode(Cursor("before", name), "audit&")
        answer = await client.get("/api/audit", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.requirement("OPS-3")
async def test_health_tells_nothing_else(door: Door, tmp_path: Path) -> None:
    client = await door.client()
    assert (await client.get("/health")).json() == {"status": "alive"}
    assert (await client.get("/ready")).json() == {"status": "ready"}
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as broken:
        names = broken.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            if not name.startswith("sqlite_"):
                broken.execute(f'ALTER TABLE "{name}" RENAME TO "lost_{name}"')
    assert (await client.get("/health")).status_code == 200
    gone = await client.get("/ready")
    assert (gone.status_code, gone.json()["code"]) == (503, "store_unavailable")
