"""The rate limit of a key, exact over all servers."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import RateLimited
from app.core.principals import ApiKey
from app.services.limits import Limits
from app.store.engine import Store
from tests.support.world import FakeClock, World, world


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


async def limited(place: World, limit: int | None) -> ApiKey:
    key, _ = await place.services.agents.create_key(
        place.anne, name="slow", scopes=["request:read"], agent_id=place.agent.id,
        rate_limit=limit,
    )  # fmt: skip
    return key


@pytest.mark.requirement("KEY-3")
async def test_so_many_calls_and_not_one_more(place: World, clock: FakeClock) -> None:
    key = await limited(place, 3)
    for left in (2, 1, 0):
        state = await place.services.limits.check(key)
        assert state is not None
        assert (state.limit, state.remaining) == (3, left)
    with pytest.raises(RateLimited) as refused:
        await place.services.limits.check(key)
    assert refused.value.retry_after is not None
    assert refused.value.extra["limit"] == 3
    clock.move(refused.value.retry_after - 1)
    with pytest.raises(RateLimited) as again:
        await place.services.limits.check(key)
    assert again.value.retry_after == 1
    clock.move(1)
    assert await place.services.limits.check(key)


@pytest.mark.requirement("KEY-3")
async def test_refused_calls_do_not_prolong_the_wait(place: World) -> None:
    key = await limited(place, 1)
    await place.services.limits.check(key)
    waits: set[float | None] = set()
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            await place.services.limits.check(key)
        waits.add(refused.value.retry_after)
    assert len(waits) == 1


@pytest.mark.requirement("KEY-3")
async def test_keys_do_not_share_a_limit_and_most_have_none(place: World) -> None:
    one, other, free = await limited(place, 1), await limited(place, 1), await limited(place, None)
    assert await place.services.limits.check(one)
    assert await place.services.limits.check(other)
    assert await place.services.limits.check(free) is None


@pytest.mark.requirement("KEY-3", "T66")
async def test_two_servers_count_together(
    place: World, clock: FakeClock, database_url: str
) -> None:
    key = await limited(place, 7)
    second = Store(database_url, clock=clock)
    await second.open()
    try:
        doors = [place.services.limits, Limits(second, clock)]
        done = await asyncio.gather(
            *(doors[number % 2].check(key) for number in range(20)), return_exceptions=True
        )
    finally:
        await second.close()
    assert sum(isinstance(one, RateLimited) for one in done) == 13
    passed = [one for one in done if not isinstance(one, BaseException)]
    assert sorted(one.remaining for one in passed if one) == list(range(7))
