"""Decisions on pages count for what the page showed, and for nothing else (T1, T4)."""

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.core.instant import plus
from app.core.principals import Role
from app.core.request import Status
from app.services.decisions import MAX_SELECTION
from app.store.tx import Tx
from app.web.cursors import Cursor, encode
from tests.web.conftest import BASE, Door

pytestmark = pytest.mark.requirement("DEC-1", "DEC-9", "T1", "T4")
PASSWORD = "correct horse battery staple 48"


async def signed_in(door: Door) -> httpx.AsyncClient:
    """Return a browser of an approver."""
    await door.world.services.people.create(
        door.world.anne, name="Cara", email="cara@example.org", role=Role.APPROVER,
        password=PASSWORD,
    )  # fmt: skip
    browser = await door.client(headers={"Origin": BASE})
    given = {"email": "cara@example.org", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=given)).status_code == 303
    return browser


def fields(page: httpx.Response) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))


async def status_of(door: Door, request_id: str) -> Status:
    return (await door.world.services.requests.get(door.world.anne, request_id)).status


async def test_a_page_that_would_show_something_else_decides_nothing(door: Door) -> None:
    made = await door.pending()
    browser = await signed_in(door)
    address = f"/requests/{made.id}"
    form = {**fields(await browser.get(address)), "decision": "approve"}
    assert len(form["display"]) == 64
    stale = await browser.post(f"{address}/decide", data={**form, "display": "0" * 64})
    assert (stale.status_code, "look at it again" in stale.text) == (409, True)
    assert await status_of(door, made.id) is Status.PENDING
    assert (await browser.post(f"{address}/decide", data=form)).status_code == 303
    assert await status_of(door, made.id) is Status.APPROVED


async def test_a_program_that_showed_something_else_decides_nothing(door: Door) -> None:
    made = await door.pending()
    client = await door.client("approver")
    card = (await client.get(f"/api/requests/{made.id}/card")).json()
    body = {"decision": "approve", "digest": made.digest, "channel": "cli"}
    stale = await client.post(f"/api/requests/{made.id}/decide", json={**body, "display": "0" * 64})
    assert (stale.status_code, stale.json()["code"]) == (409, "digest_mismatch")
    given = {**body, "display": card["display"]}
    assert (await client.post(f"/api/requests/{made.id}/decide", json=given)).status_code == 200


async def test_a_selection_counts_only_what_its_page_showed(door: Door) -> None:
    first, second = await door.pending(), await door.pending()
    browser = await signed_in(door)
    page = await browser.get(f"/decisions?pick={first.id}&pick={second.id}")
    form = {**fields(page), "decision": "approve"}
    assert {f"pick.{first.id}", f"pick.{second.id}"} <= set(form)
    changed = {**form, f"pick.{first.id}": f"{first.digest}.{'0' * 64}"}
    assert (await browser.post("/decisions", data=changed)).status_code == 400
    assert await status_of(door, second.id) is Status.PENDING
    assert "2 of 2 counted" in (await browser.post("/decisions", data=form)).text


async def test_what_does_not_fit_on_the_page_is_not_decided_there(door: Door) -> None:
    """A page of payloads is bounded, and what it leaves out has no control on it."""
    big = [await door.ask(params={"text": f"{n}" * 120_000}) for n in range(2)]
    names = [str(answer.json()["id"]) for answer in big]
    browser = await signed_in(door)
    page = await browser.get(f"/decisions?pick={names[0]}&pick={names[1]}")
    form: dict[str, Any] = {**fields(page), "decision": "approve"}
    assert [f"pick.{name}" in form for name in names] == [True, False]
    assert "decide it on its own page" in page.text
    digest = big[1].json()["digest"]
    forged = await browser.post("/decisions", data={**form, f"pick.{names[1]}": f"{digest}."})
    assert forged.status_code == 400
    assert await status_of(door, names[1]) is Status.PENDING
    many = "&".join(f"pick=req_{n}" for n in range(MAX_SELECTION + 1))
    assert (await browser.get(f"/decisions?{many}")).status_code == 400


@pytest.mark.requirement("CH-5")
async def test_what_is_known_by_digest_only_is_decided_on_its_own_page(door: Door) -> None:
    await door.world.target("http://127.0.0.1:9")
    await door.world.policy("asks", "review", {"action": "http.request"})
    agent = await door.client("agent")
    body = b"rm -rf / " * 300_000
    made = (await agent.post("/gateway/upstream/echo", content=body)).json()
    reader = await door.client("approver")
    assert (await reader.get(f"/api/requests/{made['id']}/card")).json()["whole"] is False
    browser = await signed_in(door)
    page = await browser.get(f"/decisions?pick={made['id']}")
    assert "Not all that will run is shown here" in page.text
    assert f"pick.{made['id']}" not in fields(page) and 'value="approve"' not in page.text
    own = fields(await browser.get(f"/requests/{made['id']}"))
    pick = {f"pick.{made['id']}": f"{own['digest']}.{own['display']}"}
    form = {"form_token": own["form_token"], "decision": "approve", "comment": "", **pick}
    forged = await browser.post("/decisions", data=form)
    assert (forged.status_code, "not_shown_in_full" in forged.text) == (400, True)
    assert await status_of(door, made["id"]) is Status.PENDING


