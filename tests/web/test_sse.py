"""Streams over real sockets: they start, tell, end, and let go."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.web import waiters
from tests.web.conftest import Door, open_door


@asynccontextmanager
async def serving(door: Door) -> AsyncGenerator[str, None]:
    """Serve the application on a free port."""
    config = uvicorn.Config(
        door.app, port=0, lifespan="off", access_log=False, log_config=None, ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True


@pytest.fixture
async def live(tmp_path: Path) -> AsyncGenerator[tuple[Door, str], None]:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with (
        asyncio.timeout(30),
        open_door(url, tmp_path) as door,
        serving(door) as address,
    ):
        yield door, address


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, object]]]:
    """Yield the name and data of every event."""
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def bearer(door: Door, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {door.keys[who]}"}


async def released() -> None:
    """Wait until no stream is counted any more."""
    while waiters._open:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)


@pytest.mark.requirement("REQ-4")
async def test_a_request_is_told_until_it_is_final(live: tuple[Door, str]) -> None:
    door, address = live
    request = await door.pending()
    path = f"{address}/api/requests/{request.id}/events"
    told: list[object] = []
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", path, headers=bearer(door, "agent")) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        async for name, document in events(answer):
            assert name == "request"
            told.append(document["status"])
            if document["status"] == "pending":
                await door.world.vote(request)
    assert told == ["pending", "approved"]
    await released()


@pytest.mark.requirement("REQ-4", "T67")
async def test_people_hear_of_every_change_and_may_leave(live: tuple[Door, str]) -> None:
    door, address = live
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}/api/events", headers=bearer(door, "viewer")) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == ": here"
        request = await door.pending()
        async for line in lines:
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: ")) == {
                    "kind": "request", "id": request.id,
                }  # fmt: skip
                break
    await released()
    assert door.world.services.store.signals.waiters == 0


@pytest.mark.requirement("T25")
async def test_agents_do_not_follow_everything(live: tuple[Door, str]) -> None:
    door, address = live
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{address}/api/events", headers=bearer(door, "agent"))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.requirement("KEY-1", "T25")
async def test_a_revoked_key_hears_nothing_more(live: tuple[Door, str]) -> None:
    door, address = live
    services = door.world.services
    key, secret = await services.agents.create_key(
        door.world.anne, name="k", scopes=["request:read"], person_id=door.people["viewer"].id
    )
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}/api/events", headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == ": here"
        await services.agents.revoke_key(door.world.anne, key.id)
        services.access.forget([("key", key.id)])
        secret_request = await door.pending()
        rest = [line async for line in lines]
    assert secret_request.id not in "".join(rest)
    await released()


@pytest.mark.requirement("T67")
async def test_streams_of_a_key_are_bounded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, max_waiters_per_key=1) as door, serving(door) as address:
        path, headers = f"{address}/api/events", bearer(door, "viewer")
        async with (
            asyncio.timeout(20),
            httpx.AsyncClient() as client,
            client.stream("GET", path, headers=headers) as answer,
        ):
            await anext(answer.aiter_lines())
            refused = await client.get(path, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_waiters")


@pytest.mark.requirement("REQ-4")
async def test_silence_is_broken_by_comments(
    live: tuple[Door, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.sse.HEARTBEAT", 0.01)
    door, address = live
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}/api/events", headers=bearer(door, "viewer")) as answer,
    ):
        seen = 0
        async with asyncio.timeout(20):
            async for line in answer.aiter_lines():
                seen += line == ": still here"
                if seen == 3:
                    break
    assert seen == 3
