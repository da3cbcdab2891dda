"""Who calls: keys, sessions, forged forms, foreign hosts, claimed addresses."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app.core.principals import Role
from app.web.deps import remote_ip
from tests.web.conftest import BASE, Door, open_door

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture
async def signed_in(door: Door) -> tuple[httpx.AsyncClient, str]:
    """A browser of an administrator, and its form token."""
    await door.world.services.people.create(
        door.world.anne, name="Web", email="web@example.org", role=Role.ADMIN, password=PASSWORD
    )
    client = await door.client()
    answer = await client.post(
        "/api/session", json={"email": "web@example.org", "password": PASSWORD}
    )
    assert answer.status_code == 201, answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert cookie.split("=", 1)[1].split(";")[0] not in answer.text
    return client, answer.json()["csrf_token"]


@pytest.mark.requirement("T13")
async def test_a_browser_reads_and_changes_with_its_token(
    signed_in: tuple[httpx.AsyncClient, str],
) -> None:
    client, token = signed_in
    assert (await client.get("/api/requests")).status_code == 200
    answer = await client.post("/api/agents", json={"name": "a"}, headers={"X-CSRF-Token": token})
    assert answer.status_code == 201
    gone = await client.delete("/api/session", headers={"X-CSRF-Token": token})
    assert gone.status_code == 204
    assert (await client.get("/api/requests")).status_code == 401


@pytest.mark.requirement("T13")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "x"},
        {"X-CSRF-Token": "TOKEN", "Origin": "https://evil.example"},
        {"X-CSRF-Token": "TOKEN", "Origin": "null"},
        {"X-CSRF-Token": "TOKEN", "Origin": "http://127.0.0.1:8700.evil.example"},
        {"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_forged_forms_change_nothing(
    signed_in: tuple[httpx.AsyncClient, str], headers: dict[str, str]
) -> None:
    client, token = signed_in
    sent = {name: value.replace("TOKEN", token) for name, value in headers.items()}
    answer = await client.post("/api/agents", json={"name": "forged"}, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert (await client.get("/api/agents")).json()["items"][0]["name"] != "forged"


@pytest.mark.requirement("T13", "T31")
async def test_signing_in_is_refused_alike(door: Door) -> None:
    client = await door.client()
    body = {"email": "nobody@example.org", "password": "x" * 12}
    unknown = await client.post("/api/session", json=body)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "bad_credentials")
    foreign = await client.post(
        "/api/session", json=body, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    form = await client.post("/api/session", data=body)
    assert form.status_code == 415


@pytest.mark.requirement("KEY-1", "T31")
@pytest.mark.parametrize(
    "header",
    [
        "Bearer", "Bearer ", "Basic YTpi", "Bearer ask_short", "ask_" + "a" * 43,
        "Bearer ask_" + "a" * 43, "Bearer " + "x" * 10_000, "Token ask_" + "a" * 43,
    ],
)  # fmt: skip
async def test_unknown_keys_are_refused_alike(door: Door, header: str) -> None:
    client = await door.client(headers={"Authorization": header})
    answer = await client.get("/api/requests")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


@pytest.mark.requirement("KEY-1")
async def test_a_bad_key_is_not_saved_by_a_good_cookie(
    signed_in: tuple[httpx.AsyncClient, str],
) -> None:
    client, _ = signed_in
    answer = await client.get("/api/requests", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


@pytest.mark.requirement("KEY-1")
async def test_a_revoked_key_is_refused_at_once(door: Door) -> None:
    services = door.world.services
    key, secret = await services.agents.create_key(
        door.world.anne, name="k", scopes=["request:read"], agent_id=door.world.agent.id
    )
    client = await door.client(headers={"Authorization": f"Bearer {secret}"})
    assert (await client.get("/api/requests")).status_code == 200
    admin = await door.client("admin")
    assert (await admin.post(f"/api/keys/{key.id}/revoke")).status_code == 200
    services.access.forget([("key", key.id)])
    assert (await client.get("/api/requests")).status_code == 401


@pytest.mark.requirement("T33")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "localhost:8700/x",
        "localhost:port", "", "local host", "127.0.0.1,evil.example", "[::1", "evil.example:8700",
        "127.0.0.1/api/requests?", "127.0.0.1#", "127.0.0.1:999999",
    ],
)  # fmt: skip
async def test_foreign_and_malformed_hosts_are_400(door: Door, host: str) -> None:
    client = await door.client("agent")
    for path in ("/api/requests", "/health", "/openapi.json", "/nowhere"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status_code == 400, (path, answer.text)


@pytest.mark.requirement("T33")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8700", "LOCALHOST:1", "[::1]:8700"])
async def test_own_names_are_served(door: Door, host: str) -> None:
    assert (await (await door.client()).get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.requirement("T33")
@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, garbage"], "10.0.0.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
    ],
)
async def test_only_a_trusted_proxy_is_believed(
    tmp_path: Path, peer: str, lines: list[str], expected: str
) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, trusted_proxies="10.0.0.0/8") as door:
        scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": "/", "app": door.app,
            "client": (peer, 1), "headers": [(b"x-forwarded-for", line.encode()) for line in lines],
        }  # fmt: skip
        assert remote_ip(Request(scope)) == expected


@pytest.mark.requirement("KEY-1", "T33")
async def test_a_claimed_address_does_not_open_a_bound_key(door: Door) -> None:
    _, secret = await door.world.services.agents.create_key(
        door.world.anne, name="bound", scopes=["request:read"], agent_id=door.world.agent.id,
        networks=["203.0.113.0/24"],
    )  # fmt: skip
    client = await door.client(headers={"Authorization": f"Bearer {secret}"})
    headers = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
    }
    answer = await client.get("/api/requests", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "address_forbidden")


@pytest.mark.requirement("T14")
async def test_every_answer_carries_the_security_headers(door: Door) -> None:
    client = await door.client("agent")
    for path in ("/api/requests", "/health", "/nowhere", "/api/people", "/api/requests/%00"):
        headers = (await client.get(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 20
        assert "strict-transport-security" not in headers


async def test_over_tls_cookies_and_headers_are_strict(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, base_url="https://assentry.example") as door:
        await door.world.services.people.create(
            door.world.anne, name="W", email="w@example.org", role=Role.VIEWER, password=PASSWORD
        )
        client = await door.client(base_url="https://assentry.example")
        answer = await client.post(
            "/api/session", json={"email": "w@example.org", "password": PASSWORD}
        )
        assert answer.headers["set-cookie"].startswith("__Host-assentry=")
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
        assert BASE not in answer.text
