"""Races for one name: one gets it, the others are told, and nothing breaks down."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import NameTaken, VersionMismatch
from app.core.principals import Role
from app.store.engine import Store
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("T27")

AT_ONCE = 8


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


def agent(place: World) -> Awaitable[Any]:
    return place.services.agents.create(place.anne, name="same")


def target(place: World) -> Awaitable[Any]:
    url = "https://api.example.org"
    return place.services.targets.create(place.anne, name="same", base_url=url)


def policy(place: World) -> Awaitable[Any]:
    document: dict[str, Any] = {"name": "same", "rules": [{"name": "r", "effect": "deny"}]}
    return place.services.policies.create(place.anne, document)


def credential(place: World) -> Awaitable[Any]:
    fields = {"token": "a_secret_of_some_length"}
    return place.services.vault.create(place.anne, name="same", kind="bearer", fields=fields)


@pytest.mark.parametrize("make", [agent, target, policy, credential])
async def test_a_name_is_given_once(place: World, make: Callable[[World], Awaitable[Any]]) -> None:
    tries = await asyncio.gather(*(make(place) for _ in range(AT_ONCE)), return_exceptions=True)
    refused = [one for one in tries if isinstance(one, NameTaken)]
    assert len(refused) == AT_ONCE - 1, tries
    assert {error.pointer for error in refused} == {"/name"}


async def test_an_address_is_given_once(place: World) -> None:
    people = place.services.people
    tries = await asyncio.gather(
        *(
            people.create(
                place.anne, name=f"P{number}", email="same@example.org", role=Role.VIEWER,
                password="four unrelated words 47",
            )
            for number in range(3)
        ),
        return_exceptions=True,
    )  # fmt: skip
    refused = [one for one in tries if isinstance(one, NameTaken)]
    assert [error.pointer for error in refused] == ["/email"] * 2, tries


async def test_what_the_database_refuses_is_translated(place: World, database_url: str) -> None:
    """Two transactions that both looked before either wrote."""
    other = Store(database_url)
    await other.open()
    twin = place.agent
    try:
        with pytest.raises(NameTaken):
            await other.write(lambda tx: tx.agents.add(twin))
        made = await target(place)
        await place.call("GET", "/", target="same")
        await place.services.vault.create(
            place.anne, name="used", kind="bearer", fields={"token": "a_secret_of_some_length"}
        )
        used = await place.services.store.read(lambda tx: tx.vault.named("used"))
        assert used is not None
        await place.services.targets.update(place.anne, made.id, credential_id=used.id)
        with pytest.raises(VersionMismatch):
            await other.write(lambda tx: tx.vault.remove(used.id))
        assert await other.read(lambda tx: tx.vault.get(used.id)) is not None
    finally:
        await other.close()
