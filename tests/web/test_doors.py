"""Pages for whoever strays or writes something wrong: they say what to do, and keep what was."""

from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.delivery import Attempt
from app.core.instant import SECOND, Instant
from app.core.ports import DeliveryFailed
from app.core.principals import Role
from app.core.request import Status, evolve
from app.services.webhooks import Wanted
from app.web.dashboard.rendering import relative
from tests.support.channel import FakeChannel
from tests.web.conftest import BASE, Door, open_door
from tests.web.test_selection import PASSWORD, fields, signed_in

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
    admin = await administrator(door)
    for path in ("/nope", "/requests/req_nope", "/policies/pol_nope"):
        page = await admin.get(path, headers=BROWSER)
        assert (page.status_code, "Sign out" in page.text) == (404, True)
        assert "<title>No such page" in page.text and "<h1>There is no such page" in page.text
        assert "not possible" not in page.text.lower() and "Nothing was changed" not in page.text


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("days", ["0", "3651", "-1", "soon"])
async def test_a_key_ends_after_some_days_or_never(door: Door, days: str) -> None:
    browser, services = await administrator(door), door.world.services
    agent = f"/agents/{door.world.agent.id}"
    given = {"name": "new", "request:read": "on"}
    for page, address in ((agent, f"{agent}/keys"), ("/account", "/account/keys")):
        form = {**fields(await browser.get(page)), **given}
        refused = await browser.post(address, data={**form, "days": days})
        assert (refused.status_code, "At “Ends after days”" in refused.text) == (400, True), (
            refused.text
        )
        for given_days in ("3650", " "):
            form["number"] = services.ids.new("key")
            made = await browser.post(address, data={**form, "days": given_days})
            assert made.status_code == 303, made.text
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
        (Status.CANCELLED, None, "What would have run"),
    ):  # fmt: skip
        changes = {**given, "status": status, "sent_at": sent, "outcome": said}
        item = evolve(made, {**changes, "id": door.world.services.ids.new("req")})
        await door.world.services.store.write(lambda tx, item=item: tx.requests.insert(item))
        page = (await browser.get(f"/requests/{item.id}")).text
        assert f'<h2 id="runs">{title}</h2>' in page and "approved by policy, " in page
        assert ("Nothing was sent." in page) is (sent is None)
        assert "<dd>the host is not allowed</dd>" in page and "{&#34;code" not in page


async def test_a_wrong_filter_is_said_above_the_list_and_kept(door: Door) -> None:
    made = await door.pending()
    browser = await administrator(door)
    page = await browser.get("/requests?action=Send mail&status=pending")
    assert (page.status_code, "such as send_mail" in page.text) == (400, True)
    assert 'value="Send mail"' in page.text and "<option selected>pending" in page.text
    none = await browser.get("/decisions?urgency=high&order=newest")
    assert (none.status_code, "select the requests first" in none.text) == (400, True)
    assert '<option value="newest" selected>' in none.text and "<option selected>high" in none.text
    assert "1 waiting in all" in none.text
    assert 'name="order" value="newest"' in (await browser.get("/?order=newest")).text
    for day, found in (("2020-01-01T00:00", True), ("2100-01-01T00:00", False)):
        page = (await browser.get(f"/requests?created_from={day}")).text
        assert (made.id in page, f'value="{day}"' in page) == (found, True)


async def test_a_history_without_requests_says_what_to_do(door: Door) -> None:
    page = (await (await administrator(door)).get("/requests?status=")).text
    assert "No request yet" in page and "Make an agent and a key" in page


@pytest.mark.requirement("SSH-3", "KEY-2")
async def test_a_key_is_given_profiles_on_the_page(door: Door) -> None:
    browser, agent = await administrator(door), f"/agents/{door.world.agent.id}"
    form = {**fields(await browser.get(agent)), "name": "ci", "request:read": "on"}
    line = "web1 profiles=readonly-safe,docker-readonly"
    page = await browser.post(f"{agent}/keys", data={**form, "permissions": line})
    assert page.status_code == 303
    page = await browser.get(page.headers["location"])
    assert "web1 *  profiles=readonly-safe,docker-readonly</code>" in page.text
    for wrong in ("profiles=a", "web1 GET profiles=a"):
        page = await browser.post(f"{agent}/keys", data={**form, "permissions": wrong})
        assert page.status_code == 400


@pytest.mark.requirement("KEY-2")
async def test_what_was_written_for_a_key_stays_after_a_mistake(door: Door) -> None:
    browser, agent = await administrator(door), f"/agents/{door.world.agent.id}"
    form = {**fields(await browser.get(agent)), "name": "ci", "permissions": "github GET repos"}
    page = await browser.post(f"{agent}/keys", data={**form, "request:read": "on", "days": "7"})
    assert page.status_code == 400
    for kept in ('value="ci"', ">github GET repos</textarea>", 'value="7"', 'value="robot"'):
        assert kept in page.text
    assert 'name="request:read" checked' in page.text
    assert 'name="request:create" checked' not in page.text
    assert "see requests and their results" in page.text
    form["open_limit"] = "many"
    page = await browser.post(agent, data={**form, "name": "new name"})
    assert 'value="new name"' in page.text and 'value="many"' in page.text


