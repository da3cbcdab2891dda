"""kill -9 under load: nothing acknowledged is lost, nothing runs twice, nothing stays stuck."""

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, create_engine, text

from app.store.database import Database
from tests.support.api import Api
from tests.support.nursery import Nursery, nursery
from tests.support.server import Installation, Process, free_port, install, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("EXE-1", "T29", "T69"),
    pytest.mark.timeout(500),
]
KILLS = 50
"""Of workers, on each engine."""

SERVER_KILLS = 25
DRAIN = 60.0


async def prepare(place: Installation, upstream: Upstream) -> Api:
    """Configure the upstream with a short limit, and let everything pass."""
    admin = Api(place.base_url, place.admin_key)
    await admin.made(
        "/api/targets", name="upstream", base_url=upstream.url,
        settings={"networks": ["127.0.0.0/8"], "connect_seconds": 1.0, "total_seconds": 1.0},
    )  # fmt: skip
    rule = {"name": "all", "effect": "allow", "reason": "a test"}
    await admin.made("/api/policies", name="all pass", rules=[rule])
    return admin


async def load(place: Installation, stop: asyncio.Event, callers: int = 1) -> list[str]:
    """Ask steadily until told to stop; return the ids that were acknowledged."""
    agent = Api(place.base_url, place.agent_key)
    acknowledged: list[str] = []
    numbers = itertools.count()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask_on(agent, stop, numbers, acknowledged))
    return acknowledged


async def ask_on(
    agent: Api, stop: asyncio.Event, numbers: Iterator[int], acknowledged: list[str]
) -> None:
    """Be one caller; each call is another."""
    while not stop.is_set():
        number = next(numbers)
        params = {"method": "POST", "path": f"/echo/{number}", "json": {"n": number}}
        made = await agent.made(
            "/api/requests", action="http.request", target="upstream", params=params
        )
        acknowledged.append(made["id"])
        await asyncio.sleep(0.02)


async def kill_workers(young: Nursery, stop: asyncio.Event) -> None:
    """Let two workers at a time run, each until it is killed at a random moment."""
    moments = random.Random(4)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(kill_one_by_one(young, moments))
    stop.set()


