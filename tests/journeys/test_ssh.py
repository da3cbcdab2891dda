"""SSH with real parts: asked, decided by a person, run by a worker; and kill -9 inside."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from tests.journeys.test_kills import check_rows, drained
from tests.support.api import Api
from tests.support.nursery import Nursery, nursery
from tests.support.server import Installation, installation
from tests.support.sshd import Sshd, eventually, running_sshd

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("SSH-1", "EXE-1", "T29", "T53"),
    pytest.mark.timeout(500),
]


KILLS = 50
LOOKS = 1000
"""How often it is looked whether a new worker runs commands, at most, before it is killed."""


@asynccontextmanager
async def host(
    place: Installation, folder: Path, **more: object
) -> AsyncGenerator[tuple[Api, Sshd]]:
    """An SSH host that is the target ``box``."""
    admin = Api(place.base_url, place.admin_key)
    async with running_sshd(folder) as server:
        credential = await admin.made(
            "/api/credentials", name="key", kind="ssh_key", fields={"private_key": server.key}
        )
        ssh = {
            "host": "127.0.0.1", "port": server.port, "user": server.user,
            "host_keys": [server.host_key], "seconds": 3, **more,
        }  # fmt: skip
        await admin.made(
            "/api/targets", name="box", credential_id=credential["id"],
            settings={"networks": ["127.0.0.0/8"], "connect_seconds": 3.0, "ssh": ssh},
        )  # fmt: skip
        yield admin, server


async def test_asked_approved_and_run(database_url: str, tmp_path: Path) -> None:
    with installation(tmp_path, servers=1, database_url=database_url) as place:
        agent = Api(place.base_url, place.agent_key)
        async with host(place, tmp_path / "sshd") as (admin, _):
            asked = await agent.made(
                "/api/requests", action="ssh.exec", target="box",
                params={"command": f"echo approved | tee {tmp_path}/ran"},
            )  # fmt: skip
            assert asked["status"] == "pending"
            await admin.call(
                "POST", f"/api/requests/{asked['id']}/decide", decision="approve",
                digest=asked["digest"], comment="fine",
            )  # fmt: skip
            await asyncio.to_thread(place.work)
            _, done = await agent.call("GET", f"/api/requests/{asked['id']}?wait=30")
            assert (done["status"], done["outcome"]["exit_code"]) == ("succeeded", 0)
            assert (tmp_path / "ran").read_text() == "approved\n"
            place.stop()


async def load(place: Installation, log: str, stop: asyncio.Event) -> list[str]:
    """Ask steadily for commands that say when they ran; return what was acknowledged."""
    agent, acknowledged = Api(place.base_url, place.agent_key), list[str]()
    for number in itertools.count():
        if stop.is_set():
            return acknowledged
        command = f"echo {number} >>{log}; sleep 0.1"
        made = await agent.made(
            "/api/requests", action="ssh.exec", target="box", params={"command": command}
        )
        acknowledged.append(made["id"])
        await asyncio.sleep(0.1)
    return acknowledged


def size(log: str) -> int:
    """Return how much the commands have written."""
    return Path(log).stat().st_size


async def kill_on(young: Nursery, moments: random.Random, log: str) -> None:
    """Kill half of the workers, each at a random moment while commands run."""
    for _ in range(KILLS // 2):
        worker = await young.work()
        ran = size(log)
        for _ in range(LOOKS):
            if size(log) > ran:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(moments.uniform(0.1, 1.0))
        await worker.kill9()


async def kill_workers(young: Nursery, stop: asyncio.Event, log: str) -> None:
    moments = random.Random(9)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(kill_on(young, moments, log))
    stop.set()


async def test_a_killed_worker_runs_nothing_twice(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "database_url": database_url, "lease_margin": 0.5, "agent_concurrency": 256,
    }  # fmt: skip
    with (
        NamedTemporaryFile(dir="/tmp") as ran,  # the guard asks about files that are elsewhere
        installation(tmp_path, servers=1, **settings) as place,
        nursery(place.env) as young,
    ):
        async with host(place, tmp_path / "sshd") as (admin, _):
            rule = {"name": "all", "effect": "allow", "reason": "a test"}
            await admin.made("/api/policies", name="all pass", rules=[rule])
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(load(place, ran.name, stop))
                group.create_task(kill_workers(young, stop, ran.name))
            await asyncio.to_thread(place.work)
            await drained(admin)
            counts = Counter(ran.read().decode().split())
        place.stop()
    assert max(counts.values()) == 1, "a command ran twice"
    rows = check_rows(database_url, asking.result())
    assert any(row.status == "unknown" for row in rows), "no kill hit a command"
    succeeded = sum(row.status == "succeeded" for row in rows)
    assert succeeded <= len(counts) <= sum(row.sent_at is not None for row in rows)


@pytest.mark.requirement("SSH-7")
async def test_what_a_killed_worker_left_is_found_by_its_marker(
    database_url: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "lease_margin": 0.5}
    (marks := tmp_path / "marks").mkdir()
    with (
        NamedTemporaryFile(dir="/tmp") as ran,
        installation(tmp_path, servers=1, **settings) as place,
        nursery(place.env) as young,
    ):
        async with host(place, tmp_path / "sshd", marker_dir=str(marks)) as (admin, _):
            rule = {"name": "all", "effect": "allow", "reason": "a test"}
            await admin.made("/api/policies", name="all pass", rules=[rule])
            agent, asked = Api(place.base_url, place.agent_key), dict[str, int]()
            for code in (0, 3):
                before, worker = size(ran.name), await young.work()
                command = f"echo {code} >>{ran.name}; sleep 1; exit {code}"
                made = await agent.made(
                    "/api/requests", action="ssh.exec", target="box", params={"command": command}
                )
                asked[made["id"]] = code
                await eventually(lambda before=before: size(ran.name) > before)
                await worker.kill9()
            await asyncio.to_thread(place.work)
            await drained(admin)
            for name, code in asked.items():
                _, lost = await admin.call("GET", f"/api/requests/{name}")
                assert lost["status"] == "unknown"
                await eventually((marks / name).read_text)
                status, looked = await admin.call("POST", f"/api/requests/{name}/reconcile")
                assert (status, looked["marker"], looked["exit_code"]) == (200, "finished", code)
                assert looked["status"] == ("failed" if code else "succeeded")
        counts = Counter(ran.read().decode().split())
        place.stop()
    assert counts == {"0": 1, "3": 1}