async def test_what_is_wrong_with_a_person_stands_above_the_list(door: Door) -> None:
    browser = await administrator(door)
    form = fields(await browser.get("/people"))
    people = await door.world.services.people.list(door.world.anne)
    admins = [one for one in people if one.role is Role.ADMIN]
    answers = [await browser.post(f"/people/{one.id}", data={**form, "role": "viewer"})
               for one in sorted(admins, key=lambda one: one.name == "Dora")]  # fmt: skip
    page = answers[-1].text
    assert page.index('class="problem"') < page.index("<table")
    added = await browser.post("/people", data={**form, "name": "", "role": "viewer"})
    assert added.text.index('class="problem"') > added.text.index("<summary>Add a person")


async def test_an_odd_address_that_one_came_from_is_nothing(door: Door) -> None:
    browser = await door.client(headers={"Origin": BASE})
    for referer in ("http://[", "http://[::1", "//", "\\"):
        sent = await browser.post("/account/keys", headers={"Referer": referer})
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?lost=yes&next=/")


@pytest.mark.requirement("HOOK-1")
async def test_the_tries_of_a_delivery_are_shown(door: Door) -> None:
    services = door.world.services
    hook, _ = await services.webhooks.create(
        door.world.anne, Wanted(name="out", url="https://hooks.example.org/")
    )
    await services.announcements.look()
    asked = await door.world.ask("send_mail")
    await services.announcements.announce(asked.id)
    (sent,) = await services.webhooks.deliveries(door.world.anne, hook.id, None, None, 9)
    tried = Attempt(sent.id, 1, Instant(0), 12, "retry", "it answered 500")
    await services.store.write(lambda tx: tx.deliveries.log(tried))
    browser = await administrator(door)
    page = await browser.get(f"/notices/webhooks/{hook.id}", params={"tries": sent.id})
    assert "it answered 500" in page.text and "12 ms" in page.text
    assert f'href="?tries={sent.id}#tries"' in page.text
    assert (await browser.get(f"/notices/webhooks/{hook.id}?tries=dlv_none")).status_code == 404


@pytest.mark.requirement("T31", "PPL-1")
async def test_who_adds_a_person_proves_that_it_is_them(door: Door) -> None:
    browser = await administrator(door)
    form = {
        **fields(await browser.get("/people")), "name": "Mia", "email": "mia@example.org",
        "role": "approver", "password": "four other unrelated words 48",
    }  # fmt: skip
    for given, status in (("", 403), ("not it", 401)):
        refused = await browser.post("/people", data={**form, "own_password": given})
        assert (refused.status_code, 'value="mia@example.org"' in refused.text) == (status, True)
    people = await door.world.services.people.list(door.world.anne)
    assert "Mia" not in [one.name for one in people]
    await browser.post("/people", data={**form, "own_password": PASSWORD})
    people = await door.world.services.people.list(door.world.anne)
    assert "Mia" in [one.name for one in people]


async def test_a_tried_request_needs_what_a_real_one_needs(door: Door) -> None:
    browser = await administrator(door)
    form = fields(await browser.get("/policies/dry-run"))
    body = {**form, "action": "http.request", "params": '{"method": "GET", "path": "/"}',
            "urgency": "normal"}  # fmt: skip
    refused = await browser.post("/policies/dry-run", data=body)
    assert (refused.status_code, "needs a target" in refused.text) == (400, True)
    await door.world.target("http://127.0.0.1:9", "notes")
    assert 'value="notes" selected' in (await browser.get("/policies/dry-run")).text
    assert (await browser.post("/policies/dry-run", data={**body, "target": "notes"})).is_success


async def test_versions_name_people_and_approvers_write_no_policies(door: Door) -> None:
    await door.world.policy("reads", "allow", {"http.method": {"in": ["GET"]}})
    (record,) = await door.world.services.policies.list(door.world.anne)
    browser = await administrator(door)
    found = (await browser.get(f"/policies/{record.id}")).text
    assert "person:per_" not in found and "Save as version" in found
    approver = await signed_in(door)
    assert "<textarea" not in (await approver.get(f"/policies/{record.id}")).text
    assert (await approver.get("/policies/new")).status_code == 403


@pytest.mark.requirement("T31")
async def test_one_authorization_header(door: Door) -> None:
    client = await door.client()
    key = f"Bearer {door.keys['agent']}"
    headers = [("Authorization", key), ("Authorization", key)]
    answer = await client.get("/api/requests", headers=headers)
    assert (answer.status_code, "one Authorization" in answer.json()["detail"]) == (401, True)


