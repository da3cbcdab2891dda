"""The gateway: what passes, what waits, what is refused; and the bytes on the wire."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.core.request import Choice, Status
from tests.support.upstream import Upstream
from tests.web.conftest import Door

pytestmark = [pytest.mark.requirement("GW-2"), pytest.mark.timeout(60)]


@pytest.fixture
async def upstream(any_door: Door) -> AsyncIterator[Upstream]:
    """An upstream that may be read by policy; whatever changes something waits for a person."""
    async with Upstream() as running:
        await any_door.world.target(running.url)
        await any_door.world.policy("reads", "allow", {"http.method": {"in": ["GET", "HEAD"]}})
        await any_door.world.policy("no puts", "deny", {"http.method": "PUT"})
        yield running


@pytest.fixture
async def agent(any_door: Door) -> httpx.AsyncClient:
    """The agent, without headers of the library's own."""
    client = await any_door.client("agent")
    for name in ("accept", "user-agent"):
        del client.headers[name]
    return client


async def trail(door: Door, request_id: str) -> list[str]:
    services = door.world.services
    return [record.event for record in await services.requests.trail(door.world.anne, request_id)]


async def test_what_is_allowed_is_answered_and_recorded(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    answer = await agent.get("/gateway/upstream/echo/a%20b/...?x=1&y=%2F&z")
    assert answer.status_code == 200
    (got,) = upstream.log
    assert (got.method, got.target) == ("GET", "/echo/a%20b/...?x=1&y=%2F&z")
    name = answer.headers["x-assentry-request"]
    found = await any_door.world.services.requests.get(any_door.world.anne, name)
    assert found.status is Status.SUCCEEDED and found.sent_at is not None
    events = await trail(any_door, name)
    assert events == ["request.submitted", "request.claimed", "request.succeeded"]


async def test_the_upstreams_own_errors_come_back(
    agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    answer = await agent.get("/gateway/upstream/status/404")
    assert answer.status_code == 404 and answer.headers["x-assentry-request"]
    away = {"X-Redirect-To": "https://elsewhere.example/"}
    moved = await agent.get("/gateway/upstream/redirect", headers=away)
    assert moved.status_code == 302 and moved.headers["location"] == "https://elsewhere.example/"
    assert len(upstream.log) == 2


async def test_what_is_denied_sends_nothing(agent: httpx.AsyncClient, upstream: Upstream) -> None:
    answer = await agent.put("/gateway/upstream/echo", content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert "no puts" in answer.json()["reasons"][0] and not upstream.log


async def test_what_waits_says_where_and_runs_the_very_bytes(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    body = bytes(range(256)) * 40
    headers = {"X-Assentry-Reason": "the backup", "X-Assentry-Urgency": "high", "X-Kept": "1"}
    answer = await agent.post("/gateway/upstream/echo/b?q", content=body, headers=headers)
    asked = answer.json()
    assert (answer.status_code, asked["status"], asked["urgency"]) == (202, "pending", "high")
    assert asked["reason"] == "the backup"
    assert answer.headers["location"] == f"/api/requests/{asked['id']}"
    request = await any_door.world.services.requests.get(any_door.world.anne, asked["id"])
    await any_door.world.vote(request)
    await any_door.world.services.execution.run(request.id)
    (got,) = upstream.log
    assert (got.method, got.target, got.body) == ("POST", "/echo/b?q", body)
    assert got.header("x-kept") == ["1"] and not got.header("x-assentry-reason")


async def test_a_caller_who_prefers_to_wait_gets_the_answer(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    world = any_door.world
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        call = group.create_task(
            agent.delete("/gateway/upstream/echo/7", headers={"Prefer": "wait=20"})
        )
        with world.services.store.signals.following() as news:
            while (found := await pending(any_door)) is None:
                await news.get()
        await world.vote(found)
        await world.services.execution.run(found.id)
        answer = await call
    assert answer.status_code == 200 and answer.json()["method"] == "DELETE"
    assert answer.headers.get_list("preference-applied") == ["wait=20"]
    assert answer.headers["x-assentry-request"] == found.id
    assert [got.method for got in upstream.log] == ["DELETE"]


async def test_a_wait_that_ended_without_a_decision_was_applied_too(
    agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    path = "/gateway/upstream/echo/7"
    waited = await agent.delete(path, headers={"Prefer": "wait=1"})
    assert (waited.status_code, waited.headers["preference-applied"]) == (202, "wait=1")
    for method, headers in (("DELETE", {}), ("GET", {"Prefer": "wait=1"})):
        answer = await agent.request(method, path, headers=headers)
        assert "preference-applied" not in answer.headers, "nobody waited"
    assert len(upstream.log) == 1


async def test_a_denial_says_that_it_was_waited_for(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        call = group.create_task(
            agent.delete("/gateway/upstream/echo/7", headers={"Prefer": "wait=20"})
        )
        with any_door.world.services.store.signals.following() as news:
            while (found := await pending(any_door)) is None:
                await news.get()
        await any_door.world.vote(found, choice=Choice.DENY)
        answer = await call
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert answer.headers["preference-applied"] == "wait=20" and not upstream.log


async def pending(door: Door) -> Any:
    page = await (await door.client("admin")).get("/api/requests?status=pending")
    items = page.json()["items"]
    if not items:
        return None
    return await door.world.services.requests.get(door.world.anne, items[0]["id"])


async def test_headers_of_ours_and_of_this_connection_stay_here(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    await agent.get("/gateway/upstream/echo", headers=[
        ("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Cookie", "a=b"), ("TE", "trailers"),
        ("Keep-Alive", "1"), ("X-Forwarded-For", "1.2.3.4"), ("Proxy-Authorization", "x"),
        ("Accept-Encoding", "gzip"), ("Prefer", "wait=1"), ("X-Kept", "yes"), ("Accept", "a/b"),
    ])  # fmt: skip
    (got,) = upstream.log
    names = {name.lower() for name, _ in got.headers}
    assert names == {"host", "x-kept", "accept", "accept-encoding", "user-agent"}
    assert got.header("accept-encoding") == ["identity"]
    assert any_door.keys["agent"] not in str(got.headers)


@pytest.mark.requirement("T43", "T45")
@pytest.mark.parametrize(
    "path",
    [
        "/gateway/upstream/../secret", "/gateway/upstream/a/%2e%2e/b", "/gateway/upstream//b",
        "/gateway/upstream/a%2fb", "/gateway/upstream/a%5cb", "/gateway/upstream/%00",
        "/gateway/upstream/%41", "/gateway/up%73tream/x", "/gateway/../api", "/gateway/upstream",
        "/gateway/", "/gateway/UPSTREAM/x", "/gateway/upstream/a;b", "/gateway/upstream/a\\b",
        "/gateway/up@evil/x", "/gateway/upstream/%zz",
    ],
)  # fmt: skip
async def test_odd_addresses_are_refused(any_door: Door, upstream: Upstream, path: str) -> None:
    key = f"Bearer {any_door.keys['agent']}"
    head = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "scheme": "http", "http_version": "1.1", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
        "headers": [(b"host", b"127.0.0.1:8700"), (b"authorization", key.encode())],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await any_door.app(head, receive, send)
    assert sent[0]["status"] in (400, 404), path
    assert not upstream.log


@pytest.mark.requirement("T45")
@pytest.mark.parametrize(
    "line",
    [
        ("X-HTTP-Method-Override", "DELETE"), ("X-Original-URL", "/admin"), ("Range", "bytes=0-1"),
        ("X_Kept", "1"), ("X-A", "caf\xe9"), ("Content-Encoding", "gzip"),
    ],
)  # fmt: skip
async def test_headers_that_steer_are_refused(
    agent: httpx.AsyncClient, upstream: Upstream, line: tuple[str, str]
) -> None:
    raw = [(line[0].encode(), line[1].encode("latin-1"))]
    answer = await agent.get("/gateway/upstream/echo", headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_action")
    assert not upstream.log


async def test_who_may_not_ask_gets_nothing(any_door: Door, upstream: Upstream) -> None:
    for who, status in ((None, 401), ("approver", 403), ("agent_read", 403)):
        client = await any_door.client(who)
        assert (await client.get("/gateway/upstream/echo")).status_code == status
    assert (await (await any_door.client("agent")).get("/gateway/nowhere/x")).status_code == 404
    assert not upstream.log


async def test_large_bodies_and_long_answers_say_so(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    await any_door.world.target(upstream.url, "narrow", stream_bytes=1_000_000, request_bytes=1_000)
    refused = await agent.post("/gateway/narrow/echo", content=bytes(1_001))
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert refused.json()["most"] == 1_000
    answer = await agent.get("/gateway/narrow/huge/3000000")
    assert (answer.status_code, answer.json()["code"]) == (502, "answer_too_large")
    assert not [got for got in upstream.log if got.method == "POST"]


async def test_a_cut_answer_is_no_success(agent: httpx.AsyncClient, upstream: Upstream) -> None:
    answer = await agent.get("/gateway/upstream/truncated")
    assert (answer.status_code, answer.json()["code"]) == (502, "outcome_unknown")
    assert answer.json()["outcome"]["code"] == "answer_cut" and len(upstream.log) == 1


async def test_what_cannot_be_reached_is_told(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    await any_door.world.target("http://127.0.0.1:1", "gone")
    answer = await agent.get("/gateway/gone/x")
    told = answer.json()
    assert (answer.status_code, told["code"]) == (502, "not_carried_out")
    assert (told["request_status"], told["outcome"]["code"]) == ("failed", "connect_failed")


async def test_head_and_bodiless_answers(agent: httpx.AsyncClient, upstream: Upstream) -> None:
    head = await agent.head("/gateway/upstream/echo")
    assert head.status_code == 200 and int(head.headers["content-length"]) > 0
    assert head.content == b""
    for status in (204, 304):
        assert (await agent.get(f"/gateway/upstream/status/{status}")).status_code == status


@pytest.mark.requirement("EXE-1")
async def test_an_inline_grant_outlives_nobody(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    answer = await agent.get("/gateway/upstream/echo")
    services = any_door.world.services
    found = await services.requests.get(any_door.world.anne, answer.headers["x-assentry-request"])
    assert found.valid_until is not None and found.decided_at is not None
    assert found.valid_until - found.decided_at <= 1_000_000


async def test_one_agent_has_its_share_of_calls(
    any_door: Door, agent: httpx.AsyncClient, upstream: Upstream
) -> None:
    services, inline = any_door.world.services, any_door.world.services.inline
    narrow = services.settings.model_copy(update={"agent_concurrency": 0})
    rates = replace(inline.intake.rates, settings=narrow)
    intake = replace(inline.intake, rates=rates)
    any_door.app.state.services = replace(services, inline=replace(inline, intake=intake))
    answer = await agent.get("/gateway/upstream/echo")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_busy")
    assert answer.headers["retry-after"] == "1"
    page = await (await any_door.client("admin")).get("/api/requests")
    assert page.json()["items"] == [] and not upstream.log
