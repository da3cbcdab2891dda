"""The ticks: regular, one at a time, and still there after a failure."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.core.errors import StoreUnavailable
from app.core.request import Status
from tests.support.world import world
from workers.schedule import KEEP_SECONDS, TICK_SECONDS, scheduler

DEADLINE = 15.0


@dataclass
class Ticked:
    """Plays what is called by time, and fails the first times."""

    failures: list[Exception] = field(default_factory=list[Exception])
    hold: asyncio.Event | None = None
    calls: dict[str, int] = field(default_factory=dict[str, int])
    now: int = 0
    most: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def tick(self) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._called("tick")
            if self.hold is not None:
                await self.hold.wait()
            if self.failures:
                raise self.failures.pop()
        finally:
            self.now -= 1
        return 0

    async def housekeeping(self) -> None:
        await self._called("housekeeping")

    async def flush_seen(self) -> None:
        await self._called("flush_seen")

    async def _called(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        async with self._news:
            self._news.notify_all()

    async def until(self, name: str, times: int) -> None:
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: self.calls.get(name, 0) >= times)


@asynccontextmanager
async def ticking(made: AsyncIOScheduler) -> AsyncGenerator[None, None]:
    made.start()
    try:
        yield
    finally:
        made.shutdown(wait=False)
        await asyncio.sleep(0)


def intervals(made: AsyncIOScheduler) -> dict[str, float]:
    return {job.id: job.trigger.interval.total_seconds() for job in made.get_jobs()}


async def test_what_is_called_how_often() -> None:
    assert (TICK_SECONDS, KEEP_SECONDS) == (1.0, 60.0)
    assert intervals(scheduler(Ticked(), Ticked())) == {
        "tick": 1.0, "flush_seen": 60.0, "housekeeping": 60.0,
    }  # fmt: skip
    assert intervals(scheduler(Ticked())) == {"flush_seen": 60.0}


async def test_missed_ticks_are_one_tick() -> None:
    for job in scheduler(Ticked(), Ticked()).get_jobs():
        assert job.coalesce is True
        assert job.max_instances == 1


async def test_all_are_called_again_and_again() -> None:
    called = Ticked()
    async with ticking(scheduler(called, called, tick_seconds=0.02, keep_seconds=0.02)):
        for name in ("tick", "housekeeping", "flush_seen"):
            await called.until(name, 3)


@pytest.mark.parametrize("failure", [StoreUnavailable(), RuntimeError("a bug")])
async def test_a_failed_tick_is_followed_by_another(failure: Exception) -> None:
    called = Ticked(failures=[failure])
    async with ticking(scheduler(called, called, tick_seconds=0.02)):
        await called.until("tick", 3)
    assert called.failures == []


async def test_one_tick_at_a_time() -> None:
    called = Ticked(hold=asyncio.Event())
    async with ticking(scheduler(called, called, tick_seconds=0.01, keep_seconds=0.05)):
        await called.until("tick", 1)
        await called.until("housekeeping", 2)
        assert called.calls["tick"] == 1
        assert called.hold is not None
        called.hold.set()
        await called.until("tick", 3)
    assert called.most == 1


@pytest.mark.requirement("EXE-1")
async def test_time_expires_what_nobody_decides(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as place:
        services = place.services
        request = await place.ask(expires_in=1)
        async with ticking(scheduler(services.access, services.sweeps, tick_seconds=0.1)):
            seen = await services.feed.wait(place.anne, request.id, DEADLINE, "final")
    assert seen.status is Status.EXPIRED
