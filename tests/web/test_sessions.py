"""Set-up, sign-in and what is shown once, in a browser."""

import re
from pathlib import Path

import httpx
import pytest

from app.asgi import create_app
from app.factory import services
from app.web.dashboard.rendering import span
from tests.support.templates import prepare
from tests.support.world import settings_for
from tests.web.conftest import BASE, Door
from tests.web.test_doors import administrator
from tests.web.test_selection import PASSWORD, fields


@pytest.mark.requirement("PPL-3", "T32")
async def test_a_set_up_link_that_is_not_the_newest_says_so_at_once(tmp_path: Path) -> None:
    settings = settings_for(f"sqlite:///{tmp_path / 'test.db'}", tmp_path)
    prepare(settings.database)
    async with services(settings) as opened:
        app = create_app(settings, opened)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url=BASE, headers={"Origin": BASE}
            ) as browser,
        ):
            old, new = [await opened.people.issue_setup_token() or "" for _ in range(2)]
            form = {"name": "Ann", "email": "ann@example.org", "password": PASSWORD}
            for answer in (
                await browser.get("/setup", params={"token": old}),
                await browser.post("/setup", data={**form, "token": old}),
            ):
                assert (answer.status_code, "setup_link_replaced" in answer.text) == (403, True)
                assert "not the newest" in answer.text and 'name="password"' not in answer.text
            assert 'name="password"' in (await browser.get("/setup?token=" + new)).text
            bare = await browser.get("/setup")
            assert (bare.status_code, 'role="alert"' in bare.text) == (200, False)
            done = await browser.post("/setup", data={**form, "token": new})
            assert (done.status_code, done.headers["location"]) == (303, "/")
            late = await browser.post("/setup", data={**form, "token": new})
            assert (late.status_code, 'href="/sign-in"' in late.text) == (403, True)
            assert (await browser.get("/setup")).headers["location"] == "/sign-in"


@pytest.mark.requirement("KEY-1", "T15")
async def test_a_secret_is_shown_once_and_a_form_makes_one_key(door: Door) -> None:
    browser, agents = await administrator(door), door.world.services.agents
    agent, log = f"/agents/{door.world.agent.id}", [""]
    for page, address in ((agent, f"{agent}/keys"), ("/account", "/account/keys")):
        form = {**fields(await browser.get(page)), "name": f"of {page}", "request:read": "on"}
        sent = await browser.post(address, data=form)
        assert (sent.status_code, sent.headers["location"]) == (303, page)
        assert "ask_" not in sent.headers["set-cookie"] + sent.text
        assert "HttpOnly" in sent.headers["set-cookie"]
        shown = re.findall(r"ask_[\w-]{43}", (await browser.get(page)).text)
        assert shown and shown[0] not in log
        assert shown[0] not in (await browser.get(page)).text
        again = await browser.post(address, data=form)
        assert (again.status_code, "form_repeated" in again.text) == (409, True)
        made = [one for one in await agents.list_keys(door.world.anne) if one.name == form["name"]]
        assert len(made) == 1
        odd = await browser.post(address, data={**form, "number": made[0].id.upper()})
        assert odd.status_code == 400
        log += shown
    rotated = {**fields(await browser.get(agent)), "change": "rotate"}
    keys = await agents.list_keys(door.world.anne, agent_id=door.world.agent.id)
    sent = await browser.post(f"{agent}/keys/{keys[0].id}", data=rotated)
    assert (sent.status_code, sent.headers["location"]) == (303, agent)
    assert len(set(re.findall(r"ask_[\w-]{43}", (await browser.get(agent)).text))) == 1


@pytest.mark.requirement("KEY-1", "T15")
async def test_a_webhooks_secret_is_shown_once(door: Door) -> None:
    browser = await administrator(door)
    form = {**fields(await browser.get("/notices")), "name": "hook", "url": "https://a.example/x"}
    for address, page in (("/notices/webhooks", "/notices"), ("", "")):
        sent = await browser.post(address or form["home"], data=form)
        assert sent.status_code == 303 and "whsec_" not in str(sent.headers) + sent.text
        shown = await browser.get(page or form["home"])
        assert sent.headers["location"] == shown.request.url.path
        assert shown.text.count("whsec_") == 1
        assert "whsec_" not in (await browser.get(shown.request.url.path)).text
        home = re.search(r"/notices/webhooks/\w+", shown.text)
        form = {**form, "what": "rotate", "home": home[0] if home else form.get("home", "")}


@pytest.mark.requirement("PPL-1")
async def test_who_is_signed_in_goes_on_from_the_sign_in_page(door: Door) -> None:
    browser = await administrator(door)
    for address, on in (
        ("/sign-in", "/"), ("/sign-in?next=/requests/req_1", "/requests/req_1"),
        ("/sign-in?next=//a.example/x", "/"),
    ):  # fmt: skip
        answer = await browser.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, on)
    assert (await (await door.client()).get("/sign-in")).status_code == 200


@pytest.mark.requirement("DASH-1")
async def test_a_mistake_on_ones_account_names_its_field_and_keeps_what_was_typed(
    door: Door,
) -> None:
    browser = await administrator(door)
    token = fields(await browser.get("/account"))["form_token"]
    told = {"channel": "email", "zone": "Mars/Olympus", "digest_minutes": "7", "muted": "on"}
    page = await browser.post("/account/preferences", data={"form_token": token, **told})
    assert (page.status_code, "At “Time zone”." in page.text) == (400, True)
    assert 'value="Mars/Olympus"' in page.text and 'value="7"' in page.text
    assert "/zone" not in page.text
    leave = {"starts": "2030-01-02T10:00", "ends": "2030-01-01T10:00", "note": "away"}
    leave |= {"delegate_id": door.people["approver"].id, "password": PASSWORD}
    page = await browser.post("/account/leave", data={"form_token": token, **leave})
    assert (page.status_code, "At “Until (UTC)”." in page.text) == (400, True)
    assert 'value="2030-01-02T10:00"' in page.text and PASSWORD not in page.text
    form = {"form_token": token, "old": "wrong", "new": "four other words 77"}
    for _ in range(6):
        page = await browser.post("/account/password", data=form)
    assert page.status_code == 429 and re.search(r"Try again in \d+ s\.", page.text)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (90, "90 s"), (91, "2 min")])
def test_waits_are_said_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
