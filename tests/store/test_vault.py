"""Sealed fields that are wrapped anew while somebody replaces them."""

from pathlib import Path

import pytest

from tests.support.world import world


@pytest.mark.requirement("T61", "VLT-1")
async def test_wrapping_anew_never_brings_a_former_value_back(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, tmp_path) as place:
        services = place.services
        made = await services.vault.create(
            place.anne, name="api", kind="bearer", fields={"token": "the_first_secret"}
        )
        [stale] = await services.store.read(lambda tx: tx.vault.sealed_with_other("new", 10))
        await services.vault.update(place.anne, made.id, fields={"token": "the_second_secret"})
        [fresh] = await services.store.read(lambda tx: tx.vault.sealed_with_other("new", 10))
        done = await services.store.write(lambda tx: tx.vault.reseal(stale, b"rewrapped", "new"))
        [kept] = await services.store.read(lambda tx: tx.vault.sealed_with_other("new", 10))
        assert not done
        assert kept == fresh != stale
        assert await services.store.write(lambda tx: tx.vault.reseal(fresh, b"rewrapped", "new"))
        assert await services.store.read(lambda tx: tx.vault.sealed_with_other("new", 10)) == []
