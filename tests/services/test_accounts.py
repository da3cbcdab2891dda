"""Accounts in channels, preferences and leave are changed by their person's own hand."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import (
    BadCredentials,
    Forbidden,
    LinkUsed,
    NotFound,
    NotLinked,
    PasswordRequired,
    TooManySignIns,
)
from app.core.instant import plus
from app.core.people import Delegation
from app.core.ports import Account
from app.core.principals import Caller, Scope
from app.services.throttling import FREE_FAILURES
from tests.support.channel import FakeChannel
from tests.support.telling import ANNE, BEN, PASSWORD, Mail, opened, signed_in, with_password
from tests.support.world import FakeClock, World

EVE = Account("chat", "T1:EVE", "Admin (approve account check, step 2 of 2)")

pytestmark = pytest.mark.requirement("PPL-2", "T17", "T23")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    channels = (FakeChannel(), Mail())
    async with opened(database_url, tmp_path, *channels, clock=FakeClock()) as made:
        yield made


async def offer(place: World, account: Account = EVE) -> str:
    """Return the secret of the link that an account is given."""
    with pytest.raises(NotLinked) as caught:
        await place.services.desk.inbox(account)
    return str(caught.value.extra["url"]).rsplit("/", 1)[1]


async def events(place: World, name: str) -> list[dict[str, object]]:
    found = await place.services.audit.page(place.anne, limit=100)
    return [{"subject": item.subject, **item.details} for item in found if item.event == name]


async def test_a_link_asks_for_the_password(place: World) -> None:
    accounts, secret = place.services.accounts, await offer(place)
    anne = await with_password(place, place.anne)
    for wrong in ("", "guessed it perhaps", PASSWORD.upper()):
        with pytest.raises(BadCredentials) as caught:
            await accounts.accept(anne, secret, wrong)
        assert caught.value.pointer == "/password"
    assert len(await events(place, "identity.linked")) == 2
    (refused,) = await events(place, "identity.link_refused")
    assert refused["code"] == "bad_credentials"
    made = await accounts.accept(anne, secret, PASSWORD)
    assert (made.person_id, made.account) == (anne.actor.id, EVE.id)
    told = (await events(place, "identity.linked"))[0]
    assert told["subject"] == f"person:{anne.actor.id}" and told["account"] == EVE.id
    with pytest.raises(LinkUsed):
        await accounts.accept(anne, secret, PASSWORD)


@pytest.mark.requirement("T31")
async def test_guessing_there_is_throttled_and_keeps_nobody_from_signing_in(place: World) -> None:
    accounts, secret = place.services.accounts, await offer(place)
    anne = await with_password(place, place.anne)
    for _ in range(FREE_FAILURES["proof"]):
        with pytest.raises(BadCredentials):
            await accounts.accept(anne, secret, "guessed it perhaps")
    with pytest.raises(TooManySignIns):
        await accounts.accept(anne, secret, PASSWORD)
    assert isinstance(place.services.clock, FakeClock)
    place.services.clock.move(61)
    await accounts.accept(anne, secret, PASSWORD)


async def test_a_password_that_changed_meanwhile_links_nothing(place: World) -> None:
    accounts, secret = place.services.accounts, await offer(place)
    anne = await with_password(place, place.anne)
    await with_password(place, place.anne)
    with pytest.raises(BadCredentials):
        await accounts.accept(anne, secret, PASSWORD)
    assert await accounts.offered(secret) == ("chat", EVE.id, EVE.name)


async def test_who_linked_an_account_is_told_elsewhere(place: World) -> None:
    anne = await with_password(place, place.anne)
    await place.services.accounts.accept(anne, await offer(place), PASSWORD)
    couriers = place.services.couriers
    for channel in ("chat", "email"):
        for item in await couriers.claim(channel, 100):
            await couriers.carry(item)
    told: dict[str, object] = {}
    for channel in couriers.channels.values():
        assert isinstance(channel, FakeChannel)
        told |= {item.recipient: item.digest for item in channel.messages}
    assert set(told) == {ANNE.id, "anne@example.org"}
    (said,) = set(told.values())
    assert "linked to you" in str(said) and EVE.id in str(said) and "/account'" in str(said)
    assert EVE.name not in str(said)


def keyed(caller: Caller, *scopes: Scope) -> Caller:
    """Return a person as one of their keys shows them."""
    return replace(caller, scopes=frozenset(scopes), session=None, local=False)


async def carried(place: World) -> dict[str, str]:
    """Carry all that is due; return what each recipient was told."""
    couriers, told = place.services.couriers, dict[str, str]()
    for channel in ("chat", "email"):
        for item in await couriers.claim(channel, 100):
            await couriers.carry(item)
    for channel in couriers.channels.values():
        assert isinstance(channel, FakeChannel)
        told |= {item.recipient: str(item.digest) for item in channel.messages}
    return told


@pytest.mark.requirement("T21", "T30", "T31")
async def test_nobody_gets_anothers_vote_by_linking_an_account(place: World) -> None:
    accounts, ben = place.services.accounts, place.ben.actor.id
    given = (ben, "chat", "T1:MALLORY")
    anne = await with_password(place, place.anne)
    for key in (keyed(anne, Scope.ADMIN), replace(anne, scopes=frozenset({Scope.ADMIN}))):
        with pytest.raises(Forbidden, match="request:decide"):
            await accounts.link(key, *given, password=PASSWORD)
    with pytest.raises(Forbidden, match="sign in"):
        await accounts.link(replace(anne, session=None), *given, password=PASSWORD)
    with pytest.raises(PasswordRequired):
        await accounts.link(anne, *given)
    with pytest.raises(BadCredentials):
        await accounts.link(anne, *given, password="guessed it perhaps")
    (refused,) = await events(place, "person.confirmation_failed")
    assert refused == {"subject": f"person:{anne.actor.id}", "purpose": "identity"}
    with pytest.raises(NotLinked):
        await place.services.desk.inbox(Account("chat", "T1:MALLORY", "m"))
    assert await carried(place) == {}
    await accounts.link(anne, *given, password=PASSWORD)
    told = await carried(place)
    assert set(told) == {BEN.id, "ben@example.org"}
    assert "T1:MALLORY" in told[BEN.id] and "decides in your name" in told[BEN.id]


@pytest.mark.requirement("PPL-4", "T30")
async def test_whose_place_an_administrator_gives_away_is_told(place: World) -> None:
    anne = await with_password(place, place.anne)
    now = place.services.clock.now()
    await place.services.accounts.delegate(
        anne, delegate_id=anne.actor.id, person_id=place.ben.actor.id, starts_at=now,
        ends_at=plus(now, 3600), password=PASSWORD,
    )  # fmt: skip
    told = await carried(place)
    assert set(told) == {BEN.id, "ben@example.org"}
    assert "Anne, until 2023-11-14 23:13 UTC" in told[BEN.id]


async def delegation(place: World) -> Delegation:
    """Let Ben take Anne's place."""
    now = place.services.clock.now()
    return await place.services.accounts.delegate(
        signed_in(place.anne), delegate_id=place.ben.actor.id, starts_at=now,
        ends_at=plus(now, 3600),
    )  # fmt: skip


