"""What comes of presses by people whom nobody knows: told, recorded, and never without a limit."""

from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import AccountRefused, AssentryError, Forbidden, NotFound, NotLinked
from app.core.ports import Account
from app.core.request import Choice
from app.services.refusals import MOST
from tests.support.channel import FakeChannel
from tests.support.telling import BEN, opened
from tests.support.world import FakeClock, World

EVE, MALLORY = Account("chat", "T1:EVE", "Eve"), Account("chat", "T1:MALLORY", "Mallory")

pytestmark = pytest.mark.requirement("PPL-2", "T17", "T67", "AUD-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with opened(database_url, tmp_path, FakeChannel(), clock=FakeClock()) as made:
        yield made


def later(place: World, seconds: float) -> None:
    assert isinstance(place.services.clock, FakeClock)
    place.services.clock.move(seconds)


async def record(place: World, event: str) -> list[dict[str, object]]:
    found = await place.services.audit.page(place.anne, limit=100)
    return [dict(item.details) for item in found if item.event == event]


async def link_of(place: World, account: Account) -> str:
    """Press as somebody unknown; return the link that is given for it."""
    with pytest.raises(NotLinked) as caught:
        await place.services.desk.cast(account, "token", Choice.APPROVE)
    return str(caught.value.extra["url"])


async def test_who_is_not_known_is_recorded_and_given_a_link_once_a_minute(place: World) -> None:
    links = [await link_of(place, EVE) for _ in range(30)]
    for look in (place.services.desk.inbox, lambda who: place.services.desk.card(who, "t")):
        with pytest.raises(NotLinked) as caught:
            await look(EVE)
        links.append(str(caught.value.extra["url"]))
    renamed = Account("chat", EVE.id, "Somebody else")
    assert {*links, await link_of(place, renamed)} == {links[0]}
    assert await link_of(place, MALLORY) != links[0]
    assert Counter(str(row["account"]) for row in await record(place, "ballot.refused")) == {
        EVE.id: 1, MALLORY.id: 1,
    }  # fmt: skip
    later(place, 61)
    assert await link_of(place, EVE) != links[0]
    newest = (await record(place, "ballot.refused"))[0]
    assert newest["left_out_before"] == 30
    assert len(await record(place, "account.refused")) == 1
    with pytest.raises(AssentryError, match="link"):
        await place.services.accounts.offered(links[0].rsplit("/", 1)[1])


async def test_guests_that_channels_turn_away_do_not_fill_the_record(place: World) -> None:
    desk = place.services.desk
    for number in range(200):
        await desk.turned_away(Account("chat", f"T1:G{number % 40}"), AccountRefused())
    assert len(await record(place, "ballot.refused")) == MOST


async def test_of_people_every_refusal_is_recorded(place: World) -> None:
    for _ in range(3):
        with pytest.raises(NotFound):
            await place.services.desk.cast(BEN, "no-such-token", Choice.APPROVE)
    assert [row["code"] for row in await record(place, "ballot.refused")] == ["not_found"] * 3
    page = await place.services.audit.page(place.anne, limit=3)
    assert {entry.actor_name for entry in page} == {"Ben"}


@pytest.mark.requirement("CH-6")
async def test_what_one_has_voted_on_does_not_wait_for_one(place: World) -> None:
    await place.policy("two", "review", {"action": "send_mail"}, route={"quorum": 2})
    made = await place.ask("send_mail")
    assert [card.request_id for card in await place.services.desk.inbox(BEN)] == [made.id]
    await place.vote(made, place.ben)
    assert await place.services.desk.inbox(BEN) == ()


async def test_what_has_no_proof_is_recorded_once_a_minute(place: World) -> None:
    desk = place.services.desk
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        await desk.unproven("slack", address)
    found = await record(place, "authentication.failed")
    assert [(row["channel"], row["code"], row["from"]) for row in found] == [
        ("slack", "bad_signature", "192.0.2.2"), ("slack", "bad_signature", "192.0.2.1"),
    ]  # fmt: skip


async def test_people_read_cards_and_agents_do_not(place: World) -> None:
    made = await place.ask()
    card = await place.services.desk.read(place.ben, made.id)
    assert (card.request_id, card.digest, card.pending) == (made.id, made.digest, True)
    with pytest.raises(Forbidden, match="need a key of your own"):
        await place.services.desk.read(place.robot, made.id)
    with pytest.raises(NotFound):
        await place.services.desk.read(place.ben, "req_other")
