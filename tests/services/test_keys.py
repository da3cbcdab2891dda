"""A session alone makes no lasting vote: a key that votes, or a place given away, takes a proof."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import BadCredentials, Forbidden, InvalidKey, PasswordRequired
from app.core.instant import plus
from app.core.principals import Caller, Scope
from app.services.keys import fingerprint, new_secret
from tests.support.channel import FakeChannel
from tests.support.telling import BEN, PASSWORD, Mail, opened, with_password
from tests.support.world import FakeClock, World

pytestmark = pytest.mark.requirement("KEY-2", "T15", "T23")

OTHER = "another horse battery staple 99"
VOTES = (Scope.REQUEST_READ, Scope.REQUEST_DECIDE)


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    channels = (FakeChannel(), Mail())
    async with opened(database_url, tmp_path, *channels, clock=FakeClock()) as made:
        yield made


async def told(place: World) -> list[tuple[str, str]]:
    """Return who was told what so far."""
    due = await place.services.store.read(lambda tx: tx.deliveries.find(limit=100))
    return [(item.recipient, item.body) for item in due]


async def test_a_key_that_votes_takes_the_password_and_tells_its_person(place: World) -> None:
    agents, ben = place.services.agents, await with_password(place, place.ben)
    name, owner = "terminal", ben.actor.id
    with pytest.raises(PasswordRequired):
        await agents.create_key(ben, name=name, scopes=VOTES, person_id=owner)
    with pytest.raises(BadCredentials) as wrong:
        await agents.create_key(ben, name=name, scopes=VOTES, person_id=owner, password=OTHER)
    assert wrong.value.pointer == "/password"
    await agents.create_key(ben, name="reads", scopes=[Scope.REQUEST_READ], person_id=owner)
    assert await told(place) == []
    key, secret = await agents.create_key(
        ben, name=name, scopes=VOTES, person_id=owner, password=PASSWORD
    )
    said = "A key was made that decides in your name\nterminal"
    assert set(await told(place)) == {(BEN.id, said), ("ben@example.org", said)}
    with pytest.raises(PasswordRequired):
        await agents.rotate_key(ben, key.id)
    fresh, _ = await agents.rotate_key(ben, key.id, password=PASSWORD)
    assert fresh.replaces == key.id and len(await told(place)) == 4
    assert fingerprint(secret) == key.sha256 and new_secret() != secret


async def test_a_key_makes_no_key_that_votes(place: World) -> None:
    anne = await with_password(place, place.anne)
    agents, own = place.services.agents, anne.actor.id
    scopes = [*VOTES, Scope.ADMIN]
    key, _ = await agents.create_key(
        anne, name="k", scopes=scopes, person_id=own, password=PASSWORD
    )
    by_key: Caller = replace(anne, session=None, key=key)
    with pytest.raises(Forbidden, match="sign in"):
        await agents.create_key(by_key, name="k", scopes=VOTES, person_id=own, password=PASSWORD)
    with pytest.raises(Forbidden, match="sign in"):
        await agents.rotate_key(by_key, key.id, password=PASSWORD)


async def test_a_password_that_changed_meanwhile_makes_no_key(place: World) -> None:
    ben = await with_password(place, place.ben)
    await with_password(place, place.ben)
    with pytest.raises(BadCredentials):
        await place.services.agents.create_key(
            ben, name="k", scopes=VOTES, person_id=ben.actor.id, password=PASSWORD
        )
    assert await place.services.agents.list_keys(ben, person_id=ben.actor.id) == []


@pytest.mark.requirement("PPL-4")
async def test_a_place_is_given_away_by_password_alone(place: World) -> None:
    accounts, ben = place.services.accounts, await with_password(place, place.ben)
    now = place.services.clock.now()
    for wrong, error in (("", PasswordRequired), (OTHER, BadCredentials)):
        with pytest.raises(error):
            await accounts.delegate(
                ben, delegate_id=place.anne.actor.id, starts_at=now, ends_at=plus(now, 3600),
                password=wrong,
            )  # fmt: skip
    assert await accounts.delegations(ben) == [] and await told(place) == []
    await accounts.delegate(
        ben, delegate_id=place.anne.actor.id, starts_at=now, ends_at=plus(now, 3600),
        password=PASSWORD,
    )  # fmt: skip
    assert {who for who, _ in await told(place)} == {BEN.id, "ben@example.org"}


@pytest.mark.requirement("PPL-1")
async def test_keys_end_with_a_password_when_that_is_wanted(place: World) -> None:
    agents, people = place.services.agents, place.services.people
    ben = await with_password(place, place.ben)
    _, secret = await agents.create_key(
        ben, name="k", scopes=VOTES, person_id=ben.actor.id, password=PASSWORD
    )
    await people.change_password(ben, PASSWORD, OTHER)
    assert (await place.services.access.key_caller(secret, "192.0.2.1")).actor == ben.actor
    ben = replace(ben, person=await people.get(place.anne, ben.actor.id))
    await people.change_password(ben, OTHER, PASSWORD, end_keys=True)
    place.services.access.forget([None])
    with pytest.raises(InvalidKey):
        await place.services.access.key_caller(secret, "192.0.2.1")
    changes = await place.services.audit.page(place.anne, event="person.password_changed")
    assert [item.details for item in changes] == [{"keys_revoked": 1}, {"keys_revoked": 0}]
