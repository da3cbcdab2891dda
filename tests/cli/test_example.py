"""The example upstream: wants its token, and is seeded once."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.cli.example import CREDENTIAL, NAME, Notes, running
from app.core.audit import SYSTEM
from app.core.request import Status
from tests.support.world import World, world

TOKEN = "a-token-of-the-example"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(Notes(TOKEN).app())
    async with httpx.AsyncClient(transport=transport, base_url="http://notes") as opened:
        yield opened


async def history(place: World) -> list[tuple[str, str]]:
    statement = text("SELECT event, actor FROM audit ORDER BY seq")
    rows = await place.services.store.read(lambda tx: tx.query(statement).fetchall())
    return [(str(row[0]), str(row[1])) for row in rows]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/notes"), ("POST", "/notes"), ("DELETE", "/notes/1"), ("GET", "/whoami")],
)
async def test_without_the_token_there_is_nothing(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        answer = await client.request(method, path, headers=given, json={"text": "x"})
        assert answer.status_code == 401
        assert TOKEN not in answer.text and "plants" not in answer.text


async def test_notes_are_listed_added_and_removed(client: httpx.AsyncClient) -> None:
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    assert len((await client.get("/notes")).json()["notes"]) == 2
    added = await client.post("/notes", json={"text": "Buy milk"})
    assert (added.status_code, added.json()) == (201, {"id": 3, "text": "Buy milk"})
    for body in ("{", "[]", '{"txet": 1}'):
        assert (await client.post("/notes", content=body)).status_code == 400
    assert (await client.delete("/notes/3")).json() == {"removed": added.json()}
    assert (await client.delete("/notes/3")).status_code == 404
    assert (await client.get("/whoami")).json() == {"authorization": f"Bearer {TOKEN}"}


async def test_seeding_is_audited_and_done_once(place: World) -> None:
    async with running(place.services) as first:
        before = await history(place)
        target = await place.services.store.read(lambda tx: tx.targets.named(NAME))
    async with running(place.services) as second:
        assert await history(place) == before
    assert first == second
    assert [event for event, _ in before] == [
        "credential.created", "target.created", "policy.created", "policy.created",
    ]  # fmt: skip
    assert {actor.partition(":")[0] for _, actor in before} == {SYSTEM.kind.value}
    assert target is not None and target.settings.networks == ("127.0.0.0/8",)


async def test_a_taken_port_is_followed(place: World) -> None:
    async with running(place.services) as first, running(place.services) as second:
        assert first != second
        target = await place.services.store.read(lambda tx: tx.targets.named(NAME))
    assert target is not None and (target.base_url, target.revision) == (second, 2)


async def test_a_token_that_was_replaced_is_taken_over(place: World) -> None:
    async with running(place.services):
        pass
    credential = await place.services.store.read(lambda tx: tx.vault.named(CREDENTIAL))
    assert credential is not None
    await place.services.vault.refill(SYSTEM, credential, {"token": "one-of-the-operator"})
    async with running(place.services) as url, httpx.AsyncClient(base_url=url) as client:
        client.headers["Authorization"] = "Bearer one-of-the-operator"
        assert (await client.get("/notes")).status_code == 200


@pytest.mark.requirement("EXE-1")
async def test_reads_pass_and_changes_ask(place: World) -> None:
    async with running(place.services):
        await place.services.policies.refresh()
        read = await place.call("GET", "/whoami", target=NAME)
        assert read.status is Status.APPROVED
        await place.services.execution.run(read.id)
        result = await place.services.requests.result(place.robot, read.id)
        assert result is not None and result.status == 200
        assert result.redacted == 1
        for method, path in (("DELETE", "/notes/1"), ("POST", "/notes"), ("PUT", "/notes/1")):
            asked = await place.call(method, path, target=NAME)
            assert asked.status is Status.PENDING
