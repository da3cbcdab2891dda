"""The revision of the policies: no change, however simultaneous, goes unnoticed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.services.policies import Policies
from app.store.engine import Store
from tests.support.world import world


@pytest.mark.requirement("T40", "POL-1")
async def test_changes_at_once_each_raise_the_revision(database_url: str, tmp_path: Path) -> None:
    def document(name: str) -> dict[str, Any]:
        return {"name": name, "rules": [{"name": "r", "effect": "deny"}]}

    async with world(database_url, tmp_path) as place:
        store = Store(database_url)
        await store.open()
        try:
            other = Policies(store, place.services.ids, place.services.clock)
            before = await other.refresh()
            await asyncio.gather(
                *(
                    (place.services.policies, other)[number % 2].create(
                        place.anne, document(f"p{number}")
                    )
                    for number in range(12)
                )
            )
            for policies in (place.services.policies, other):
                after = await policies.refresh()
                assert len(after.policies) == 12
                assert after.revision == before.revision + 12
        finally:
            await store.close()
