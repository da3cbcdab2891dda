"""Lanes at work: none waits for another, no agent for another's flood, and nothing spins."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.core.jobs import Job, JobKind, Lane, Postponed
from app.store.engine import Store
from app.store.tx import Tx
from tests.support.world import World, world
from tests.workers.test_loop import NEVER, Player, working

pytestmark = pytest.mark.requirement("EXE-7")


@dataclass
class Counting:
    """A store that counts the units written."""

    store: Store
    writes: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def write(self, work: Any, *, order: str = "") -> Any:
        self.writes += 1
        return await self.store.write(work, order=order)


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def add(place: World, agent: str, *names: str, decided: bool = False) -> None:
    def write(tx: Tx) -> None:
        for name in names:
            tx.add_job(Job(JobKind.EXECUTE, name, tx.now, agent, decided))

    await place.services.store.write(write)


def flood(number: int = 60) -> list[str]:
    return [f"req_{at:03}" for at in range(number)]


async def test_a_full_lane_holds_up_no_other(place: World) -> None:
    stuck, free, store = Player(), Player(), place.services.store
    free.gate.set()
    await add(place, "agt_1", *flood())
    async with (
        working(store, stuck, concurrency=2, poll_seconds=NEVER, stop_seconds=0),
        working(store, free, concurrency=2, lane=Lane.DECIDED, poll_seconds=NEVER),
    ):
        await stuck.until(lambda: stuck.now == 2)
        await add(place, "agt_1", "req_approved", decided=True)
        await free.until(lambda: free.ended == ["req_approved"])
        assert stuck.now == 2


async def test_a_flood_leaves_another_agent_its_turn(place: World) -> None:
    player, store = Player(), place.services.store
    await add(place, "agt_1", *flood())
    async with working(store, player, concurrency=8, limit=3, stop_seconds=0):
        await player.until(lambda: player.now == 3)
        await add(place, "agt_2", "req_other")
        await player.until(lambda: "req_other" in player.begun)
        assert player.begun == [*flood(3), "req_other"]


async def test_who_may_have_no_more_in_work_does_not_make_the_loop_spin(place: World) -> None:
    player = Player()
    store = Counting(place.services.store)
    await add(place, "agt_1", *flood())
    async with working(store, player, concurrency=8, limit=2, stop_seconds=0):
        await player.until(lambda: player.now == 2)
        begun, loop = store.writes, asyncio.get_running_loop()
        until = loop.time() + 1.0
        while loop.time() < until:
            await add(place, "agt_1", "req_more")
        assert store.writes - begun <= 15, "ten looks a second, whatever is told meanwhile"


async def test_what_is_put_off_is_claimed_once_a_time(place: World) -> None:
    names = flood(20)
    player = Player(failures={name: Postponed(600) for name in names})
    player.gate.set()
    await add(place, "agt_1", *names)
    async with working(place.services.store, player):
        await add(place, "agt_2", "req_good")
        await player.until(lambda: len(player.begun) == 21 and player.now == 0)
    assert sorted(player.begun) == [*names, "req_good"]
    assert player.ended == ["req_good"]


async def test_a_restart_keeps_the_order(place: World) -> None:
    first, second, store = Player(), Player(), place.services.store
    names = flood(6)
    await add(place, "agt_1", *names)
    first.gate.set()
    async with working(store, first, concurrency=1) as stop:
        await first.until(lambda: len(first.ended) >= 2)
        stop.set()
    second.gate.set()
    async with working(store, second, concurrency=1):
        await second.until(lambda: second.now == 0 and second.ended[-1:] == names[-1:])
    assert first.ended + second.ended == names
