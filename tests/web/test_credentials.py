"""Credentials, rules and handles over REST and in the dashboard's forms."""

from typing import Any

import httpx
import pytest

from app.core.credentials import KINDS
from app.core.principals import Role
from tests.support.canary import CANARY
from tests.web.conftest import BASE, Door

pytestmark = pytest.mark.requirement("GW-3")
PASSWORD = "four unrelated words 47"


async def signed_in(door: Door) -> tuple[httpx.AsyncClient, str]:
    await door.world.services.people.create(
        door.world.anne, name="Ada", email="ada@example.org", role=Role.ADMIN, password=PASSWORD
    )
    client = await door.client(headers={"Origin": BASE})
    answer = await client.post(
        "/api/session", json={"email": "ada@example.org", "password": PASSWORD}
    )
    return client, str(answer.json()["csrf_token"])


async def test_the_forms_make_credentials_and_rules(door: Door) -> None:
    client, token = await signed_in(door)
    for kind in KINDS.values():
        page = (await client.get(f"/targets?kind={kind.name}")).text
        assert f"Seal the {kind.name} credential" in page
        assert all(f'name="field_{field.name}"' in page for field in kind.fields)
    forms: list[dict[str, str]] = [
        {"kind": "hmac", "field_secret": CANARY, "field_prefix": "v1="},
        {"kind": "body", "pairs": f"auth.key: {CANARY}"},
        {"kind": "item", "pairs": f"token: {CANARY}\nuser: jo", "public_fields": "user",
         "domains": "example.com"},
    ]  # fmt: skip
    for form in forms:
        answer = await client.post(
            "/credentials", data={"form_token": token, "credential_name": form["kind"], **form}
        )
        assert answer.status_code == 303, answer.text
    made = {item.kind: item for item in await door.world.services.vault.list(door.world.anne)}
    assert made["hmac"].fields == ("prefix", "secret")
    assert made["body"].shown == ("body.auth.key=<body>",)
    assert (made["item"].public_fields, made["item"].domains) == (("user",), ("example.com",))

    target = {"form_token": token, "name": "t", "base_url": "https://api.example.org"}
    rules = "body POST,PUT /orders/**\n\nhmac * /a /b\n"
    answer = await client.post("/targets", data={**target, "rules": rules})
    assert answer.status_code == 303, answer.text
    home = answer.headers["location"]
    page = (await client.get(home)).text
    assert "body POST,PUT /orders/**\nhmac * /a /b</textarea>" in page
    (found,) = await door.world.services.targets.list(door.world.anne)
    assert found.credential_for("PUT", "/orders/1") == made["body"].id
    assert found.credential_for("GET", "/b") == made["hmac"].id
    assert found.credential_for("GET", "/c") is None
    for bad in ("nobody GET /a", "body FETCH /a", "body * a"):
        answer = await client.post(home, data={**target, "rules": bad, "enabled": "on"})
        assert answer.status_code in (400, 404, 422) and bad in answer.text
    replaced = await client.post(
        f"/credentials/{made['item'].id}",
        data={"form_token": token, "pairs": f"user: jo\ntoken: {CANARY}-2"},
    )
    assert replaced.status_code == 303
    refused = await client.post(
        "/credentials",
        data={"form_token": token, "credential_name": "x", "kind": "mtls",
              "field_certificate": CANARY, "field_private_key": CANARY},
    )  # fmt: skip
    assert refused.status_code in (400, 422) and CANARY not in refused.text


@pytest.mark.requirement("VLT-2", "T63")
async def test_rules_and_handles_over_rest(any_door: Door) -> None:
    admin, agent = await any_door.client("admin"), await any_door.client("agent")

    async def made(path: str, **body: Any) -> Any:
        answer = await admin.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    one = await made("/api/credentials", name="one", kind="bearer", fields={"token": CANARY})
    item = await made(
        "/api/credentials", name="shop", kind="item", fields={"token": CANARY},
        domains=["shop.example.com"],
    )  # fmt: skip
    assert one["adds"] == ["Authorization: <one>"] and item["adds"] == []
    rules = [{"credential_id": one["id"], "methods": ["GET"], "paths": ["/a/**"]}]
    target = await made(
        "/api/targets", name="up", base_url="https://api.example.org", credentials=rules
    )
    assert target["credentials"] == rules and target["credential_id"] is None
    home = f"/api/targets/{target['id']}"
    changed = (await admin.patch(home, json={"credentials": []})).json()
    assert (changed["credentials"], changed["revision"]) == ([], 2)

    params = {"method": "POST", "path": "/x", "json": {"k": "{{default/shop.token}}"}}
    ask = {"action": "http.request", "target": "up", "params": params}
    refused = await agent.post("/api/requests", json=ask)
    assert (refused.status_code, refused.json()["code"]) == (403, "credential_not_granted")
    grants = f"/api/credentials/{item['id']}/grants"
    assert (await admin.post(grants, json={"target_id": target["id"]})).status_code == 204
    assert (await agent.post("/api/requests", json=ask)).status_code in (201, 202)
    found = (await agent.get("/api/vault/search?domain=example.com")).json()
    assert found["items"] == [{
        "vault": "default", "item": "shop", "description": "",
        "handles": ["{{default/shop.token}}"], "domains": ["shop.example.com"], "targets": ["up"],
    }]  # fmt: skip
    assert (await agent.get(f"/api/vault/search?domain={'a' * 300}")).status_code == 400
    stranger = await any_door.client("agent_read")
    assert (await stranger.get("/api/vault/search")).status_code == 403
