"""Targets that several people change at once."""

import asyncio
from pathlib import Path

import pytest

from app.core.targets import TargetSettings
from app.services.targets import Targets
from app.store.engine import Store
from tests.support.world import world

OLD = "https://api.example.org"
URL = "https://other.example.org"
ROUNDS = 10


@pytest.mark.requirement("T1", "T27")
async def test_no_change_is_lost_and_each_is_counted(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as place:
        services = place.services
        store = Store(database_url)
        await store.open()
        try:
            here, there = (
                services.targets,
                Targets(store, services.ids, services.clock, services.policies),
            )
            for number in range(ROUNDS):
                made = await here.create(place.anne, name=f"api{number}", base_url=OLD)
                await asyncio.gather(
                    here.update(place.anne, made.id, base_url=URL),
                    there.update(place.anne, made.id, settings=TargetSettings(total_seconds=5)),
                    here.update(place.anne, made.id, description="new"),
                    there.update(place.anne, made.id, enabled=False),
                )
                after = await here.get(place.anne, made.id)
                assert (after.base_url, after.settings.total_seconds) == (URL, 5)
                assert (after.description, after.enabled, after.revision) == ("new", False, 3)
        finally:
            await store.close()
