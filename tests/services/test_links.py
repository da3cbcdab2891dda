"""Forms of links that are refused stand in the record, and a flood of them does not fill it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.core.delivery import DeliveryState
from app.core.errors import LinkUsed
from app.core.ports import LinkView
from app.core.principals import Caller, Role
from app.core.request import Request
from integrations.links.pages import LinkPages
from tests.support.telling import Mail, opened, settled, working
from tests.support.world import FakeClock, World

pytestmark = pytest.mark.requirement("CH-4", "T10", "AUD-1", "T67")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with opened(database_url, tmp_path, Mail()) as made:
        yield made


async def record(place: World) -> list[tuple[object, object]]:
    found = await place.services.audit.page(place.anne, limit=100)
    return [(item.details["code"], item.details["made_for"]) for item in found
            if item.event == "ballot.refused"]  # fmt: skip


async def test_refused_forms_are_recorded(place: World) -> None:
    mail, links = place.services.couriers.channels["email"], place.services.links
    assert isinstance(mail, Mail)
    async with working(place):
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
    (link,) = [item.card.link for item in mail.messages if item.recipient == "ben@example.org"]
    path = link[link.index("/l/") :]
    app = Starlette(routes=LinkPages(links, links.signer).routes())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate.example") as browser:
        for _ in range(5):
            assert (await browser.post("/l/guess", data={"decision": "approve"})).status_code == 404
            form = {"decision": "approve", "form": "0" * 64}
            assert (await browser.post(path, data=form)).status_code == 410
            assert (await browser.post(path, data={"decision": "x"})).status_code == 410
            assert (await browser.get("/l/guess")).status_code == 404
    ben = place.ben.actor.id
    assert await record(place) == [("link_used", ben), ("not_found", "")]


async def test_a_used_link_says_what_came_of_it_and_counts_no_other_press(place: World) -> None:
    links, request = place.services.links, await place.ask("send_mail")
    ben = place.ben.actor.id
    first, second = [
        await place.services.store.write(lambda tx: links.mint(tx, request, ben, "dlv_1", "email"))
        for _ in range(2)
    ]
    app = Starlette(routes=LinkPages(links, links.signer).routes())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate.example") as browser:
        pages = [(await browser.get(link[link.index("/l/") :])).text for link in (first, second)]
        forms = [page.split('name="form" value="')[1].split('"')[0] for page in pages]
        path, other = (link[link.index("/l/") :] for link in (first, second))
        done = await browser.post(path, data={"decision": "approve", "form": forms[0]})
        assert done.status_code == 200 and "by mail link" in done.text
        again = await browser.get(path)
        assert (again.status_code, "You approved this at" in again.text) == (410, True)
        assert "it is approved" in again.text and "<form" not in again.text
        late = await browser.post(other, data={"decision": "deny", "form": forms[1]})
        assert "Your press was not counted. You approved this at" in late.text
    votes = await place.services.requests.votes(place.anne, request.id)
    assert [vote.ballot.choice.value for vote in votes] == ["approve"]


async def view(place: World, request: Request, who: Caller) -> LinkView:
    """Return what a link of somebody shows."""
    links, person = place.services.links, who.actor.id
    link = await place.services.store.write(
        lambda tx: links.mint(tx, request, person, "dlv_1", "email")
    )
    return await links.view(links.signer.read(link.rsplit("/l/", 1)[1]))


async def test_no_link_shows_what_is_decided(place: World) -> None:
    request = await place.ask("send_mail")
    assert (await view(place, request, place.ben)).form
    await place.vote(request)
    for who in (place.ben, place.anne):
        with pytest.raises(LinkUsed, match="it is approved"):
            await view(place, request, who)


async def test_who_may_not_decide_any_more_finds_no_form(place: World) -> None:
    request = await place.ask("send_mail")
    await place.services.people.update(place.anne, place.ben.actor.id, role=Role.VIEWER)
    shown = await view(place, request, place.ben)
    assert (shown.form, shown.sign_in[:24]) == ("", "You cannot decide this. ")


@pytest.mark.requirement("T12")
@pytest.mark.parametrize(("method", "form"), [("POST", True), ("DELETE", False)])
async def test_what_may_not_be_undone_takes_a_sign_in(
    place: World, method: str, *, form: bool
) -> None:
    await place.target("http://127.0.0.1:9")
    await place.policy("asks", "review", {"action": "http.request"})
    shown = await view(place, await place.call(method, "/notes/7"), place.ben)
    assert (bool(shown.form), "sign in" in shown.sign_in) == (form, not form)


async def test_a_link_that_is_over_says_why(database_url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(database_url, tmp_path, Mail(), clock=clock) as place:
        services, request, ben = place.services, await place.ask("send_mail"), place.ben.actor.id
        link = await services.store.write(
            lambda tx: services.links.mint(tx, request, ben, "dlv_1", "email")
        )
        name = services.links.signer.read(link.rsplit("/l/", 1)[1])
        clock.move(31 * 86_400)
        with pytest.raises(LinkUsed, match=r"This link ended at 20\d\d-.*You did not decide by it"):
            await services.links.view(name)
        await services.people.update(place.anne, ben, active=False)
        with pytest.raises(LinkUsed, match="an account that is switched off"):
            await services.links.view(name)
