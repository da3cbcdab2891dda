"""Connections over the API: shown without secrets; a consent is begun by those who may."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.principals import Role
from tests.support.canary import CANARY
from tests.web.conftest import Door
from tests.web.test_targets import browser

pytestmark = pytest.mark.requirement("SVC-2")
BODY = {
    "name": "calendar", "kind": "oauth2", "client_id": "us", "client_secret": CANARY,
    "authorize_url": "https://id.example.org/authorize",
    "token_url": "https://id.example.org/token", "scopes": ["read"],
    "extra": {"access_type": "offline"},
}  # fmt: skip


@pytest.mark.requirement("T62")
async def test_made_shown_begun_replaced_and_removed(any_door: Door) -> None:
    admin = await any_door.client("admin")
    operator = await any_door.client("operator")
    made = await admin.post("/api/connections", json=BODY)
    assert made.status_code == 201
    one = made.json()
    assert (one["state"], one["granted"], one["scopes"]) == ("new", None, ["read"])
    at = f"/api/connections/{one['id']}"
    await admin.post(
        "/api/targets",
        json={"name": "cal", "base_url": "https://api.example.org", "credential_id": one["id"]},
    )
    listed = await operator.get("/api/connections")
    assert listed.json()["items"] == [{**one, "targets": ["cal"]}]
    begun = (await operator.post(f"{at}/connect")).json()
    query = parse_qs(urlsplit(begun["url"]).query)
    assert (begun["host"], begun["expires_in"]) == ("id.example.org", 600)
    assert query["redirect_uri"] == ["http://127.0.0.1:8700/connect/callback"]
    assert query["access_type"] == ["offline"]
    replaced = await admin.put(at, json={**BODY, "scopes": ["write"], "name": "x"})
    assert replaced.status_code == 400  # the name is changed with the credential
    body = {key: value for key, value in BODY.items() if key != "name"}
    replaced = await admin.put(at, json={**body, "scopes": ["write"]})
    assert replaced.json()["scopes"] == ["write"]
    assert (await operator.post(f"{at}/disconnect")).json() == {"revoked": False}
    seen = [answer.text for answer in (made, listed, replaced, await admin.get("/api/audit"))]
    assert not any(CANARY in text for text in seen)
    assert (await admin.delete(f"/api/credentials/{one['id']}")).json()["code"] == "in_use"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"token_url": "http://id.example.org/token"}, "/token_url"),
        ({"client_secret": "abc"}, "/client_secret"), ({"extra": {"state": "x"}}, "/extra"),
        ({"networks": ["everywhere"]}, "/networks/0"),
    ],
)  # fmt: skip
async def test_refusals_point_at_what_to_change(
    door: Door, changes: dict[str, object], pointer: str
) -> None:
    admin = await door.client("admin")
    answer = await admin.post("/api/connections", json={**BODY, **changes})
    assert answer.status_code == 400
    assert answer.json()["pointer"] == pointer


@pytest.mark.requirement("T13")
async def test_coming_back_needs_a_session_and_the_form_its_token(door: Door) -> None:
    nobody = await door.client()
    away = await nobody.get("/connect/callback?code=a&state=b", follow_redirects=False)
    assert away.status_code == 303
    assert away.headers["location"] == "/sign-in?next=/connect/callback"
    forged = await nobody.post("/connect/callback", data={"code": "a", "state": "b"})
    assert forged.status_code in (303, 403)


async def test_the_page_fills_in_what_is_known_of_a_service(door: Door) -> None:
    admin = await browser(door, Role.ADMIN)
    empty = await admin.get("/connections")
    assert "https://github.com/login/oauth/authorize" not in empty.text
    filled = await admin.get("/connections", params={"preset": "github"})
    assert filled.status_code == 200
    assert "https://github.com/login/oauth/authorize" in filled.text
    assert 'value="github"' in filled.text
