"""From a request to every copy of its card, and from a press to a counted vote."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.action import Urgency
from app.core.delivery import DeliveryState
from app.core.errors import (
    AlreadyVoted,
    AssuranceTooLow,
    LinkUsed,
    NotAnApprover,
    NotFound,
    NotLinked,
    NotShownInFull,
)
from app.core.ports import Account, DeliveryFailed
from app.core.request import Choice, Status
from tests.support.channel import FakeChannel
from tests.support.telling import (
    ANNE,
    BEN,
    PASSWORD,
    Mail,
    converged,
    deliveries,
    opened,
    settled,
    signed_in,
    token,
    with_password,
    working,
)
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World

pytestmark = pytest.mark.requirement("CH-6")


@pytest.mark.requirement("CH-6", "DEC-1")
async def test_every_copy_converges_when_it_is_decided_anywhere(
    database_url: str, tmp_path: Path
) -> None:
    chat, mail = FakeChannel(), Mail()
    async with opened(database_url, tmp_path, chat, mail) as place, working(place):
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        assert {item.recipient for item in chat.messages} == {ANNE.id, BEN.id}
        assert {item.recipient for item in mail.messages} == {"anne@example.org", "ben@example.org"}
        assert all(item.card.pending for item in (*chat.messages, *mail.messages))
        said = await place.services.desk.cast(BEN, token(chat, BEN.id), Choice.APPROVE, "fine")
        assert said.card.status is Status.APPROVED
        everything = (*chat.messages, *mail.messages)
        await converged(place, request)
        assert all(not item.card.pending for item in everything)
        assert all("by Ben in chat" in item.card.state for item in everything)
        (vote,) = await place.services.requests.votes(place.anne, request.id)
        assert (vote.ballot.channel, len(vote.ballot.display)) == ("chat", 64)


@pytest.mark.requirement("PPL-2", "T17")
async def test_strangers_are_refused_and_may_link_themselves(
    database_url: str, tmp_path: Path
) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat) as place, working(place):
        desk, accounts = place.services.desk, place.services.accounts
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        stranger, card = Account("chat", "T1:EVE", "Anne"), token(chat, BEN.id)
        with pytest.raises(NotLinked) as caught:
            await desk.cast(stranger, card, Choice.APPROVE)
        secret = str(caught.value.extra["url"]).rsplit("/", 1)[1]
        assert await accounts.offered(secret) == ("chat", "T1:EVE", "Anne")
        anne = await with_password(place, place.anne)
        made = await accounts.accept(anne, secret, PASSWORD)
        assert made.person_id == place.anne.actor.id
        with pytest.raises(Exception, match="link"):
            await accounts.accept(anne, secret, PASSWORD)
        other_team = replace(BEN, id="T2:BEN")
        for who in (other_team, replace(BEN, channel="other")):
            with pytest.raises(NotLinked):
                await desk.cast(who, card, Choice.APPROVE)
        with pytest.raises(NotFound):
            await desk.cast(BEN, "no-such-token", Choice.APPROVE)
        assert (await desk.cast(stranger, card, Choice.DENY)).card.status is Status.DENIED
        refused = [entry for entry in await place.services.audit.page(place.anne, limit=100)
                   if entry.event == "ballot.refused"]  # fmt: skip
        assert {str(entry.details["code"]) for entry in refused} == {"not_linked", "not_found"}


@pytest.mark.requirement("CH-5", "T4")
async def test_a_message_that_hides_something_approves_nothing(
    database_url: str, tmp_path: Path
) -> None:
    chat = FakeChannel(complete=False)
    async with opened(database_url, tmp_path, chat) as place, working(place):
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        with pytest.raises(NotShownInFull):
            await place.services.desk.cast(BEN, token(chat, BEN.id), Choice.APPROVE)
        done = await place.services.desk.cast(BEN, token(chat, BEN.id), Choice.DENY)
        assert done.card.status is Status.DENIED


@pytest.mark.requirement("T30")
async def test_one_person_counts_once_through_two_channels(
    database_url: str, tmp_path: Path
) -> None:
    chat, mail = FakeChannel(), Mail()
    async with opened(database_url, tmp_path, chat, mail) as place, working(place):
        await place.policy("two", "review", {"action": "send_mail"}, route={"quorum": 2})
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        link = link_of(mail, "ben@example.org")
        view = await place.services.links.view(link_id(place, link))
        assert (view.made_for, view.sign_in) == ("Ben", "")
        await place.services.desk.cast(BEN, token(chat, BEN.id), Choice.APPROVE)
        with pytest.raises(AlreadyVoted):
            await place.services.links.cast(link_id(place, link), view.form, Choice.APPROVE, "")
        other = link_id(place, link_of(mail, "anne@example.org"))
        form = (await place.services.links.view(other)).form
        done = await place.services.links.cast(other, form, Choice.APPROVE, "ok")
        assert done.card.status is Status.APPROVED
        with pytest.raises(LinkUsed, match=r"You approved this at .*; it is approved"):
            await place.services.links.view(other)


def link_of(mail: FakeChannel, recipient: str) -> str:
    return next(item.cards[0].link for item in mail.messages if item.recipient == recipient)


def link_id(place: World, link: str) -> str:
    return place.services.links.signer.read(link.rsplit("/l/", 1)[1])


@pytest.mark.requirement("CH-4", "T11", "T12")
async def test_links_are_bound_and_die(database_url: str, tmp_path: Path) -> None:
    mail = Mail()
    async with opened(database_url, tmp_path, mail) as place, working(place):
        links = place.services.links
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        link = link_id(place, link_of(mail, "ben@example.org"))
        view = await links.view(link)
        for _ in range(50):
            assert await links.view(link) == view
        with pytest.raises(Exception, match="form"):
            await links.cast(link, "0" * 64, Choice.APPROVE, "")
        with pytest.raises(NotFound):
            await links.view("guess")
        before = await place.get(request)
        assert (before.status, before.approvals) == (Status.PENDING, 0)
        await place.vote(request)
        with pytest.raises(Exception, match="already"):
            await links.cast(link, view.form, Choice.DENY, "")


@pytest.mark.requirement("CH-4", "T12", "DEC-4")
@pytest.mark.parametrize(
    "rule",
    [
        {"obligations": [{"kind": "require_assurance", "level": "L2"}]},
        {"tags": ["destructive"]},
        {},
    ],
)
async def test_risk_and_policy_ask_for_a_sign_in(
    database_url: str, tmp_path: Path, rule: dict[str, Any]
) -> None:
    mail = Mail()
    async with opened(database_url, tmp_path, mail) as place, working(place):
        if rule:
            await place.policy("strong", "review", {"action": "send_mail"}, **rule)
        else:
            document: dict[str, Any] = {
                "name": "risky", "risk": {"factors": [{"name": "mail", "points": 60}]},
            }  # fmt: skip
            await place.services.policies.create(place.anne, document)
            await place.services.policies.refresh()
        request = await place.ask("send_mail")
        await settled(place, request, DeliveryState.DONE)
        link = link_id(place, link_of(mail, "ben@example.org"))
        view = await place.services.links.view(link)
        assert "sign in" in view.sign_in and view.form == ""
        with pytest.raises(Exception) as caught:
            await place.services.links.cast(link, "", Choice.APPROVE, "")
        assert not isinstance(caught.value, AssertionError)
        assert (await place.get(request)).status is Status.PENDING


async def test_a_channel_that_is_down_holds_up_no_other_and_heals(
    database_url: str, tmp_path: Path
) -> None:
    chat, mail = FakeChannel(failure=DeliveryFailed("down")), Mail()
    async with opened(database_url, tmp_path, chat, mail) as place, working(place):
        request = await place.ask("send_mail")
        await mail.until(lambda: len(mail.messages) == 2)
        assert chat.messages == []
        chat.failure = None
        await settled(place, request, DeliveryState.DONE)
        assert len(chat.messages) == 2
        health = {item.channel: item for item, _ in
                  await place.services.couriers.health(place.anne)}  # fmt: skip
        assert health["chat"].states == {"done": 2}


async def test_what_cannot_be_delivered_is_a_dead_letter(database_url: str, tmp_path: Path) -> None:
    chat = FakeChannel(failure=DeliveryFailed("no such channel", permanent=True))
    async with opened(database_url, tmp_path, chat) as place, working(place):
        request = await place.ask("send_mail")
        found = await settled(place, request, DeliveryState.DEAD)
        assert {item.last_error for item in found} == {"no such channel"}


async def test_what_was_decided_before_it_was_shown_is_not_shown(
    database_url: str, tmp_path: Path
) -> None:
    chat = FakeChannel()
    chat.gate.clear()
    async with opened(database_url, tmp_path, chat) as place:
        request = await place.ask("send_mail")
        await place.services.notices.notify(request.id)
        await place.vote(request)
        chat.gate.set()
        async with working(place):
            await settled(place, request, DeliveryState.SKIPPED)
        assert chat.messages == []


@pytest.mark.requirement("DEC-6", "CH-7")
async def test_an_escalation_asks_more_people(database_url: str, tmp_path: Path) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat, clock=FakeClock()) as place:
        clock, services = place.services.clock, place.services
        assert isinstance(clock, FakeClock)
        route = {
            "approvers": ["person:anne@example.org"], "expires_in": 9999,
            "notify": [{"channel": "chat", "to": ["ROOM", "seats"]}],
            "escalation": [{"after": 60, "approvers": ["person:ben@example.org"],
                            "notify": [{"channel": "chat"}]}],
        }  # fmt: skip
        await place.policy("asks", "review", {"action": "send_mail"}, route=route)
        request = await place.ask("send_mail")
        await services.notices.notify(request.id)
        assert [item.recipient for item in await deliveries(place, request)] == ["ROOM", ANNE.id]
        clock.move(60)
        await services.sweeps.tick()
        await services.notices.notify(request.id)
        await services.notices.notify(request.id)
        found = await deliveries(place, request)
        assert [(item.recipient, item.purpose) for item in found] == [
            ("ROOM", "asked"), (ANNE.id, "asked"), (BEN.id, "escalated"),
        ]  # fmt: skip


@pytest.mark.requirement("CH-6", "CH-7", "T9")
async def test_quiet_hours_digests_and_caps(database_url: str, tmp_path: Path) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat, clock=FakeClock()) as place:
        services, clock = place.services, place.services.clock
        assert isinstance(clock, FakeClock)
        await services.accounts.prefer(signed_in(place.ben), "chat", {"digest_seconds": 300})
        await services.accounts.prefer(place.anne, "chat", {"muted": True})
        made = [await place.ask("send_mail", expires_in=9999) for _ in range(3)]
        urgent = await place.ask("send_mail", urgency=Urgency.CRITICAL)
        for request in (*made, urgent):
            await services.notices.notify(request.id)
        states = {
            (item.recipient, item.state)
            for request in made
            for item in await deliveries(place, request)
        }
        assert states == {(ANNE.id, DeliveryState.SKIPPED), (BEN.id, DeliveryState.HELD)}
        assert {(item.recipient, item.state) for item in await deliveries(place, urgent)} == {
            (ANNE.id, DeliveryState.SKIPPED), (BEN.id, DeliveryState.DUE),
        }  # fmt: skip
        await place.vote(made[0])
        clock.move(301)
        assert await services.sweeps.tick() >= 1
        async with working(place):
            await chat.until(lambda: any(item.digest for item in chat.messages))
        (digest,) = [item.digest for item in chat.messages if item.digest]
        assert digest.title == "2 requests wait for a decision"
        assert len(digest.lines) == 2


@pytest.mark.requirement("DEC-2")
async def test_the_desk_shows_what_one_may_decide(database_url: str, tmp_path: Path) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat) as place:
        desk = place.services.desk
        route = {"approvers": ["person:anne@example.org"]}
        await place.policy("hers", "review", {"action": "read_file"}, route=route)
        mine, hers = await place.ask("send_mail"), await place.ask("read_file")
        assert [card.request_id for card in await desk.inbox(BEN)] == [mine.id]
        assert {card.request_id for card in await desk.inbox(ANNE)} == {mine.id, hers.id}
        assert (await desk.show(BEN, hers.id)).token == ""
        with pytest.raises(NotFound):
            await desk.show(BEN, "req_none")
        await place.services.notices.notify(hers.id)
        (sent,) = await deliveries(place, hers)
        assert (await desk.card(ANNE, sent.token)).token == sent.token
        with pytest.raises(NotAnApprover):
            await desk.cast(BEN, sent.token, Choice.DENY)


@pytest.mark.requirement("DEC-4")
async def test_chat_is_too_weak_where_a_sign_in_is_asked(database_url: str, tmp_path: Path) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat) as place:
        duty = [{"kind": "require_assurance", "level": "L3"}]
        await place.policy("strong", "review", {"action": "send_mail"}, obligations=duty)
        request = await place.ask("send_mail")
        await place.services.notices.notify(request.id)
        sent = await deliveries(place, request)
        with pytest.raises(AssuranceTooLow):
            await place.services.desk.cast(BEN, sent[0].token, Choice.DENY, "no")
        assert (await place.get(request)).status is Status.PENDING


@pytest.mark.requirement("CH-7")
async def test_operators_are_told_of_an_unknown_outcome(database_url: str, tmp_path: Path) -> None:
    chat, mail = FakeChannel(), Mail()
    async with Upstream() as upstream, opened(database_url, tmp_path, chat, mail) as place:
        await place.target(upstream.url)
        async with working(place):
            request = await place.call("POST", "/truncated")
            await settled(place, request, DeliveryState.DONE)
            await place.vote(request)
            final = await place.services.feed.wait(place.anne, request.id, 30)
            assert final.status is Status.UNKNOWN
            await converged(place, request)
            (told,) = [item for item in mail.messages if item.recipient == "olga@example.org"]
    assert "unknown" in told.card.state and not told.card.pending and not told.card.link
    assert {item.recipient for item in chat.messages} <= {ANNE.id, BEN.id}
    assert all(item.card.status is Status.UNKNOWN for item in (*chat.messages, *mail.messages))


@pytest.mark.requirement("CH-5", "DEC-3")
async def test_an_agent_cannot_push_peoples_words_off_the_card(
    database_url: str, tmp_path: Path
) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat) as place:
        await place.policy("two", "review", {"action": "drop"}, route={"quorum": 1, "denials": 2})
        request = await place.ask("drop", context={"same": 1})
        await place.vote(request, place.ben, Choice.DENY)
        for _ in range(12):
            assert (await place.ask("drop", context={"same": 1})).id == request.id
        card = await place.services.store.read(lambda tx: place.services.cards.of(tx, request.id))
    assert any("looked at it" in line for line in card.timeline)
    assert "asked again" in card.timeline[-1] and len(card.timeline) <= 9
