"""kill -9 of the worker at each marked step of an execution; a second worker takes over.

Before ``sent`` is committed, a death leads to exactly one execution. From there on until the
finish is committed the outcome is unknown, and nothing is sent again. After it, nothing happens.
"""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support.api import Api
from tests.support.dying_worker import STEPS
from tests.support.nursery import Nursery, nursery
from tests.support.postgres import PostgresServer
from tests.support.server import Installation, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("EXE-1", "T29"),
]
BYSTANDERS = 4
"""Requests of the same agent that are under way when the worker dies."""

DEADLINE = 30.0
ENDS = {"succeeded", "failed", "unknown"}


@dataclass(frozen=True)
class End:
    """What has to have become of the victim.

    :ivar calls: how often the upstream was called for it.
    :ivar claims: how often workers claimed it, the dead one included.
    """

    status: str
    calls: int
    claims: int


NEVER_CLAIMED = End("succeeded", calls=1, claims=1)
CLAIMED_AGAIN = End("succeeded", calls=1, claims=2)
NOT_CALLED = End("unknown", calls=0, claims=1)
CALLED = End("unknown", calls=1, claims=1)
DONE = End("succeeded", calls=1, claims=1)

EXPECTED = {
    "taking the job": NEVER_CLAIMED,
    "job taken": NEVER_CLAIMED,
    "claiming": NEVER_CLAIMED,
    "claimed": CLAIMED_AGAIN,
    "marking sent": CLAIMED_AGAIN,
    "marked sent": NOT_CALLED,
    "answer begun": CALLED,
    "answered": CALLED,
    "finishing": CALLED,
    "finished": DONE,
    "completing the job": DONE,
}


@dataclass(frozen=True)
class Scene:
    """A running server and where its workers come from."""

    place: Installation
    young: Nursery
    database_url: str

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Read the database behind the product's back."""
        engine = create_engine(Database(self.database_url).url)
        with engine.connect() as connection:
            found = list(connection.execute(text(query), values).all())
        engine.dispose()
        return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Scene, None, None]:
    """One server on each engine for all steps, with the shortest leases that can be set."""
    folder = tmp_path_factory.mktemp("steps")
    if request.param == "sqlite":
        with running(folder, f"sqlite:///{folder / 'test.db'}") as scene:
            yield scene
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url, running(folder, url) as scene:
        yield scene


@contextmanager
def running(folder: Path, url: str) -> Generator[Scene, None, None]:
    """Run a server whose policy lets everything pass, and a nursery; no worker yet."""
    settings: dict[str, Any] = {"database_url": url, "lease_margin": 0.5}
    with (
        installation(folder / "data", servers=1, **settings) as place,
        nursery(place.env) as young,
    ):
        admin = {"Authorization": f"Bearer {place.admin_key}"}
        rule = {"name": "all", "effect": "allow", "reason": "a test"}
        document = {"name": "all pass", "rules": [rule]}
        httpx.post(
            f"{place.base_url}/api/policies", headers=admin, json=document
        ).raise_for_status()
        yield Scene(place, young, url)


class Story:
    """One victim and some bystanders at an upstream that counts."""

    def __init__(self, scene: Scene, upstream: Upstream) -> None:
        self.scene = scene
        self.upstream = upstream
        self.agent = Api(scene.place.base_url, scene.place.agent_key)
        self.admin = Api(scene.place.base_url, scene.place.admin_key)
        self.asked: dict[str, str] = {}

    async def prepare(self) -> None:
        """Configure the upstream with a short limit."""
        await self.admin.made(
            "/api/targets", name=self.target, base_url=self.upstream.url,
            settings={"networks": ["127.0.0.0/8"], "connect_seconds": 1.0, "total_seconds": 1.5},
        )  # fmt: skip

    @property
    def target(self) -> str:
        """A name of its own: the port is."""
        return f"upstream-{self.upstream.port}"

    async def ask(self, path: str) -> str:
        """Ask for a call and return the id that was acknowledged."""
        params = {"method": "POST", "path": path, "json": {}}
        made = await self.agent.made(
            "/api/requests", action="http.request", target=self.target, params=params
        )
        self.asked[made["id"]] = path
        return str(made["id"])

    async def end_of(self, request_id: str) -> End:
        """Wait for a request's end and return it."""
        status, seen = await self.agent.call(
            "GET", f"/api/requests/{request_id}?wait=30&until=final"
        )
        assert status == 200, "an acknowledged request is lost"
        _, trail = await self.admin.call("GET", f"/api/requests/{request_id}/audit")
        events = Counter(entry["event"] for entry in trail["items"])
        ends = events["request.succeeded"] + events["request.failed"]
        assert ends == (seen["status"] != "unknown"), "not one end"
        calls = [one for one in self.upstream.log if one.target == self.asked[request_id]]
        return End(seen["status"], len(calls), events["request.claimed"])

    async def check_all(self) -> None:
        """Nothing is lost, runs twice or is stuck, whomever it belongs to."""
        for request_id in self.asked:
            end = await self.end_of(request_id)
            assert end.status in ENDS
            assert end.calls <= 1, "a call ran twice"
            assert end.status != "succeeded" or end.calls == 1
        doubtful = self.scene.rows("SELECT sent_at FROM requests WHERE status = 'unknown'")
        assert all(row.sent_at is not None for row in doubtful)

    async def nothing_left(self) -> None:
        """Wait until no job is left."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if not self.scene.rows("SELECT id FROM jobs"):
                    break
                await asyncio.sleep(0.05)
        assert not self.scene.rows("SELECT id FROM requests WHERE lease_until IS NOT NULL")


async def take_over(story: Story, victim: str) -> End:
    """Let a second worker go on until everything has its end; return the victim's."""
    second = await story.scene.young.work()
    end = await story.end_of(victim)
    await story.check_all()
    await story.nothing_left()
    assert "Traceback" not in await second.stop()
    return end


def test_every_step_has_its_end() -> None:
    assert list(EXPECTED) == list(STEPS)


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_dies_at_a_step(scene: Scene, step: str) -> None:
    async with Upstream() as upstream:
        story = Story(scene, upstream)
        await story.prepare()
        victim = await story.ask("/echo/victim")
        for number in range(BYSTANDERS):
            await story.ask(f"/echo/{number}")
        first = await scene.young.work(step, victim, "/echo/victim")
        assert f"dying at {step}" in await first.ended()
        assert await take_over(story, victim) == EXPECTED[step]


async def test_a_worker_dies_between_the_call_and_its_answer(scene: Scene) -> None:
    """The upstream has the whole call and has answered nothing yet."""
    async with Upstream() as upstream:
        story = Story(scene, upstream)
        await story.prepare()
        victim = await story.ask("/slow/victim")
        first = await scene.young.work("", victim)
        await upstream.wait_for(1)
        await first.kill9()
        assert await take_over(story, victim) == CALLED
