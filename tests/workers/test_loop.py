"""The job loop: at once, a few at a time, and still there after whatever went wrong."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from sqlalchemy import text

from app.core.errors import StoreUnavailable
from app.core.instant import plus
from app.core.jobs import Job, JobKind, Lane, backoff
from app.core.request import Status
from app.store.engine import Store
from app.store.tx import Tx
from tests.support.upstream import Upstream
from tests.support.world import World, world
from workers.handlers import HANDLERS, Handling
from workers.jobs import UNLIMITED, JobSource
from workers.loop import Loop

DEADLINE = 15.0
NEVER = 600.0
"""A poll that no test waits for: what happens before it was woken."""


@dataclass
class Player:
    """Plays the execution: notes what it is given, and may hold or fail.

    :ivar gate: what is begun ends when it is set.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list[str])
    ended: list[str] = field(default_factory=list[str])
    failures: dict[str, Exception] = field(default_factory=dict[str, Exception])
    now: int = 0
    most: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self, request_id: str) -> None:
        self.begun.append(request_id)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._tell()
            await self.gate.wait()
            if request_id in self.failures:
                raise self.failures.pop(request_id)
            self.ended.append(request_id)
        finally:
            self.now -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(done)


@dataclass
class Outage:
    """A store whose next calls find no database, and which tells of the others.

    :ivar reads: how many of the next reads fail.
    :ivar writes: how many of the next writes fail.
    """

    store: Store
    reads: int = 0
    writes: int = 0
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    _written: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        if self.reads:
            self.reads -= 1
            self.failed.set()
            raise OSError("the connection was lost")
        return await self.store.read(query)

    async def write(self, work: Callable[[Tx], Any], *, order: str = "") -> Any:
        if self.writes:
            self.writes -= 1
            self.failed.set()
            raise StoreUnavailable(retry_after=1)
        result = await self.store.write(work, order=order)
        async with self._written:
            self._written.notify_all()
        return result

    async def until(self, statement: str, expected: list[tuple[Any, ...]]) -> None:
        """Wait until a query gives the expected rows, looking after each write."""

        async def rows() -> list[tuple[Any, ...]]:
            found = await self.store.read(lambda tx: tx.query(text(statement)).fetchall())
            return [tuple(row) for row in found]

        async with asyncio.timeout(DEADLINE), self._written:
            while await rows() != expected:
                await self._written.wait()


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def working(
    store: object,
    execution: object,
    concurrency: int = 4,
    lane: Lane = Lane.ALLOWED,
    limit: int = UNLIMITED,
    **limits: float,
) -> AsyncGenerator[asyncio.Event, None]:
    """Run a loop; it has ended by itself when the block is left."""
    stop = asyncio.Event()
    services = cast("Handling", SimpleNamespace(execution=execution))
    source = JobSource(cast("Store", store), services, lane, limit)
    loop = Loop(cast("Store", store), source, concurrency, **limits)
    async with asyncio.timeout(DEADLINE * 2), asyncio.TaskGroup() as group:
        group.create_task(loop.run(stop))
        try:
            yield stop
        finally:
            stop.set()


async def add(place: World, *names: str, later: float = 0.0, told: bool = True) -> None:
    """Commit jobs, and tell of them as the transitions that cause them do."""

    def write(tx: Tx) -> None:
        for name in names:
            (tx.add_job if told else tx.jobs.add)(Job(JobKind.EXECUTE, name, plus(tx.now, later)))

    await place.services.store.write(write)


async def jobs(place: World) -> list[tuple[str, int, bool, str]]:
    statement = text("SELECT request_id, tries, dead, last_error FROM jobs ORDER BY id")
    rows = await place.services.store.read(lambda tx: tx.query(statement).fetchall())
    return [(str(row[0]), int(row[1]), bool(row[2]), str(row[3])) for row in rows]


async def final(place: World, request_id: str) -> Status:
    request = await place.services.feed.wait(place.anne, request_id, DEADLINE, "final")
    return request.status


def test_every_kind_of_job_that_is_written_is_handled() -> None:
    assert set(HANDLERS) == set(JobKind)


@pytest.mark.requirement("EXE-1")
async def test_an_approved_request_is_carried_out_at_once(place: World) -> None:
    async with (
        Upstream() as upstream,
        working(place.services.store, place.services.execution, poll_seconds=NEVER,
                lane=Lane.DECIDED),
    ):  # fmt: skip
        await place.target(upstream.url)
        request = await place.call("POST", "/echo", json={"amount": 5})
        assert upstream.log == []
        await place.vote(request)
        assert await final(place, request.id) is Status.SUCCEEDED
    assert len(upstream.log) == 1
    assert await jobs(place) == []


async def test_a_job_of_later_is_begun_at_its_time(place: World) -> None:
    player = Player()
    player.gate.set()
    await add(place, "req_later", later=0.3, told=False)
    async with working(place.services.store, player, poll_seconds=NEVER):
        assert player.begun == []
        await player.until(lambda: player.ended == ["req_later"])


async def test_what_nobody_told_is_found_by_looking(place: World) -> None:
    player = Player()
    player.gate.set()
    async with working(place.services.store, player, poll_seconds=0.05):
        await add(place, "req_quiet", told=False)
        await player.until(lambda: player.ended == ["req_quiet"])


