"""Who was switched off, or lost an account, is shown nothing any more."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.delivery import Delivery, DeliveryKind, DeliveryState
from app.core.errors import MissingRole, NotFound
from app.core.ports import DeliveryFailed
from app.core.request import Request
from app.services.intake import Asked
from tests.support.channel import FakeChannel
from tests.support.telling import BEN, Mail, carried, deliveries, opened, signed_in
from tests.support.world import FakeClock, World, agent_caller

pytestmark = pytest.mark.requirement("CH-6", "T17", "PPL-2")

Leave = Callable[[World], Awaitable[object]]


async def switched_off(place: World) -> None:
    await place.services.people.update(place.anne, place.ben.actor.id, active=False)


async def unlinked(place: World) -> None:
    accounts = place.services.accounts
    (mine,) = await accounts.identities(place.ben)
    await accounts.unlink(place.anne, mine.id)


async def passed_on(place: World) -> None:
    """Let Ben's account be Anne's."""
    await unlinked(place)
    await place.services.accounts.link(place.anne, place.anne.actor.id, "chat", BEN.id)


@pytest.fixture
async def chat() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
async def place(
    database_url: str, tmp_path: Path, chat: FakeChannel
) -> AsyncGenerator[World, None]:
    async with opened(database_url, tmp_path, chat, Mail(), clock=FakeClock()) as made:
        yield made


async def ask(place: World) -> Request:
    request = await place.ask(expires_in=9999)
    await place.services.notices.notify(request.id)
    return request


async def bens(place: World, request: Request) -> list[Delivery]:
    found = await deliveries(place, request)
    return [item for item in found if item.person_id == place.ben.actor.id]


@pytest.mark.parametrize("leave", [switched_off, unlinked, passed_on])
async def test_a_card_is_not_shown(place: World, chat: FakeChannel, leave: Leave) -> None:
    request = await ask(place)
    await leave(place)
    await carried(place)
    assert BEN.id not in {item.recipient for item in chat.messages} and len(chat.messages) == 1
    (copy,) = [item for item in await bens(place, request) if item.channel == "chat"]
    assert (copy.state, copy.last_error) == (DeliveryState.SKIPPED, "no longer a person here")


async def test_neither_is_a_mail_with_its_link(place: World) -> None:
    request = await ask(place)
    await switched_off(place)
    await carried(place, "email")
    mail = place.services.couriers.channels["email"]
    assert isinstance(mail, Mail)
    assert [item.recipient for item in mail.messages] == ["anne@example.org"]
    (copy,) = [item for item in await bens(place, request) if item.channel == "email"]
    assert copy.state is DeliveryState.SKIPPED


@pytest.mark.parametrize("leave", [switched_off, unlinked, passed_on])
async def test_a_copy_is_not_updated(place: World, chat: FakeChannel, leave: Leave) -> None:
    request = await ask(place)
    await carried(place)
    await leave(place)
    await place.vote(request)
    await place.services.notices.refresh(request.id)
    await carried(place)
    shown = {item.recipient: len(item.cards) for item in chat.messages}
    assert shown == {"T1:ANNE": 2, BEN.id: 1}


@pytest.mark.parametrize("leave", [switched_off, unlinked, passed_on])
async def test_a_digest_is_not_sent(place: World, chat: FakeChannel, leave: Leave) -> None:
    await place.services.accounts.prefer(signed_in(place.ben), "chat", {"digest_seconds": 60})
    made = [await ask(place) for _ in range(3)]
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    clock.move(61)
    await place.services.notices.release()
    await leave(place)
    await carried(place)
    assert all(item.digest is None for item in chat.messages)
    found = await place.services.store.read(lambda tx: tx.deliveries.find(recipient=BEN.id))
    assert {item.state for item in found} == {DeliveryState.SKIPPED}
    assert len([item for item in found if item.kind is DeliveryKind.DIGEST]) == 1
    assert len(made) == 3


async def test_a_digest_of_what_was_decided_meanwhile_is_not_sent(
    place: World, chat: FakeChannel
) -> None:
    await place.services.accounts.prefer(signed_in(place.ben), "chat", {"digest_seconds": 60})
    made = [await ask(place) for _ in range(2)]
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    clock.move(61)
    await place.services.notices.release()
    for request in made:
        await place.vote(request)
    await carried(place)
    assert all(item.digest is None for item in chat.messages)


async def test_no_agent_hides_anothers_requests_in_a_digest(
    place: World, chat: FakeChannel
) -> None:
    services, clock = place.services, place.services.clock
    await services.accounts.prefer(signed_in(place.ben), "chat", {"digest_seconds": 60})
    for _ in range(30):
        await ask(place)
    honest = replace(place.agent, id=services.ids.new("agt"), name="honest")
    await services.store.write(lambda tx: tx.agents.add(honest))
    caller = agent_caller(honest, place.key)
    asked = Asked(action="important", params={}, context={})
    request = await services.intake.submit(caller, asked)
    await services.notices.notify(request.id)
    assert isinstance(clock, FakeClock)
    clock.move(61)
    await services.notices.release()
    await carried(place)
    (digest,) = [item.digest for item in chat.messages if item.recipient == BEN.id]
    assert digest is not None and len(digest.lines) == 31
    assert digest.lines[1].startswith("important, asked by honest: expires ")
    assert digest.urls[1].endswith(f"/requests/{request.id}") and len(digest.urls) == 31


async def test_a_digests_lines_say_with_what(place: World, chat: FakeChannel) -> None:
    await place.services.accounts.prefer(signed_in(place.ben), "chat", {"digest_seconds": 60})
    for who in ("Ada", "x" * 200):
        request = await place.ask(expires_in=9999, params={"to": who})
        await place.services.notices.notify(request.id)
    assert isinstance(place.services.clock, FakeClock)
    place.services.clock.move(61)
    await place.services.notices.release()
    await carried(place)
    (digest,) = [item.digest for item in chat.messages if item.recipient == BEN.id]
    assert digest is not None
    assert any('"to": "Ada"' in line and "asked by robot" in line for line in digest.lines)
    assert all(len(line) < 250 for line in digest.lines)


async def test_a_note_about_a_target_leads_there(place: World, chat: FakeChannel) -> None:
    notices, ben = place.services.notices, place.ben.person
    assert ben is not None
    await place.services.store.write(lambda tx: notices.tell(tx, ben, "db", purpose="target:tgt_1"))
    await carried(place)
    (note,) = [item.digest for item in chat.messages]
    assert note is not None
    assert note.url.endswith("/targets/tgt_1") and note.action == "See the target"


async def test_what_was_given_up_is_listed_and_sent_again(place: World, chat: FakeChannel) -> None:
    couriers, anne = place.services.couriers, place.anne
    request = await ask(place)
    chat.failure = DeliveryFailed("no such account", permanent=True)
    await carried(place)
    found = await couriers.undelivered(anne)
    assert {(item.request_id, item.last_error) for item in found} == {
        (request.id, "no such account")
    }
    assert len(found) == 2 and len(await couriers.undelivered(anne, found[0].id)) == 1
    with pytest.raises(MissingRole):
        await couriers.resend(place.ben)
    mail = next(item for item in await bens(place, request) if item.channel == "email")
    with pytest.raises(NotFound):
        await couriers.resend(anne, mail.id)
    chat.failure = None
    assert await couriers.resend(anne, found[0].id) == 1
    assert await couriers.resend(anne) == 1
    await carried(place)
    assert len(chat.messages) == 2 and await couriers.undelivered(anne) == []