@pytest.mark.requirement("CH-4", "T24")
async def test_what_no_database_keeps_is_refused_in_every_form(any_door: Door) -> None:
    made = await any_door.pending()
    browser = await signed_in(any_door)
    address = f"/requests/{made.id}"
    form = {**fields(await browser.get(address)), "decision": "approve", "comment": "a\x00b"}
    assert (await browser.post(f"{address}/decide", data=form)).status_code == 400
    leave = {"form_token": form["form_token"], "delegate_id": "per_\x00"}
    assert (await browser.post("/account/leave", data=leave)).status_code == 400
    services, person = any_door.world.services, any_door.people["approver"].id
    link = await services.store.write(
        lambda tx: services.links.mint(tx, made, person, "dlv_1", "email")
    )
    path = link[link.index("/l/") :]
    public = await any_door.client()
    shown = re.search(r'name="form" value="([^"]+)"', (await public.get(path)).text)
    given = {"decision": "approve", "form": shown[1] if shown else "", "comment": "a\x00b"}
    assert (await public.post(path, data=given)).status_code == 410
    assert await status_of(any_door, made.id) is Status.PENDING


@pytest.mark.requirement("AUD-1", "T24")
async def test_a_made_up_cursor_of_the_record_is_refused_on_its_page(any_door: Door) -> None:
    browser = await signed_in(any_door)
    for name in ("abc", "9" * 40, "_"):
        cursor = encode(Cursor("before", name), "audit")
        assert (await browser.get("/audit", params={"cursor": cursor})).status_code == 400


@pytest.mark.requirement("CH-5", "T7")
async def test_a_selection_shows_all_that_its_display_digest_covers(door: Door) -> None:
    made = await door.world.ask(context={"danger": "words in the context"})
    browser = await signed_in(door)
    page = await browser.get(f"/decisions?pick={made.id}")
    own = await browser.get(f"/requests/{made.id}")
    assert fields(page)[f"pick.{made.id}"] == f"{made.digest}.{fields(own)['display']}"
    assert "words in the context" in page.text and f">{made.digest[:12]}<" in page.text


@pytest.mark.requirement("CH-5", "DASH-2")
async def test_a_page_that_refreshes_itself_keeps_what_it_showed(door: Door) -> None:
    """The part that the script fetches again never passes off another payload as seen."""
    made = await door.pending()
    browser = await signed_in(door)
    page = (await browser.get(f"/requests/{made.id}")).text
    live = re.search(r'data-live="([^"]+)"', page)
    assert live is not None
    assert 'name="display"' in (await browser.get(live[1])).text
    other = live[1].partition("=")[0] + "=" + "0" * 64
    for address in (other, live[1].partition("?")[0]):
        part = (await browser.get(address)).text
        assert ("Look at it again" in part, "<form" in part) == (True, False)


async def signed_in_long_ago(door: Door) -> httpx.AsyncClient:
    """Return a browser whose session began more than 15 minutes ago."""
    browser = await signed_in(door)

    def write(tx: Tx) -> None:
        cara = tx.people.by_email("cara@example.org")
        assert cara is not None
        (session,) = tx.people.sessions(cara.id)
        tx.people.drop_session(session.sha256)
        tx.people.add_session(replace(session, created_at=plus(session.created_at, -1000)))

    await door.world.services.store.write(write)
    return browser


@pytest.mark.requirement("DEC-4")
async def test_an_old_sign_in_is_said_before_one_presses_and_leads_back(door: Door) -> None:
    duty = {"kind": "require_assurance", "level": "L3"}
    await door.world.policy("sure", "review", {"action": "send_mail"}, obligations=[duty])
    made = await door.pending()
    browser = await signed_in_long_ago(door)
    address = f"/requests/{made.id}"
    again = f'href="/sign-in?again=yes&amp;next={address}"'
    shown = await browser.get(address)
    assert again in shown.text and 'value="approve"' not in shown.text
    several = await browser.get("/decisions", params={"pick": made.id})
    assert again in several.text and 'value="approve"' not in several.text
    token = fields(await browser.get("/account"))["form_token"]
    page = await door.world.services.requests.detail(door.world.anne, made.id)
    seen = door.world.services.cards.card(page, {}, door.world.services.clock.now())
    form = {"form_token": token, "digest": made.digest, "display": seen.display,
            "decision": "approve"}  # fmt: skip
    refused = await browser.post(f"{address}/decide", data=form)
    assert refused.status_code == 403 and "It was kept as a comment" in refused.text
    assert "Nothing was changed" not in refused.text and again in refused.text
    asks = await browser.get(f"/sign-in?again=yes&next={address}")
    assert 'name="password"' in asks.text
    given = {"email": "cara@example.org", "password": PASSWORD, "next": address}
    back = await browser.post("/sign-in", data=given)
    assert back.headers["location"] == address
    form |= fields(await browser.get(address))
    assert (await browser.post(f"{address}/decide", data=form)).status_code == 303
    assert await status_of(door, made.id) is Status.APPROVED
