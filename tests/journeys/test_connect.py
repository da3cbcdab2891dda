"""An account is connected in a browser, called through the gateway, renewed once, lost, healed."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support import axe
from tests.support.browser import chromium
from tests.support.oauth_provider import CLIENT, Provider
from tests.support.server import EMAIL, PASSWORD, Installation, installation
from tests.support.threaded import beside

pytestmark = [
    pytest.mark.requirement("SVC-2", "GW-3", "T13"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("browser"),
]


@dataclass
class Scene:
    """Two running servers over one database, and a provider."""

    product: Installation
    provider: Provider
    database_url: str

    @property
    def base(self) -> str:
        return self.product.base_url

    def admin(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.product.admin_key}"}
        answer = httpx.request(method, f"{self.base}{path}", json=body or None, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def age(self) -> None:
        """Let the time pass in which the token, and the service's trouble, come to their end."""
        engine = create_engine(Database(self.database_url).url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE connections SET expires_at = 1, error_at = NULL"))
        engine.dispose()

    def call(self, server: int = 0) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.product.agent_key}"}
        address = f"{self.product.base_urls[server]}/gateway/mail/me"
        return httpx.get(address, headers=headers, timeout=40)

    def prepare(self) -> None:
        """Let the agent read at a target that uses the one connection there is."""
        (connection,) = self.admin("GET", "/api/connections")["items"]
        self.admin(
            "POST", "/api/targets", name="mail", base_url=f"{self.provider.url}/api",
            credential_id=connection["id"], settings={"networks": ["127.0.0.0/8"]},
        )  # fmt: skip
        rules = [{"name": "read", "effect": "allow", "match": {"target": "mail"}}]
        self.admin("POST", "/api/policies", name="mail", rules=rules)


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Generator[Scene, None, None]:
    with (
        beside(Provider()) as provider,
        installation(
            tmp_path / "data", servers=2, database_url=database_url, agent_concurrency=32
        ) as product,
    ):
        yield Scene(product, provider, database_url)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with chromium() as running:
        yield running


def signed_in(browser: Browser, scene: Scene, *, script: bool = True) -> Page:
    made: BrowserContext = browser.new_context(java_script_enabled=script)
    made.set_default_timeout(15_000)
    page = made.new_page()
    page.goto(f"{scene.base}/sign-in")
    page.fill("#email", EMAIL)
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(f"{scene.base}/")
    return page


def add(page: Page, scene: Scene) -> None:
    """Fill in the form of a new connection."""
    page.goto(f"{scene.base}/connections")
    assert f"{scene.base.rsplit(':', 1)[0]}" in page.inner_text("pre.payload")
    page.fill("#name", "mail")
    page.fill("#new-client_id", CLIENT)
    page.fill("#new-client_secret", scene.provider.secret)
    page.fill("#new-authorize_url", f"{scene.provider.url}/authorize")
    page.fill("#new-token_url", f"{scene.provider.url}/token")
    page.fill("#new-scopes", "read write")
    page.click("summary:has-text('Seldom needed') >> nth=-1")
    page.fill("#new-networks", "127.0.0.0/8")
    page.fill("#new-revoke_url", f"{scene.provider.url}/revoke")
    page.click("text=Add the connection")


def connect(page: Page, scene: Scene, answer: str = "Allow") -> None:
    """Go to the service, answer there, and come back."""
    page.goto(f"{scene.base}/connections")
    page.click("button:has-text('onnect'):not(.deny)")
    assert "You are about to leave" in page.inner_text("main")
    page.click("a.primary")
    assert page.inner_text("#scopes") == "read write"
    page.click(f"text={answer}")
    page.wait_for_url(f"{scene.base}/connect/callback**")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_connect_call_expire_lose_and_heal(scene: Scene, browser: Browser, script: bool) -> None:
    provider = scene.provider
    page = signed_in(browser, scene, script=script)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    add(page, scene)
    expect(page.locator(".status")).to_have_text("not connected")
    connect(page, scene, "Refuse")
    assert "access_denied" in page.inner_text("main")
    connect(page, scene)
    assert not provider.calls  # coming back alone exchanged nothing
    page.click("button.primary")
    expect(page.locator(".status")).to_have_text("connected")
    scene.prepare()
    answer = scene.call()
    assert answer.status_code == 200, answer.text
    assert answer.json()["account"] == "octavia"
    assert answer.json()["echo"] == "[redacted]"

    scene.age()
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda number: scene.call(number % 2), range(20)))
    assert [one.text for one in answers if one.status_code != 200] == []
    assert provider.calls == {"authorization_code": 1, "refresh_token": 1}

    provider.faults = ["500"]
    scene.age()
    assert scene.call().json()["code"] == "not_carried_out"
    page.goto(f"{scene.base}/connections")
    expect(page.locator(".status")).to_have_text("renewal is failing")
    assert "the service answered 500" in page.inner_text("main")
    scene.age()
    assert scene.call().status_code == 200

    provider.end()
    scene.age()
    assert scene.call(1).json()["code"] == "not_carried_out"
    page.goto(f"{scene.base}/")
    assert "mail must be connected again" in page.inner_text("main")
    page.click("text=See the connections")
    expect(page.locator(".status")).to_have_text("needs reconnect")
    assert "invalid_grant" in page.inner_text("main")
    if script:
        page.evaluate(axe.script())
        found = page.evaluate("() => axe.run(document)")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    connect(page, scene)
    page.click("button.primary")
    expect(page.locator(".status")).to_have_text("connected")
    assert scene.call().status_code == 200
    page.click("button:has-text('Disconnect')")
    expect(page.locator(".status")).to_have_text("not connected")
    assert provider.revoked == ["refresh_token", "access_token"]
    assert errors == []