async def kill_one_by_one(young: Nursery, moments: random.Random) -> None:
    """Kill half of the workers, each at a random moment after its start."""
    for _ in range(KILLS // 2):
        worker = await young.work()
        await asyncio.sleep(moments.uniform(0.02, 0.4))
        await worker.kill9()


async def drained(admin: Api) -> None:
    """Wait until nothing is approved or executing any more."""
    async with asyncio.timeout(DRAIN):
        while True:
            _, page = await admin.call("GET", "/api/requests?status=approved,executing&limit=1")
            if not page["items"]:
                return
            await asyncio.sleep(0.2)


async def test_killed_workers(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "database_url": database_url, "lease_margin": 0.5, "agent_concurrency": 256,
    }  # fmt: skip
    with installation(tmp_path, servers=1, **settings) as place, nursery(place.env) as young:
        async with Upstream() as upstream:
            admin = await prepare(place, upstream)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(load(place, stop, callers=4))
                group.create_task(kill_workers(young, stop))
            await asyncio.to_thread(place.work)
            await drained(admin)
            called = Counter(received.target for received in upstream.log)
        place.stop()
    assert called
    assert max(called.values()) == 1, "a call ran twice"
    rows = check_rows(database_url, asking.result())
    assert any(row.status == "unknown" or row.attempt > 1 for row in rows), "no kill hit a call"
    succeeded = sum(row.status == "succeeded" for row in rows)
    assert succeeded <= len(called) <= sum(row.sent_at is not None for row in rows)


def check_rows(database_url: str, acknowledged: list[str]) -> Sequence[Row[Any]]:
    """Every acknowledged request is there, in a state that it may stay in; return all."""
    engine = create_engine(Database(database_url).url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, status, sent_at, attempt FROM requests")).all()
        found = {row.id: row for row in rows}
        assert set(acknowledged) <= set(found), "an acknowledged request is lost"
        statuses = Counter(row.status for row in rows)
        assert set(statuses) <= {"succeeded", "failed", "unknown"}, statuses
        assert all(row.sent_at is not None for row in rows if row.status == "unknown")
        assert statuses["succeeded"] > len(acknowledged) / 2
        if database_url.startswith("sqlite"):
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    engine.dispose()
    return rows


async def ask_until_gone(base_url: str, key: str, acknowledged: list[str]) -> None:
    """Ask without end, which comes with the server's."""
    agent = Api(base_url, key)
    with suppress(httpx.HTTPError):
        while True:
            made = await agent.made("/api/requests", action="note", params={})
            acknowledged.append(made["id"])


async def test_a_killed_server_loses_nothing_that_it_acknowledged(
    database_url: str, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    moments = random.Random(7)
    place = install(tmp_path, database_url=database_url)
    with nursery(place.env) as young:
        server, base_url = await young.serve(free_port())
        admin = Api(base_url, place.admin_key)
        await admin.call("PATCH", f"/api/agents/{place.agent_id}", open_limit=0)
        for _ in range(SERVER_KILLS):
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    asking = ask_until_gone(base_url, place.agent_key, acknowledged)
                    group.create_task(asking)
                await asyncio.sleep(moments.uniform(0.1, 0.5))
                await server.kill9()
            server, base_url = await young.serve(free_port())
        last = Api(base_url, place.admin_key)
        for request_id in acknowledged:
            status, _ = await last.call("GET", f"/api/requests/{request_id}")
            assert status == 200
        await server.stop()
    assert len(acknowledged) > SERVER_KILLS


def pause(worker: Process) -> None:
    os.kill(worker.pid, signal.SIGSTOP)


def resume(worker: Process) -> None:
    os.kill(worker.pid, signal.SIGCONT)


async def becomes(admin: Api, request_id: str, status: str) -> dict[str, Any]:
    """Return the request once it has the status."""
    async with asyncio.timeout(DRAIN):
        while True:
            _, request = await admin.call("GET", f"/api/requests/{request_id}")
            if request["status"] == status:
                return request
            await asyncio.sleep(0.1)


async def says(process: Process, word: str) -> None:
    """Wait until a process has logged a word."""
    async with asyncio.timeout(DRAIN):
        while True:
            if word in process.err:
                return
            await asyncio.sleep(0.05)


async def test_a_worker_that_comes_back_after_its_lease_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "lease_margin": 0.5}
    with installation(tmp_path, servers=1, workers=1, **settings) as place:
        async with Upstream() as upstream:
            admin = await prepare(place, upstream)
            agent, stale = Api(place.base_url, place.agent_key), place.workers[0]
            params = {"method": "POST", "path": "/slow/1", "json": {}}
            made = await agent.made(
                "/api/requests", action="http.request", target="upstream", params=params
            )
            await upstream.wait_for(1)
            pause(stale)
            try:
                await asyncio.to_thread(place.work)
                lost = await becomes(admin, made["id"], "unknown")
                trail = await admin.call("GET", f"/api/requests/{made['id']}/audit")
                upstream.release.set()
            finally:
                resume(stale)
            await says(stale, "execution_stale")
            assert await admin.call("GET", f"/api/requests/{made['id']}") == (200, lost)
            assert await admin.call("GET", f"/api/requests/{made['id']}/audit") == trail
            status, _ = await agent.call("GET", f"/api/requests/{made['id']}/result")
            assert status == 404
            assert len(upstream.log) == 1
        assert place.stop() == [0, 0, 0]


STALLS = 8
STALL_SECONDS = 3.2
"""Longer than a lease here: 1 second to connect, 1 for the call, and a margin of 0.5."""


async def stall_workers(place: Installation, stop: asyncio.Event) -> None:
    """Stop one of the workers for longer than its lease, at random moments."""
    moments = random.Random(11)
    for _ in range(STALLS):
        await asyncio.sleep(moments.uniform(0.05, 0.6))
        worker = moments.choice(place.workers)
        pause(worker)
        try:
            await asyncio.sleep(STALL_SECONDS)
        finally:
            resume(worker)
    stop.set()


async def test_stalled_workers_under_load(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "lease_margin": 0.5}
    with installation(tmp_path, servers=1, workers=2, **settings) as place:
        async with Upstream() as upstream:
            admin = await prepare(place, upstream)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(load(place, stop))
                group.create_task(stall_workers(place, stop))
            await drained(admin)
            called = Counter(received.target for received in upstream.log)
        assert place.stop() == [0, 0, 0]
    assert called
    assert max(called.values()) == 1, "a call ran twice"
    check_rows(database_url, asking.result())
    check_ends(database_url)


def check_ends(database_url: str) -> None:
    """Every request has at most one end in the record, and the one that it shows."""
    query = """
        SELECT r.id, r.status, a.event FROM requests r
          JOIN audit a ON a.request_id = r.id
         WHERE a.event IN ('request.succeeded', 'request.failed')
    """
    engine = create_engine(Database(database_url).url)
    with engine.connect() as connection:
        rows = connection.execute(text(query)).all()
    engine.dispose()
    assert max(Counter(row.id for row in rows).values()) == 1
    assert all(row.event == f"request.{row.status}" for row in rows)
