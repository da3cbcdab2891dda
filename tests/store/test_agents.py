"""Keys that several people change at once: a revocation is never taken back."""

import asyncio
from pathlib import Path

import pytest

from app.services.agents import Agents
from app.store.engine import Store
from tests.support.world import world

ROUNDS = 10


@pytest.mark.requirement("KEY-1", "T23")
async def test_renaming_does_not_undo_a_revocation(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as place:
        services = place.services
        store = Store(database_url)
        await store.open()
        try:
            there = Agents(store, services.ids, services.clock, services.notices)
            for number in range(ROUNDS):
                key, _ = await services.agents.create_key(
                    place.anne, name="k", scopes=["request:read"], agent_id=place.agent.id
                )
                name = f"renamed {number}"
                await asyncio.gather(
                    there.rename_key(place.anne, key.id, name),
                    services.agents.revoke_key(place.anne, key.id),
                )
                kept = await services.store.read(lambda tx, name=key.id: tx.agents.key(name))
                assert kept is not None
                assert kept.name == name
                assert kept.revoked_at is not None
        finally:
            await store.close()
