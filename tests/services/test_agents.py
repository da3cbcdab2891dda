"""Agents and keys: shown once, kept as a hash, never above their owner's rights."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import (
    AssentryError,
    Conflict,
    Forbidden,
    InvalidField,
    InvalidKey,
    MissingRole,
    MissingScope,
    NameTaken,
    NotFound,
    ScopeConflict,
)
from app.core.instant import plus
from app.core.principals import ApiKey, Permission, Scope
from app.services.access import KEY_SHAPE
from app.services.agents import MAX_GRACE
from app.services.keys import fingerprint
from tests.support.world import FakeClock, World, with_scopes, world


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


async def made(place: World, **fields: Any) -> tuple[ApiKey, str]:
    """Make a key of the agent."""
    given: dict[str, Any] = {
        "name": "k",
        "scopes": ["request:create"],
        "agent_id": place.agent.id,
        **fields,
    }
    return await place.services.agents.create_key(place.anne, **given)


async def works(place: World, secret: str) -> bool:
    place.services.access.forget([None])
    try:
        await place.services.access.key_caller(secret, "127.0.0.1")
    except InvalidKey:
        return False
    return True


@pytest.mark.requirement("KEY-1", "T62")
async def test_a_key_is_random_and_kept_as_a_hash(place: World) -> None:
    key, secret = await made(place)
    _, other = await made(place)
    assert secret != other
    assert KEY_SHAPE.fullmatch(secret)
    assert key.sha256 == fingerprint(secret)
    assert secret not in repr(key)
    listed = await place.services.agents.list_keys(place.anne, agent_id=place.agent.id)
    assert key in listed
    assert secret not in repr(listed)
    record = await place.services.audit.page(place.anne, event="key.created")
    assert secret not in repr(record)
    assert await works(place, secret)


@pytest.mark.requirement("KEY-1")
async def test_what_a_key_may_is_kept(place: World, clock: FakeClock) -> None:
    permissions = (
        Permission("github", ("GET",), ("/repos/**",)), Permission("mail"),
        Permission("web1", profiles=("readonly-safe",)),
        Permission("github", ("GET",), ("/repos/secret/**",), denied=True),
    )  # fmt: skip
    key, _ = await made(
        place, permissions=permissions, networks=["192.0.2.0/24", "2001:db8::/32"],
        rate_limit=5, expires_at=plus(clock.now(), 60),
    )  # fmt: skip
    stored = await place.services.agents.list_keys(place.anne, agent_id=place.agent.id)
    assert next(one for one in stored if one.id == key.id) == key
    closed, _ = await made(place, permissions=())
    stored = await place.services.agents.list_keys(place.anne, agent_id=place.agent.id)
    assert next(one for one in stored if one.id == closed.id).permissions == ()


@pytest.mark.requirement("SSH-3", "KEY-2")
@pytest.mark.parametrize("more", [{"methods": ("GET",)}, {"paths": ("/x",)}, {"denied": True}])
async def test_profiles_of_a_key_are_about_whole_hosts(place: World, more: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        await made(place, permissions=(Permission("web1", profiles=("a",), **more),))
    assert caught.value.pointer == "/permissions/0/profiles"


@pytest.mark.requirement("KEY-1")
async def test_a_key_ends_when_it_is_revoked(place: World, clock: FakeClock) -> None:
    key, secret = await made(place)
    first = await place.services.agents.revoke_key(place.anne, key.id)
    clock.move(5)
    again = await place.services.agents.revoke_key(place.anne, key.id)
    assert again.revoked_at == first.revoked_at
    assert not await works(place, secret)
    events = await place.services.audit.page(place.anne, event="key.revoked")
    assert len(events) == 1


@pytest.mark.requirement("KEY-1")
async def test_a_key_ends_when_its_time_is_over(place: World, clock: FakeClock) -> None:
    _, secret = await made(place, expires_at=plus(clock.now(), 60))
    clock.move(59.9)
    assert await works(place, secret)
    clock.move(0.1)
    assert not await works(place, secret)


@pytest.mark.requirement("KEY-1")
async def test_a_rotated_key_has_the_same_rights_and_the_old_one_a_grace(
    place: World, clock: FakeClock
) -> None:
    old, secret = await made(place, networks=["127.0.0.0/8"], rate_limit=9, permissions=())
    clock.move(1)
    fresh, other = await place.services.agents.rotate_key(place.anne, old.id, 30)
    assert (fresh.replaces, fresh.scopes, fresh.networks, fresh.rate_limit, fresh.permissions) == (
        old.id, old.scopes, old.networks, old.rate_limit, old.permissions,
    )  # fmt: skip
    assert await works(place, secret) and await works(place, other)
    clock.move(30)
    assert not await works(place, secret)
    assert await works(place, other)
    assert fresh.expires_at is None


@pytest.mark.requirement("KEY-1")
async def test_without_a_grace_the_old_key_ends_at_once(place: World) -> None:
    old, secret = await made(place)
    await place.services.agents.rotate_key(place.anne, old.id)
    assert not await works(place, secret)


@pytest.mark.requirement("KEY-1")
async def test_a_grace_does_not_prolong_a_key(place: World, clock: FakeClock) -> None:
    ends = plus(clock.now(), 10)
    old, _ = await made(place, expires_at=ends)
    fresh, _ = await place.services.agents.rotate_key(place.anne, old.id, MAX_GRACE)
    keys = await place.services.agents.list_keys(place.anne, agent_id=place.agent.id)
    assert next(key for key in keys if key.id == old.id).expires_at == ends
    assert fresh.expires_at == ends


@pytest.mark.requirement("KEY-1", "T23")
async def test_what_cannot_be_rotated(place: World) -> None:
    agents = place.services.agents
    key, _ = await made(place)
    for grace in (-1, MAX_GRACE + 1):
        with pytest.raises(InvalidField):
            await agents.rotate_key(place.anne, key.id, grace)
    with pytest.raises(NotFound):
        await agents.rotate_key(place.anne, "key_none")
    done = await asyncio.gather(
        *(agents.rotate_key(place.anne, key.id, 60) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in done) == 2
    gone, _ = await made(place)
    await agents.revoke_key(place.anne, gone.id)
    with pytest.raises(Conflict):
        await agents.rotate_key(place.anne, gone.id)


@pytest.mark.requirement("KEY-2", "T21")
@pytest.mark.parametrize(
    "scopes",
    [
        ["request:create", "request:decide"], ["request:create", "admin"], ["request:decide"],
        ["policy:write"], ["audit:read"], list(Scope),
    ],
)  # fmt: skip
async def test_an_agents_key_only_asks_and_reads(place: World, scopes: list[str]) -> None:
    with pytest.raises(ScopeConflict):
        await made(place, scopes=scopes)


@pytest.mark.requirement("KEY-2", "T21", "T23")
async def test_a_persons_key_never_asks_and_never_exceeds_anybody(place: World) -> None:
    agents, ben, anne = place.services.agents, place.ben.person, place.anne.person
    assert ben is not None and anne is not None
    with pytest.raises(ScopeConflict):
        await agents.create_key(
            place.anne, name="k", scopes=["request:create", "request:decide"], person_id=ben.id
        )
    with pytest.raises(InvalidField):
        await agents.create_key(place.anne, name="k", scopes=["admin"], person_id=ben.id)
    only_admin = with_scopes(place.anne, Scope.ADMIN)
    with pytest.raises(ScopeConflict):
        await agents.create_key(only_admin, name="k", scopes=["audit:read"], person_id=anne.id)
    key, _ = await agents.create_key(
        place.anne, name="k", scopes=["admin", "request:decide"], person_id=anne.id
    )
    with pytest.raises(ScopeConflict):
        await agents.rotate_key(only_admin, key.id)


@pytest.mark.requirement("KEY-2", "T21", "T30")
async def test_only_they_themselves_get_a_key_that_votes_as_somebody(place: World) -> None:
    agents, ben = place.services.agents, place.ben.person
    assert ben is not None
    with pytest.raises(ScopeConflict, match="themselves"):
        await agents.create_key(place.anne, name="k", scopes=["request:decide"], person_id=ben.id)
    key, _ = await agents.create_key(
        place.ben, name="k", scopes=["request:decide"], person_id=ben.id
    )
    with pytest.raises(ScopeConflict, match="themselves"):
        await agents.rotate_key(place.anne, key.id)
    assert (await agents.list_keys(place.ben, person_id=ben.id))[0].id == key.id
    assert (await agents.rename_key(place.ben, key.id, "mine")).name == "mine"
    again, _ = await agents.rotate_key(place.ben, key.id)
    by_key = replace(place.ben, key=again)
    for refused in (
        agents.create_key(by_key, name="k", scopes=["request:decide"], person_id=ben.id),
        agents.revoke_key(by_key, again.id),
        agents.list_keys(place.ben, person_id=place.anne.actor.id),
        agents.revoke_key(place.ben, place.key.id),
        agents.revoke_key(place.ben, "key_none"),
    ):
        with pytest.raises(Forbidden):
            await refused
    assert (await agents.revoke_key(place.ben, again.id)).revoked_at is not None
    assert (await agents.revoke_key(place.anne, key.id)).revoked_at is not None


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["request:create", "*"]}, "/scopes/1"),
        ({"scopes": ["REQUEST:CREATE"]}, "/scopes/0"),
        ({"networks": ["10.0.0.0/8", "everywhere"]}, "/networks/1"),
        ({"networks": ["10.0.0.1/8"]}, "/networks/0"),
        ({"networks": ["10.0.0.0/8"] * 101}, "/networks"),
        ({"rate_limit": 0}, "/rate_limit"),
        ({"rate_limit": 1_000_001}, "/rate_limit"),
        ({"expires_at": 1}, "/expires_at"),
        ({"agent_id": None}, "/agent_id"),
        ({"person_id": "per_x", "scopes": ["request:read"]}, "/agent_id"),
    ],
)
async def test_keys_are_checked(place: World, fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidField) as refused:
        await made(place, **fields)
    assert refused.value.pointer == pointer


@pytest.mark.requirement("KEY-1")
async def test_a_key_needs_its_owner(place: World) -> None:
    with pytest.raises(NotFound):
        await made(place, agent_id="agt_none")
    with pytest.raises(NotFound):
        await made(place, agent_id=None, person_id="per_none", scopes=["request:read"])


@pytest.mark.requirement("T23")
async def test_only_administrators_touch_agents_and_keys(place: World) -> None:
    agents, key = place.services.agents, place.key.id
    attempts: list[Any] = [
        lambda who: agents.create(who, name="x"),
        lambda who: agents.update(who, place.agent.id, frozen=True),
        lambda who: agents.create_key(
            who, name="k", scopes=["request:read"], agent_id=place.agent.id
        ),
        agents.list_keys,
        lambda who: agents.rename_key(who, key, "x"),
        lambda who: agents.revoke_key(who, key),
        lambda who: agents.rotate_key(who, key),
    ]
    for attempt in attempts:
        with pytest.raises(MissingRole):
            await attempt(place.ben)
        with pytest.raises(MissingScope):
            await attempt(place.robot)


@pytest.mark.requirement("KEY-4")
async def test_an_agent_has_an_owner_and_a_cap(place: World) -> None:
    agents = place.services.agents
    assert place.anne.person is not None
    agent = await agents.create(place.anne, name="second", open_limit=2)
    assert (agent.owner_id, agent.open_limit) == (place.anne.person.id, 2)
    assert await agents.get(place.anne, agent.id) == agent
    changed = await agents.update(place.anne, agent.id, description="d", owner_id=None)
    assert (changed.description, changed.owner_id) == ("d", None)
    assert [one.name for one in await agents.list(place.anne)] == ["robot", "second"]


@pytest.mark.requirement("KEY-4")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, InvalidField),
        ({"name": "second"}, NameTaken),
        ({"description": "x" * 2001}, InvalidField),
        ({"description": "\x00"}, InvalidField),
        ({"open_limit": -1}, InvalidField),
        ({"open_limit": 1_000_001}, InvalidField),
        ({"owner_id": "per_none"}, NotFound),
        ({"id": "agt_x"}, InvalidField),
        ({"created_at": 1}, InvalidField),
    ],
)
async def test_agents_are_checked(
    place: World, changes: dict[str, Any], error: type[AssentryError]
) -> None:
    await place.services.agents.create(place.anne, name="second")
    with pytest.raises(error):
        await place.services.agents.update(place.anne, place.agent.id, **changes)
    assert await place.services.agents.get(place.anne, place.agent.id) == place.agent


@pytest.mark.requirement("KEY-4", "AUD-1")
async def test_freezing_and_releasing_are_recorded(place: World) -> None:
    agents = place.services.agents
    assert (await agents.freeze(place.anne, place.agent.id)).frozen
    assert await agents.release(place.anne, place.agent.id) == replace(place.agent, frozen=False)
    found = await place.services.audit.page(place.anne, limit=2)
    assert [record.event for record in found] == ["agent.released", "agent.frozen"]


@pytest.mark.requirement("KEY-1")
async def test_a_key_is_renamed(place: World) -> None:
    key, secret = await made(place)
    assert (await place.services.agents.rename_key(place.anne, key.id, "new")).name == "new"
    assert await works(place, secret)
    with pytest.raises(InvalidField):
        await place.services.agents.rename_key(place.anne, key.id, "")


@pytest.mark.requirement("KEY-4")
async def test_of_two_agents_at_once_one_gets_the_name(place: World) -> None:
    done = await asyncio.gather(
        *(place.services.agents.create(place.anne, name="twin") for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, NameTaken) for one in done) == 2