async def test_a_key_changes_nothing_of_ones_own(place: World) -> None:
    accounts = place.services.accounts
    reader = keyed(place.ben, Scope.REQUEST_READ, Scope.REQUEST_DECIDE)
    (mine,) = await accounts.identities(reader)
    made = await delegation(place)
    with pytest.raises(Forbidden, match="sign in"):
        await accounts.prefer(reader, "chat", {"muted": True})
    with pytest.raises(Forbidden, match="sign in"):
        await accounts.unlink(reader, mine.id)
    with pytest.raises(Forbidden, match="sign in"):
        await accounts.revoke_delegation(reader, made.id)
    assert await accounts.preferences(reader) == {} and mine.account == BEN.id
    await accounts.prefer(signed_in(place.ben), "chat", {"muted": True})
    await accounts.prefer(keyed(place.anne, Scope.ADMIN), "chat", {"muted": True})
    await accounts.unlink(signed_in(place.ben), mine.id)
    await accounts.revoke_delegation(keyed(place.anne, Scope.ADMIN), made.id)


@pytest.mark.requirement("AUD-1", "PPL-2")
async def test_how_somebody_is_told_is_on_the_record(place: World) -> None:
    await place.services.accounts.prefer(signed_in(place.ben), "chat", {"muted": True})
    assert await events(place, "preference.set") == [
        {"subject": f"person:{place.ben.actor.id}", "channel": "chat", "muted": True}
    ]


@pytest.mark.requirement("PPL-4")
async def test_a_delegation_is_ended_by_either_side_and_nobody_else(place: World) -> None:
    accounts, made = place.services.accounts, await delegation(place)
    olga = next(who for who in await place.services.people.list(place.anne) if who.name == "Olga")
    with pytest.raises(NotFound):
        await accounts.revoke_delegation(
            signed_in(replace(place.ben, actor=olga.actor, person=olga)), made.id
        )
    await accounts.revoke_delegation(signed_in(place.ben), made.id)
    (ended,) = await accounts.delegations(place.ben)
    assert ended.revoked_at is not None
    (noted,) = await events(place, "delegation.revoked")
    assert noted["subject"] == f"person:{place.anne.actor.id}"
