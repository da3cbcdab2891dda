"""Pages for whoever strays or writes something wrong: they say what to do, and keep what was."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.instant import SECOND
from app.core.principals import Role
from app.core.request import Status, evolve
from tests.web.conftest import BASE, Door
from tests.web.test_selection import PASSWORD, fields

pytestmark = pytest.mark.requirement("DASH-1", "DASH-2")
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


async def administrator(door: Door) -> httpx.AsyncClient:
    """Return an administrator's browser."""
    await door.world.services.people.create(
        door.world.anne, name="Dora", email="dora@example.org", role=Role.ADMIN, password=PASSWORD
    )
    browser = await door.client(headers={"Origin": BASE})
    given = {"email": "dora@example.org", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=given)).status_code == 303
    return browser


async def test_browsers_get_pages_and_programs_problems(door: Door) -> None:
    async def fail(_request: Request) -> Response:
        raise ZeroDivisionError("canary")

    door.app.router.routes.insert(0, Route("/boom", fail))
    browser = await door.client()
    for path, status in (("/nope", 404), ("/sign-out", 405), ("/boom", 500)):
        page = await browser.get(path, headers=BROWSER)
        assert (page.status_code, "Back to the inbox" in page.text) == (status, True), path
        assert page.headers["content-type"].startswith("text/html")
        assert "canary" not in page.text
        program = await browser.get(path)
        assert program.headers["content-type"] == "application/problem+json"
    assert (await browser.get("/api/nope", headers=BROWSER)).json()["code"] == "not_found"
    signed_in = await administrator(door)
    assert "Sign out" in (await signed_in.get("/nope", headers=BROWSER)).text


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("days", ["0", "3651", "-1", "soon"])
async def test_a_key_ends_after_some_days_or_never(door: Door, days: str) -> None:
    browser, services = await administrator(door), door.world.services
    agent = f"/agents/{door.world.agent.id}"
    given = {"name": "new", "request:read": "on"}
    for page, address in ((agent, f"{agent}/keys"), ("/account", "/account/keys")):
        form = {**fields(await browser.get(page)), **given}
        refused = await browser.post(address, data={**form, "days": days})
        assert (refused.status_code, "/days" in refused.text) == (400, True), refused.text
        assert (await browser.post(address, data={**form, "days": "3650"})).status_code == 200
        assert (await browser.post(address, data={**form, "days": " "})).status_code == 200
    keys = [key for key in await services.agents.list_keys(door.world.anne) if key.name == "new"]
    ends = [key.expires_at and round((key.expires_at - key.created_at) / SECOND) for key in keys]
    assert sorted(ends, key=str) == [3650 * 86_400] * 2 + [None] * 2


async def test_a_request_without_a_verdict_is_shown(door: Door) -> None:
    made = await door.pending()
    bare = evolve(made, {"id": f"{made.id[:-3]}000", "verdict": "{}"})
    await door.world.services.store.write(lambda tx: tx.requests.insert(bare))
    browser = await administrator(door)
    assert (await browser.get(f"/requests/{bare.id}")).status_code == 200
    assert (await browser.get(f"/decisions?pick={bare.id}&pick={made.id}")).status_code == 200
    assert (await browser.get(f"/requests/{made.id}")).text.lower().count("no policy matched") == 1


async def test_what_failed_says_what_was_sent_and_who_decided(door: Door) -> None:
    await door.world.target("http://127.0.0.1:9")
    made = await door.world.call("DELETE", "/x")
    said = '{"code":"address_not_allowed","detail":"the host is not allowed"}'
    given = {"decided_at": made.created_at, "decided_by": "policy:pol_1"}
    browser = await administrator(door)
    for status, sent, title in (
        (Status.FAILED, None, "What would have run"), (Status.FAILED, made.created_at, "What ran"),
        (Status.SUCCEEDED, made.created_at, "What ran"),
    ):  # fmt: skip
        changes = {**given, "status": status, "sent_at": sent, "outcome": said}
        item = evolve(made, {**changes, "id": door.world.services.ids.new("req")})
        await door.world.services.store.write(lambda tx, item=item: tx.requests.insert(item))
        page = (await browser.get(f"/requests/{item.id}")).text
        assert f'<h2 id="runs">{title}</h2>' in page and "approved by policy, " in page
        assert ("Nothing was sent." in page) is (sent is None)
        assert "<dd>the host is not allowed</dd>" in page and "{&#34;code" not in page
