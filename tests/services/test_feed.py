"""Waiting: one read serves many, and nobody misses what comes after."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import NotFound, Unavailable
from app.core.principals import Scope
from app.core.request import Status
from tests.support.world import World, with_scopes, world

pytestmark = pytest.mark.requirement("REQ-4")
DEADLINE = 15.0


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def reads(place: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read from the store, in order."""
    real, seen = place.services.store.read, list[str]()

    async def noted(query: object) -> object:
        seen.append("read")
        return await real(query)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(place.services.store, "read", noted)
    return seen


async def test_many_who_wake_together_read_once(place: World, reads: list[str]) -> None:
    request = await place.ask()
    feed = place.services.feed
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(feed.wait(place.robot, request.id, DEADLINE, "decided"))
                 for _ in range(50)]  # fmt: skip
        await asyncio.sleep(0)  # each registers in its first step
        assert place.services.store.signals.waiters == 50
        reads.clear()
        await place.vote(request)
    assert {wait.result().status for wait in waits} == {Status.APPROVED}
    assert len(reads) <= 5


async def test_one_who_leaves_takes_nobody_along(place: World) -> None:
    request = await place.ask()
    looks = place.services.feed.looks
    async with asyncio.TaskGroup() as group:
        first = group.create_task(looks.get(request.id))
        others = [group.create_task(looks.get(request.id)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
    assert {other.result() for other in others} == {request}


async def test_strangers_share_nothing(place: World) -> None:
    request = await place.ask()
    assert await place.services.feed.looks.get(request.id) == request
    with pytest.raises(NotFound):
        await place.services.feed.wait(place.robot, "req_none", DEADLINE)


async def test_a_stop_lets_everybody_go(place: World) -> None:
    request = await place.ask()
    feed = place.services.feed
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(feed.wait(place.robot, request.id, DEADLINE))
        following = group.create_task(anext(feed.follow(place.anne), None))
        await asyncio.sleep(0)
        assert place.services.store.signals.busy
        feed.end()
    assert waiting.result().status is Status.PENDING
    assert following.result() is None
    with pytest.raises(Unavailable):
        await feed.changes(place.robot, request.id, request.version)


@pytest.mark.requirement("T25", "REQ-4")
async def test_only_administrators_hear_of_keys_and_accounts(place: World) -> None:
    feed, services = place.services.feed, place.services
    reader = with_scopes(place.ben, Scope.REQUEST_READ)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        read = group.create_task(anext(feed.follow(reader), None))
        administered = group.create_task(anext(feed.follow(place.anne), None))
        await asyncio.sleep(0)
        key, _ = await services.agents.create_key(
            place.anne, name="k", scopes=["request:read"], agent_id=place.agent.id
        )
        await services.accounts.link(place.anne, place.ben.actor.id, "slack", "T1:BEN")
        request = await place.ask()
    assert administered.result() == ("key", key.id)
    assert read.result() == ("request", request.id)
