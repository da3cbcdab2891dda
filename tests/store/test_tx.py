"""One transaction for many units: what is deferred is seen, what is asked once is not stale."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.audit import SYSTEM
from app.store.engine import Store
from app.store.tx import Tx
from tests.support.world import World, world

LONG = 20
MANY = 101
"""Rows of one insert, in groups of several sizes and a single one."""


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with asyncio.timeout(LONG), world(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(place: World) -> Store:
    return place.services.store


@pytest.mark.requirement("AUD-1")
async def test_many_deferred_rows_are_written_in_their_order(store: Store) -> None:
    def work(tx: Tx) -> None:
        for number in range(MANY):
            tx.note("test.noted", SYSTEM, f"thing:{number}", {"number": number})

    await store.write(work)
    found = await store.read(lambda tx: tx.audit.page(limit=MANY, event="test.noted"))
    assert [entry.details["number"] for entry in reversed(found)] == list(range(MANY))


@pytest.mark.requirement("AUD-1")
async def test_what_is_deferred_is_seen_by_a_later_read(store: Store) -> None:
    def work(tx: Tx) -> int:
        before = tx.audit.last()
        tx.note("test.noted", SYSTEM, "thing:1")
        return len(tx.audit.since(before))

    assert await store.write(work) == 1


@pytest.mark.requirement("KEY-1", "T23")
async def test_a_freeze_is_seen_by_the_next_unit_of_its_group(place: World) -> None:
    store = place.services.store
    key, _ = await place.services.agents.create_key(
        place.anne, name="k", scopes=["request:read"], agent_id=place.agent.id
    )

    def work(tx: Tx) -> list[tuple[bool, int, int] | None]:
        first = tx.agents.standing(key.id)
        agent = tx.agents.lock(place.agent.id)
        assert agent is not None
        tx.agents.put(replace(agent, frozen=True))
        return [first, tx.agents.standing(key.id)]

    before, after = await store.write(work)
    assert before is not None
    assert after is not None
    assert [before[0], after[0]] == [False, True]


@pytest.mark.requirement("KEY-1", "T23")
async def test_what_is_asked_once_is_asked_again_by_the_next_transaction(
    place: World, database_url: str
) -> None:
    store, other = place.services.store, Store(database_url)
    key, _ = await place.services.agents.create_key(
        place.anne, name="k", scopes=["request:read"], agent_id=place.agent.id
    )
    await other.open()
    try:
        assert await other.write(lambda tx: tx.agents.key_stands(key.id))
        await place.services.agents.revoke_key(place.anne, key.id)
        assert not await other.write(lambda tx: tx.agents.key_stands(key.id))
        assert not await store.write(lambda tx: tx.agents.key_stands(key.id))
    finally:
        await other.close()


@pytest.mark.requirement("REQ-7")
async def test_what_is_not_written_yet_is_found_and_counted(place: World) -> None:
    made = await place.ask()
    one, other = (replace(made, id=f"req_{number}", digest=f"{number}" * 64) for number in range(2))

    def work(tx: Tx) -> None:
        tx.requests.insert(one)
        tx.requests.insert(other)
        assert not tx.requests.has_pending(made.agent_id, 4)
        assert tx.requests.has_pending(made.agent_id, 3)
        assert tx.requests.has_pending(made.agent_id, 1)
        assert tx.requests.identical(made.agent_id, "2" * 64, tx.now) is None
        assert tx.requests.identical(made.agent_id, one.digest, tx.now) == one
        assert not tx.requests.has_pending(made.agent_id, 4)
        assert tx.requests.has_pending(made.agent_id, 3)

    await place.services.store.write(work)
