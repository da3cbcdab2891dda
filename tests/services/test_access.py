"""Who calls: keys and sessions, what is remembered of them, and for how long."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import (
    AddressForbidden,
    InvalidKey,
    MissingRole,
    MissingScope,
    Unauthenticated,
)
from app.core.instant import plus
from app.core.principals import ApiKey, Role, Scope
from app.services.access import CACHE_SECONDS, Access, require
from app.services.keys import new_secret
from app.store.engine import Store
from app.store.tx import Tx
from tests.support.world import FakeClock, World, with_scopes, world

HERE = "127.0.0.1"


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


async def made(place: World, **fields: Any) -> tuple[ApiKey, str]:
    given: dict[str, Any] = {
        "name": "k",
        "scopes": ["request:read"],
        "agent_id": place.agent.id,
        **fields,
    }
    return await place.services.agents.create_key(place.anne, **given)


def revoke_unheard(tx: Tx, key: ApiKey) -> None:
    """Revoke a key as another process does whose signal is lost."""
    tx.agents.put_key(replace(key, revoked_at=tx.now))


@pytest.mark.requirement("KEY-1")
async def test_a_key_stands_for_its_owner(place: World) -> None:
    access = place.services.access
    key, secret = await made(place)
    caller = await access.key_caller(secret, HERE)
    assert (caller.agent, caller.key, caller.scopes) == (
        place.agent, key, frozenset({Scope.REQUEST_READ}),
    )  # fmt: skip
    assert caller.actor.reference == f"agent:{place.agent.id}"
    assert place.ben.person is not None
    _, secret = await made(place, agent_id=None, person_id=place.ben.person.id)
    assert (await access.key_caller(secret, HERE)).person == place.ben.person


@pytest.mark.requirement("KEY-1", "T31")
@pytest.mark.parametrize(
    "token", ["", "ask_", "ask_" + "a" * 42, "ask_" + "a" * 44, "ask_" + "é" * 43, "x" * 47]
)
async def test_what_is_no_key_is_refused_alike(place: World, token: str) -> None:
    told: list[tuple[str, str | None]] = []
    for attempt in (token, new_secret()):
        with pytest.raises(InvalidKey) as refused:
            await place.services.access.key_caller(attempt, HERE)
        told.append((refused.value.detail, refused.value.pointer))
    assert told[0] == told[1]


@pytest.mark.requirement("KEY-1")
async def test_a_revocation_is_seen_by_its_signal(place: World) -> None:
    access = place.services.access
    key, secret = await made(place)
    await access.key_caller(secret, HERE)
    await place.services.agents.revoke_key(place.anne, key.id)
    access.forget([("key", key.id)])
    with pytest.raises(InvalidKey):
        await access.key_caller(secret, HERE)


@pytest.mark.requirement("KEY-1")
async def test_a_lost_signal_is_made_up_for_in_seconds(place: World, clock: FakeClock) -> None:
    access = place.services.access
    key, secret = await made(place)
    await access.key_caller(secret, HERE)
    await place.services.store.write(lambda tx: revoke_unheard(tx, key))
    clock.move(CACHE_SECONDS)
    with pytest.raises(InvalidKey):
        await access.key_caller(secret, HERE)


@pytest.mark.requirement("KEY-1", "T71")
async def test_a_clock_that_goes_back_keeps_nothing_alive(place: World, clock: FakeClock) -> None:
    access = place.services.access
    key, secret = await made(place)
    await access.key_caller(secret, HERE)
    await place.services.store.write(lambda tx: revoke_unheard(tx, key))
    clock.move(-3600)
    with pytest.raises(InvalidKey):
        await access.key_caller(secret, HERE)


@pytest.mark.requirement("KEY-1")
async def test_what_is_remembered_never_outlives_the_key(place: World, clock: FakeClock) -> None:
    _, secret = await made(place, expires_at=plus(clock.now(), 2))
    await place.services.access.key_caller(secret, HERE)
    clock.move(2)
    with pytest.raises(InvalidKey):
        await place.services.access.key_caller(secret, HERE)


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("2001:db8::1", True),
        ("192.0.3.7", False), ("2001:db9::1", False), ("", False), ("unix", False),
    ],
)  # fmt: skip
async def test_a_bound_key_works_at_its_addresses(place: World, address: str, good: bool) -> None:
    _, secret = await made(place, networks=["192.0.2.0/24", "2001:db8::/32"])
    for _ in range(2):  # looked up, then remembered
        if good:
            assert await place.services.access.key_caller(secret, address)
        else:
            with pytest.raises(AddressForbidden):
                await place.services.access.key_caller(secret, address)


@pytest.mark.requirement("T23", "PPL-1")
async def test_a_lower_role_lowers_its_keys(place: World) -> None:
    assert place.ben.person is not None
    _, secret = await place.services.agents.create_key(
        place.ben, name="k", person_id=place.ben.person.id, scopes=["request:decide"]
    )
    access = place.services.access
    assert (await access.key_caller(secret, HERE)).may(Scope.REQUEST_DECIDE)
    await place.services.people.update(place.anne, place.ben.person.id, role=Role.VIEWER)
    access.forget([("person", place.ben.person.id)])
    assert not (await access.key_caller(secret, HERE)).may(Scope.REQUEST_DECIDE)


@pytest.mark.requirement("KEY-2")
def test_scopes_are_required(place: World) -> None:
    require(place.robot, Scope.REQUEST_CREATE)
    with pytest.raises(MissingScope):
        require(with_scopes(place.robot, Scope.REQUEST_READ), Scope.REQUEST_CREATE)
    with pytest.raises(MissingRole):
        require(place.ben, Scope.ADMIN)


@pytest.mark.requirement("KEY-1")
async def test_when_a_key_was_used_is_written_down(place: World, clock: FakeClock) -> None:
    access = place.services.access
    key, secret = await made(place)
    await access.key_caller(secret, HERE)
    used = clock.now()
    clock.move(30)
    await access.flush_seen()
    keys = await place.services.agents.list_keys(place.anne, agent_id=place.agent.id)
    assert next(one for one in keys if one.id == key.id).last_used_at == used
    assert (await place.services.agents.get(place.anne, place.agent.id)).last_seen_at == used
    await access.flush_seen()


@pytest.mark.requirement("PPL-1", "T31")
@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 10_000])
async def test_unknown_sessions_are_refused(place: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(token)


class LateStore(Store):
    """A store whose answers, when it is told to, reach the caller late."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        super().__init__(url, clock=clock)
        self.late: asyncio.Event | None = None
        self.answered = asyncio.Event()

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        late = self.late if "key_caller" in query.__code__.co_names[0] else None
        try:
            return await super().read(query)
        finally:
            if late is not None:
                self.answered.set()
                await late.wait()


@pytest.mark.requirement("KEY-1", "T26")
@pytest.mark.parametrize("known", [True, False])
async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    place: World, database_url: str, clock: FakeClock, known: bool
) -> None:
    key, secret = await made(place)
    await place.services.store.write(
        lambda tx: tx.agents.put_key(replace(key, revoked_at=None if known else 1))
    )
    store = LateStore(database_url, clock)
    await store.open()
    try:
        access = Access(store, clock, place.services.settings)
        store.late = late = asyncio.Event()
        first = asyncio.ensure_future(access.key_caller(secret, HERE))
        async with asyncio.timeout(10):
            await store.answered.wait()
        changed = replace(key, revoked_at=clock.now() if known else None)
        await place.services.store.write(lambda tx: tx.agents.put_key(changed))
        access.forget([("key", key.id)])
        store.late = None
        late.set()
        outcomes = [first, asyncio.ensure_future(access.key_caller(secret, HERE))]
        before, after = await asyncio.gather(*outcomes, return_exceptions=True)
        assert isinstance(before, InvalidKey) is not known
        assert isinstance(after, InvalidKey) is known
    finally:
        await store.close()
