"""Hostile JSON is refused before anything looks at it (T24, T36); large bodies pass by files."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.core.action import Detached, HttpAction, unseal
from app.core.errors import NotFound
from app.core.request import Status
from app.web.api.operations import OPERATIONS
from app.web.contract import Operation
from integrations.sheet import Fitting, sheet_of
from tests.web.conftest import WAIT, Door, Served

JSON = "application/json"
CHANGING = [op for op in OPERATIONS if op.body is not None]

HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "array": b"[]",
    "string": b'"x"',
    "null": b"null",
    "cut": b'{"action": "x"',
    "trailing": b'{"action": "x"} {}',
    "comma": b'{"action": "x",}',
    "single_quotes": b"{'action': 'x'}",
    "comment": b'{"action": "x"} // hi',
    "duplicate": b'{"action": "x", "action": "y"}',
    "duplicate_nested": b'{"action": "x", "params": {"a": 1, "a": 2}}',
    "duplicate_escaped": b'{"action": "x", "\\u0061ction": "y"}',
    "nan": b'{"action": "x", "params": {"a": NaN}}',
    "infinity": b'{"action": "x", "params": {"a": -Infinity}}',
    "overflow": b'{"action": "x", "params": {"a": 1e999}}',
    "big_integer": b'{"action": "x", "params": {"a": 9007199254740993}}',
    "many_digits": b'{"action": "x", "params": {"a": ' + b"9" * 5000 + b"}}",
    "lone_surrogate": b'{"action": "x", "params": {"a": "\\ud800"}}',
    "lone_surrogate_key": b'{"action": "x", "params": {"\\udfff": 1}}',
    "nul": b'{"action": "x", "params": {"a": "\\u0000"}}',
    "raw_control": b'{"action": "x", "params": {"a": "\x01"}}',
    "latin1": '{"action": "x", "reason": "é"}'.encode("latin-1"),
    "overlong": b'{"action": "x", "reason": "\xc0\xaf"}',
    "utf16": '{"action": "x"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"action": "x"}',
    "deep": b'{"action": "x", "params": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "bottomless": b"[" * 100_000,
}


@pytest.mark.requirement("T36")
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bodies_are_400(door: Door, name: str) -> None:
    client = await door.client("agent")
    answer = await client.post(
        "/api/requests", content=HOSTILE[name], headers={"Content-Type": JSON}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "malformed_json"
    assert (await client.get("/api/requests")).json()["items"] == []


@pytest.mark.requirement("T13", "T36")
@pytest.mark.parametrize(
    "kind",
    [
        None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
        "application/json; charset=utf-16", "application/json; charset=iso-8859-1",
        "application/jsonp", "application/problem+json", "text/json",
    ],
)  # fmt: skip
async def test_other_types_are_415(door: Door, kind: str | None) -> None:
    client = await door.client("agent")
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await client.post("/api/requests", content=b'{"action": "x"}', headers=headers)
    assert answer.status_code == 415


@pytest.mark.requirement("T36")
@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'Application/JSON; charset="UTF-8"']
)
async def test_utf8_may_be_named(door: Door, kind: str) -> None:
    client = await door.client("agent")
    answer = await client.post(
        "/api/requests", content=b'{"action": "x"}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 202


@pytest.mark.requirement("T24")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": 1}, "/action"),
        ({"action": "x", "expires_in": "10"}, "/expires_in"),
        ({"action": "x", "expires_in": True}, "/expires_in"),
        ({"action": "x", "expires_in": 0}, "/expires_in"),
        ({"action": "x", "urgency": "URGENT"}, "/urgency"),
        ({"action": "x", "params": []}, "/params"),
        ({"action": "X"}, "/action"),
        ({"action": "http.request"}, "/params/method"),
        ({"action": "ssh.exec"}, "/params/command"),
        ({"action": "x", "reason": "r" * 2001}, "/reason"),
    ],
)
async def test_wrong_fields_are_pointed_at(
    door: Door, body: dict[str, object], pointer: str
) -> None:
    answer = await (await door.client("agent")).post("/api/requests", json=body)
    assert answer.status_code == 400
    assert answer.json()["pointer"] == pointer


@pytest.mark.requirement("T67")
async def test_the_cap_holds_while_reading(door: Door) -> None:
    most = door.world.services.settings.max_body_bytes
    client = await door.client("agent")
    read = 0

    async def drip() -> "object":
        nonlocal read
        for _ in range(100):
            read += 65_536
            yield b" " * 65_536

    answer = await client.post("/api/requests", content=drip(), headers={"Content-Type": JSON})  # pyright: ignore[reportArgumentType]
    assert answer.status_code == 413
    for length in (most + 1, "9" * 5000):
        headers = {"Content-Type": JSON, "Content-Length": str(length)}
        answer = await client.post("/api/requests", content=b"{}", headers=headers)
        assert answer.status_code == 413


@pytest.mark.requirement("T24")
@pytest.mark.parametrize("operation", CHANGING, ids=lambda op: op.name)
async def test_no_body_takes_unknown_fields(door: Door, operation: Operation) -> None:
    path = operation.path
    for name in ("request_id", "policy_id", "target_id", "credential_id", "agent_id", "key_id"):
        path = path.replace(f"{{{name}}}", "x_1")
    who = "agent" if operation.name in ("requests_create", "requests_cancel") else "admin"
    client = await door.client(who)
    answer = await client.request(operation.method, path, json={"is_admin": True})
    assert answer.status_code == 400, (operation.name, answer.text)
    assert answer.json()["code"] in ("invalid_field", "invalid_policy")


@pytest.mark.requirement("T36")
async def test_addresses_hold_no_nul(any_door: Door) -> None:
    client = await any_door.client("admin")
    for address in ("/api/requests/%00", "/api/keys?agent_id=%00", "/api/agents/a%00b"):
        answer = await client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_filter"), address


# --- bodies that are passed on ---


LARGE = random.Random(7).randbytes(3 << 20)


async def _chunked(data: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(data), 100_000):
        yield data[place : place + 100_000]


@pytest.mark.requirement("GW-1", "GW-2")
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_passes_by_way_of_a_file(served: Served, *, chunked: bool) -> None:
    content = _chunked(LARGE) if chunked else LARGE
    answer = await served.agent.put("/gateway/upstream/coded/identity", content=content)
    assert (answer.status_code, answer.content == LARGE) == (200, True)
    (got,) = served.upstream.log
    assert got.header("content-length") == [str(len(LARGE))]
    request = await served.settled(answer.headers["x-assentry-request"])
    action = unseal(request.payload).action
    assert isinstance(action, HttpAction) and action.body == b""
    assert action.detached == Detached(hashlib.sha256(LARGE).hexdigest(), len(LARGE))


@pytest.mark.requirement("GW-2", "T1")
async def test_a_large_body_waits_with_its_request_and_runs_as_it_came(served: Served) -> None:
    world = served.door.world
    answer = await served.agent.post("/gateway/upstream/echo", content=LARGE)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    request = await world.services.requests.get(world.anne, answer.json()["id"])
    twice = await served.agent.post("/gateway/upstream/echo", content=LARGE)
    assert twice.json()["id"] == request.id
    await world.vote(request)
    await world.services.execution.run(request.id)
    (got,) = served.upstream.log
    assert got.body == LARGE
    assert (await world.get(request)).status is Status.SUCCEEDED
    await world.services.sweeps.housekeeping()
    with pytest.raises(NotFound):
        await world.services.bodies.download(world.anne, request)


@pytest.mark.requirement("GW-2", "T1")
async def test_a_caller_waits_for_what_becomes_of_a_large_body(served: Served) -> None:
    world = served.door.world
    room = world.services.inline.room
    async with asyncio.TaskGroup() as group, asyncio.timeout(WAIT):
        call = group.create_task(
            served.agent.post(
                "/gateway/upstream/status/200", content=LARGE, headers={"Prefer": "wait=9"}
            )
        )
        with world.services.store.signals.following() as news:
            page: list[dict[str, str]] = []
            while not page:
                await news.get()
                page = (await served.agent.get("/api/requests?status=pending")).json()["items"]
        request = await world.services.requests.get(world.anne, page[0]["id"])
        await world.vote(request)
        await world.services.execution.run(request.id)
        answer = await call
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=9")
    assert answer.headers["x-assentry-request"] == request.id
    (got,) = served.upstream.log
    assert got.body == LARGE
    room.share(world.agent.id).grow(room.each)


@pytest.mark.requirement("GW-2", "T4")
async def test_a_body_that_is_not_shown_is_reviewed_in_full(served: Served) -> None:
    world = served.door.world
    answer = await served.agent.post("/gateway/upstream/echo", content=LARGE)
    found = await world.services.requests.get(world.anne, answer.json()["id"])
    card = await world.services.store.read(lambda tx: world.services.cards.of(tx, found.id))
    assert not card.whole
    (body,) = [block for block in card.blocks if block.title == "Body"]
    assert hashlib.sha256(LARGE).hexdigest() in body.text and f"{len(LARGE):,}" in body.text
    fitting = Fitting(1 << 20, 0)
    sheet_of(card, fitting)
    assert fitting.cut


@pytest.mark.requirement("GW-2")
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_targets_limit_is_refused(served: Served, *, chunked: bool) -> None:
    await served.door.world.target(served.upstream.url, "narrow", request_bytes=2 << 20)
    content = _chunked(LARGE) if chunked else LARGE
    answer = await served.agent.put("/gateway/narrow/echo", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["most"] == 2 << 20 and not served.upstream.log


@pytest.mark.requirement("GW-1", "T67")
async def test_an_agent_has_so_much_room_for_uploads(served: Served) -> None:
    world = served.door.world
    room = world.services.inline.room
    full = room.share(world.agent.id)
    full.grow(room.each - 1000)
    answer = await served.agent.put("/gateway/upstream/echo", content=LARGE)
    assert (answer.status_code, answer.json()["code"]) == (429, "uploads_full")
    assert int(answer.headers["retry-after"]) > 0 and not served.upstream.log
    full.close()
    others = [room.share(f"agt_{number}") for number in range(room.total // room.each)]
    for other in others:
        other.grow(room.each)
    answer = await served.agent.put("/gateway/upstream/echo", content=_chunked(LARGE))
    assert (answer.status_code, answer.json()["code"]) == (503, "no_upload_room")
    for other in others:
        other.close()
    for _ in range(2):
        await served.agent.put("/gateway/upstream/coded/identity", content=LARGE)
    assert len(served.upstream.log) == 2
    full.grow(room.each)


@pytest.mark.requirement("GW-1", "LIM-1")
async def test_limits_come_before_a_large_body_is_read(served: Served) -> None:
    world = served.door.world
    await world.target(served.upstream.url, "slow", rate="1/hour")
    await world.policy("slow", "allow", {"target": "slow"})
    assert (await served.agent.get("/gateway/slow/echo")).status_code == 200
    for _ in range(2):
        answer = await served.agent.put("/gateway/slow/echo", content=_chunked(LARGE))
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert len(served.upstream.log) == 1
    world.services.inline.room.share(world.agent.id).grow(world.services.inline.room.each)


@pytest.mark.requirement("GW-1")
async def test_whoever_expects_a_word_is_refused_before_sending(served: Served) -> None:
    """``Expect: 100-continue``: the body is not asked for when it would be refused."""
    head = (
        "POST /gateway/{target}/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {served.door.keys['agent']}\r\n"
        "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    for target, first in (("nowhere", b"HTTP/1.1 404"), ("upstream", b"HTTP/1.1 100")):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head.format(target=target).encode())
        async with asyncio.timeout(WAIT):
            assert (await reader.readline()).startswith(first)
        writer.close()


@pytest.mark.requirement("T1")
async def test_a_stored_body_that_was_changed_does_not_run(served: Served) -> None:
    world = served.door.world
    answer = await served.agent.post("/gateway/upstream/echo", content=LARGE)
    request = await world.services.requests.get(world.anne, answer.json()["id"])
    await world.vote(request)
    await world.services.store.write(
        lambda tx: tx.query(text("UPDATE body_chunks SET data = x'00' WHERE place = 1"))
    )
    await world.services.execution.run(request.id)
    after = await world.get(request)
    assert after.status is Status.FAILED and "payload_changed" in (after.outcome or "")
    assert after.sent_at is None and not served.upstream.log


@pytest.mark.requirement("T59")
async def test_people_download_a_body_as_bytes_and_nothing_else(served: Served) -> None:
    world = served.door.world
    answer = await served.agent.post("/gateway/upstream/echo", content=LARGE)
    found = await world.services.requests.get(world.anne, answer.json()["id"])
    stored = await world.services.bodies.download(world.anne, found)
    assert b"".join([piece async for piece in stored.pieces()]) == LARGE
    page = await served.agent.get(f"/requests/{found.id}/body", follow_redirects=False)
    assert page.status_code != 200
