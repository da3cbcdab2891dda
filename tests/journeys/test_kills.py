"""kill -9 under load: nothing acknowledged is lost, nothing runs twice, nothing stays stuck."""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support.api import Api
from tests.support.server import Installation, Process, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("EXE-1", "T29", "T69"),
    pytest.mark.timeout(500),
]
KILLS = 20
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


async def load(place: Installation, stop: asyncio.Event) -> list[str]:
    """Ask steadily until told to stop; return the ids that were acknowledged."""
    agent = Api(place.base_url, place.agent_key)
    acknowledged: list[str] = []
    number = 0
    while not stop.is_set():
        number += 1
        params = {"method": "POST", "path": f"/echo/{number}", "json": {"n": number}}
        made = await agent.made(
            "/api/requests", action="http.request", target="upstream", params=params
        )
        acknowledged.append(made["id"])
        await asyncio.sleep(0.02)
    return acknowledged


async def kill_workers(place: Installation, stop: asyncio.Event) -> None:
    """Kill workers at random moments, two after two."""
    moments = random.Random(4)
    for _ in range(KILLS // 2):
        pair = await asyncio.gather(*(asyncio.to_thread(place.work) for _ in range(2)))
        for worker in pair:
            await asyncio.sleep(moments.uniform(0.02, 0.4))
            await asyncio.to_thread(worker.kill9)
    stop.set()


async def drained(admin: Api) -> None:
    """Wait until nothing is approved or executing any more."""
    async with asyncio.timeout(DRAIN):
        while True:
            _, page = await admin.call("GET", "/api/requests?status=approved,executing&limit=1")
            if not page["items"]:
                return
            await asyncio.sleep(0.2)


async def test_killed_workers(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "lease_margin": 0.5}
    with installation(tmp_path, servers=1, **settings) as place:
        async with Upstream() as upstream:
            admin = await prepare(place, upstream)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(load(place, stop))
                group.create_task(kill_workers(place, stop))
            await asyncio.to_thread(place.work)
            await drained(admin)
            called = Counter(received.target for received in upstream.log)
        place.stop()
    assert called
    assert max(called.values()) == 1, "a call ran twice"
    check_rows(database_url, asking.result())


def check_rows(database_url: str, acknowledged: list[str]) -> None:
    """Every acknowledged request is there, in a state that it may stay in."""
    engine = create_engine(Database(database_url).url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, status, sent_at FROM requests")).all()
        found = {row.id: row for row in rows}
        assert set(acknowledged) <= set(found), "an acknowledged request is lost"
        statuses = Counter(row.status for row in rows)
        assert set(statuses) <= {"succeeded", "failed", "unknown"}, statuses
        assert all(row.sent_at is not None for row in rows if row.status == "unknown")
        assert statuses["succeeded"] > len(acknowledged) / 2
        if database_url.startswith("sqlite"):
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    engine.dispose()


async def test_a_killed_server_loses_nothing_that_it_acknowledged(
    database_url: str, tmp_path: Path
) -> None:
    acknowledged: list[str] = []

    async def ask(place: Installation) -> None:
        agent = Api(place.base_urls[-1], place.agent_key)
        while True:
            made = await agent.made("/api/requests", action="note", params={})
            acknowledged.append(made["id"])

    with installation(tmp_path, servers=1, database_url=database_url) as place:
        admin = Api(place.base_url, place.admin_key)
        await admin.call("PATCH", f"/api/agents/{place.agent_id}", open_limit=0)
        moments = random.Random(7)
        for _ in range(8):
            asking = [asyncio.ensure_future(ask(place)) for _ in range(4)]
            await asyncio.sleep(moments.uniform(0.2, 0.6))
            await asyncio.to_thread(place.servers[-1].kill9)
            await asyncio.gather(*asking, return_exceptions=True)
            await asyncio.to_thread(place.serve)
        last = Api(place.base_urls[-1], place.admin_key)
        for request_id in acknowledged:
            status, _ = await last.call("GET", f"/api/requests/{request_id}")
            assert status == 200
    assert acknowledged


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