async def test_only_a_few_run_at_a_time(place: World) -> None:
    player = Player()
    await add(place, *[f"req_{number}" for number in range(7)])
    async with working(place.services.store, player, concurrency=2, poll_seconds=NEVER):
        await player.until(lambda: len(player.begun) == 2)
        player.gate.set()
        await player.until(lambda: len(player.ended) == 7)
    assert player.most == 2
    assert await jobs(place) == []


@pytest.mark.requirement("T62")
async def test_a_handler_that_fails_is_logged_and_tried_again_later(place: World) -> None:
    player = Player(failures={"req_bad": RuntimeError("with a secret")})
    player.gate.set()
    store = Outage(place.services.store)
    left = "SELECT request_id, tries, last_error FROM jobs"
    with structlog.testing.capture_logs() as logs:
        await add(place, "req_bad", "req_good")
        async with working(store, player, poll_seconds=NEVER):
            await store.until(left, [("req_bad", 1, "RuntimeError")])
            assert player.ended == ["req_good"]
            due = await store.read(lambda tx: tx.jobs.next_at(Lane.ALLOWED))
            assert due > place.services.clock.now()
            await player.until(lambda: "req_bad" in player.ended)
    (failed,) = [entry for entry in logs if entry["event"] == "job_failed"]
    assert (failed["request_id"], failed["tries"], failed["dead"]) == ("req_bad", 1, False)
    assert backoff(1) == 1.0


async def test_a_job_that_always_fails_is_dead_in_the_end(place: World) -> None:
    player = Player(failures={"req_bad": LookupError("again")})
    player.gate.set()
    await add(place, "req_bad")
    worn = text("UPDATE jobs SET tries = 7")
    await place.services.store.write(lambda tx: tx.query(worn))
    async with working(place.services.store, player):
        await player.until(lambda: player.begun == ["req_bad"] and player.now == 0)
    assert await jobs(place) == [("req_bad", 8, True, "LookupError")]


async def test_the_loop_outlives_an_outage_of_the_database(place: World) -> None:
    player = Player()
    player.gate.set()
    store = Outage(place.services.store, reads=2, writes=1)
    await add(place, "req_1")
    async with working(store, player, poll_seconds=0.02):
        async with asyncio.timeout(DEADLINE):
            await store.failed.wait()
        await player.until(lambda: player.ended == ["req_1"])
    assert (store.reads, store.writes) == (0, 0)


async def test_a_job_that_cannot_be_acknowledged_comes_back(place: World) -> None:
    player = Player()
    store = Outage(place.services.store)
    await add(place, "req_1")
    async with working(store, player):
        await player.until(lambda: player.begun == ["req_1"])
        store.writes = 1
        player.gate.set()
        await player.until(lambda: player.ended == ["req_1"])
        async with asyncio.timeout(DEADLINE):
            await store.failed.wait()
    assert await jobs(place) == [("req_1", 1, False, "")]


@pytest.mark.requirement("EXE-1")
async def test_a_graceful_stop_waits_for_what_runs_and_takes_no_more(place: World) -> None:
    player = Player()
    await add(place, "req_1", "req_2")
    async with working(place.services.store, player, concurrency=1) as stop:
        await player.until(lambda: player.begun == ["req_1"])
        stop.set()
        player.gate.set()
    assert player.ended == ["req_1"]
    assert [job[:2] for job in await jobs(place)] == [("req_2", 0)]


@pytest.mark.requirement("EXE-1")
async def test_what_is_late_at_the_stop_is_left_to_its_lease(place: World) -> None:
    player = Player()
    await add(place, "req_1")
    async with working(place.services.store, player, stop_seconds=0.05) as stop:
        await player.until(lambda: player.begun == ["req_1"])
        stop.set()
    assert player.ended == []
    assert await jobs(place) == [("req_1", 1, False, "")]
    due = await place.services.store.read(lambda tx: tx.jobs.next_at(Lane.ALLOWED))
    assert due is not None and due > place.services.clock.now()


@pytest.mark.requirement("T29")
async def test_workers_share_the_jobs_and_run_none_twice(place: World) -> None:
    player = Player()
    player.gate.set()
    names = [f"req_{number:02}" for number in range(30)]
    await add(place, *names)
    async with (
        working(place.services.store, player, concurrency=3),
        working(place.services.store, player, concurrency=3),
    ):
        await player.until(lambda: len(player.ended) >= len(names))
    assert sorted(player.ended) == names
    assert await jobs(place) == []


@pytest.mark.requirement("T29")
async def test_who_lost_the_lease_acknowledges_nothing(place: World) -> None:
    store = place.services.store
    await add(place, "req_1")
    (first,) = await store.write(lambda tx: tx.jobs.claim(Lane.ALLOWED, "", 1, 0))
    (second,) = await store.write(lambda tx: tx.jobs.claim(Lane.ALLOWED, "", 1, 60))
    assert not await store.write(lambda tx: tx.jobs.done(first))
    await store.write(lambda tx: tx.jobs.retry(first, "late"))
    assert await jobs(place) == [("req_1", 2, False, "")]
    assert await store.write(lambda tx: tx.jobs.done(second))