async def test_who_was_signed_out_is_told_that_nothing_was_decided(door: Door) -> None:
    made = await door.pending()
    browser = await door.client(headers={"Origin": BASE})
    here = {"Referer": f"{BASE}/requests/{made.id}"}
    gone = await browser.post(f"/requests/{made.id}/decide", data={"a": "b"}, headers=here)
    assert gone.headers["location"] == f"/sign-in?lost=yes&next=/requests/{made.id}"
    page = await browser.get(gone.headers["location"])
    assert "nothing was decided or changed" in page.text
    assert f'value="/requests/{made.id}"' in page.text
    other = {"Referer": "https://elsewhere.example/x"}
    gone = await browser.post(f"/requests/{made.id}/decide", data={"a": "b"}, headers=other)
    assert gone.headers["location"] == "/sign-in?lost=yes&next=/"


async def test_a_linked_account_is_confirmed_and_what_was_given_up_is_listed(
    tmp_path: Path,
) -> None:
    chat, url = FakeChannel(), f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, channels=[chat]) as door:
        browser, services = await administrator(door), door.world.services
        assert "is linked" not in (await browser.get("/account?linked=pager")).text
        assert "account in Chat is linked" in (await browser.get("/account?linked=chat")).text
        assert "could not be delivered" not in (await browser.get("/notices")).text
        route = {"notify": [{"channel": "chat", "to": ["C404"]}]}
        await door.world.policy("asks", "review", {"action": "send_mail"}, route=route)
        made = await door.pending()
        await services.notices.notify(made.id)
        chat.failure = DeliveryFailed("no such place", permanent=True)
        (sent,) = await services.couriers.claim("chat", 9)
        await services.couriers.carry(sent)
        page = await browser.get("/notices")
        assert "no such place" in page.text and f'href="/requests/{made.id}"' in page.text
        assert "undelivered" in (await browser.get(f"/requests/{made.id}")).text
        form = {**fields(page), "delivery": sent.id}
        again = await browser.post("/notices/again", data=form)
        assert again.headers["location"] == "/notices#undelivered"
        assert [item.id for item in await services.couriers.claim("chat", 9)] == [sent.id]


@pytest.mark.requirement("DEC-3")
async def test_a_page_says_the_seats_and_what_follows_when_nobody_decides(door: Door) -> None:
    seats = [["person:anne@example.org"], ["person:cara@example.org", "role:operator"]]
    ladder = [{"after": 600, "approvers": ["person:ben@example.org"]}, {"after": 60, "deny": True}]
    await door.world.policy(
        "two", "review", {"action": "send_mail"},
        route={"seats": seats, "escalation": ladder},
    )  # fmt: skip
    made = await door.pending()
    await door.world.vote(made)
    browser = await administrator(door)
    page = (await browser.get(f"/requests/{made.id}")).text
    assert (
        "person:anne@example.org: Anne" in page
        and "person:cara@example.org or role:operator" in page
    )
    assert "If nobody decides, person:ben@example.org may decide too <time" in page
    plain = await door.ask(action="other")
    page = (await browser.get(f"/requests/{plain.json()['id']}")).text
    assert "Seat" not in page and "If nobody decides" not in page


@pytest.mark.requirement("RISK-1")
async def test_words_on_pages_say_no_more_than_there_is(door: Door) -> None:
    browser, world = await administrator(door), door.world
    rules = [{"name": "r", "effect": "review", "match": {"action": "send_mail"}}]
    risk = {"factors": [{"name": "bulk", "points": 60, "match": {"action": "send_mail"}}]}
    await world.services.policies.create(
        world.anne, {"name": "two", "rules": [{**rules[0], "route": {"quorum": 2}}], "risk": risk}
    )
    await world.services.policies.refresh()
    mail, other = await world.ask(), await world.ask("other")
    await world.vote(mail)
    page = (await browser.get(f"/requests/{mail.id}")).text
    assert "Risk: <strong>" in page and "voted to approve" in page
    assert "It is carried out by the agent itself" in page
    assert "Risk:" not in (await browser.get(f"/requests/{other.id}")).text
    card = await world.services.store.read(lambda tx: world.services.cards.of(tx, other.id))
    facts = dict(card.facts)
    assert (card.risk, facts["Rule"], "Why" in facts) == ("", "no policy matched", False)
    starter = (await browser.get("/policies/new")).text
    assert "name-of-a-target" in starter


async def test_a_webhook_is_removed_only_after_a_question(door: Door) -> None:
    browser = await administrator(door)
    form = {**fields(await browser.get("/notices")), "name": "hook", "url": "https://a.example/x"}
    await browser.post("/notices/webhooks", data=form)
    made = (await door.world.services.webhooks.list(door.world.anne))[0]
    page = (await browser.get(f"/notices/webhooks/{made.id}")).text
    asks = page[page.index("<details") :]
    assert 'value="delete"' in asks and 'value="delete"' not in page[: page.index("<details")]
    assert "Remove this webhook</summary>" in asks


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (90 * 86_400 - 9, "in 90 days"),
        (3600 - 1, "in 60 min"),
        (5400, "in 2 h"),
        (-7199, "1 h ago"),
    ],
)
def test_times_ahead_are_rounded_and_times_past_cut(seconds: int, words: str) -> None:
    assert relative(Instant(seconds * SECOND), Instant(0)) == words
