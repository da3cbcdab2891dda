"""Reading the record: in parts, as if it were one."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.services import audit
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("AUD-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("window", [1, 3, 20_000])
@pytest.mark.parametrize(
    "wanted",
    [
        {"event": "thing.even"},
        {"event": "thing.*"},
        {"event": "thing.even", "before": 9},
        {"event": "thing.even", "after": 5},
        {"event": "thing.odd", "after": 2, "before": 12},
        {"event": "nothing"},
        {"subject": "thing:4"},
    ],
)
async def test_parts_of_the_record_together_are_the_whole(
    place: World, monkeypatch: pytest.MonkeyPatch, window: int, wanted: Any
) -> None:
    store, actor = place.services.store, place.anne.actor
    names = ("thing.even", "thing.odd")
    for number in range(12):
        await store.write(
            lambda tx, number=number: tx.note(names[number % 2], actor, f"thing:{number}", {})
        )
    monkeypatch.setattr(audit, "WINDOW", window)
    for limit in (1, 2, 50):
        whole = await store.read(lambda tx, limit=limit: tx.audit.page(limit, **wanted))
        assert await place.services.audit.page(place.anne, limit=limit, **wanted) == whole
    assert whole or wanted["event"] == "nothing"
