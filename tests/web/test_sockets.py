"""WebSockets through the gateway: a real client, the running server and a real upstream."""

import asyncio
import base64
import hashlib
import json
import logging
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request as Opening
from websockets.http11 import Response
from websockets.typing import Subprotocol

from app.core.following import Following
from app.core.request import Status
from tests.support.canary import CANARY
from tests.web.conftest import Served
from tests.web.test_doors import administrator

pytestmark = [pytest.mark.requirement("GW-1", "T60"), pytest.mark.timeout(60)]

WAIT = 10.0
Play = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Chat:
    """An upstream that talks WebSocket.

    :ivar openings: the calls that opened one.
    :ivar closed: with which codes callers left.
    :ivar asked: an opening waits that is answered late: when ``go`` is set.
    """

    served: Served
    port: int = 0
    openings: list[Opening] = field(default_factory=list[Opening])
    closed: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue[int | None])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def dial(self, path: str = "/echo", **options: Any) -> ClientConnection:
        """Open a WebSocket through the gateway."""
        key = self.served.door.keys["agent"]
        given: dict[str, Any] = {
            "additional_headers": {"Authorization": f"Bearer {key}"},
            "proxy": None, "compression": None, "open_timeout": WAIT, **options,
        }  # fmt: skip
        return await connect(f"ws://127.0.0.1:{self.served.port}/gateway/chat{path}", **given)

    async def refused(self, path: str = "/echo", **options: Any) -> Response:
        """Return how an opening was answered that was not taken."""
        with pytest.raises(InvalidStatus) as refusal:
            await self.dial(path, **options)
        return refusal.value.response

    async def outcome(self, call: ClientConnection) -> dict[str, Any]:
        """Return what is on record of a conversation that is over."""
        assert call.response is not None
        request = await self.served.settled(call.response.headers["x-assentry-request"])
        return {"is": request.status, **self.served.outcome(request)}

    async def left(self) -> int | None:
        """Return the code with which a caller left the upstream."""
        async with asyncio.timeout(WAIT):
            return await self.closed.get()


async def _echo(line: ServerConnection) -> None:
    async for message in line:
        await line.send(message)


async def _headers(line: ServerConnection) -> None:
    assert line.request is not None
    text = "\n".join(f"{name}: {value}" for name, value in line.request.headers.raw_items())
    await line.send(text)
    await line.send(base64.b64encode(text.encode()))
    await line.send(text[: text.index(CANARY) + len(CANARY) - 3])
    await line.send(f"in parts: {CANARY[:9]}")
    await line.send(f"{CANARY[9:]} is all")
    await line.recv()


async def _flood(line: ServerConnection) -> None:
    for _ in range(64):
        await line.send(bytes(65_536))


async def _long(line: ServerConnection) -> None:
    await line.send(bytes((1 << 20) + 1))


async def _bye(line: ServerConnection) -> None:
    await line.close(4001, "enough")


async def _telling(line: ServerConnection) -> None:
    assert line.request is not None
    key = line.request.headers["X-Api-Key"]
    await line.close(4002, f"{key} {'x' * (121 - 2 * len(key))} {key[:-2]}")


async def _full(line: ServerConnection) -> None:
    assert line.request is not None
    await line.close(4003, line.request.headers["X-Api-Key"] * (123 // 6))


async def _deaf(line: ServerConnection) -> None:
    line.transport.pause_reading()
    while not line.transport.is_closing():
        await line.send("tick")
        await asyncio.sleep(0.01)


async def _vanish(line: ServerConnection) -> None:
    await line.send("last words")
    line.transport.abort()


async def _silent(line: ServerConnection) -> None:
    await line.wait_closed()


async def _parts(line: ServerConnection) -> None:
    async def parts() -> AsyncGenerator[str]:
        for _ in range(3_000):
            yield ""

    await line.send(parts())


async def _pings(line: ServerConnection) -> None:
    line.transport.pause_reading()
    while not line.transport.is_closing():
        line.transport.write((b"\x89\x7d" + bytes(125)) * 1_000)
        await asyncio.sleep(0)
    line.transport.resume_reading()
    line.transport.abort()


async def _no_text(line: ServerConnection) -> None:
    line.transport.write(b"\x81\x02\xff\xfe")
    await line.wait_closed()


_PLAYS: dict[str, Play] = {
    "/echo": _echo, "/headers": _headers, "/flood": _flood, "/long": _long, "/bye": _bye,
    "/vanish": _vanish, "/silent": _silent, "/parts": _parts, "/pings": _pings,
    "/no-text": _no_text, "/telling": _telling, "/full": _full, "/late": _silent,
    "/deaf": _deaf,
}  # fmt: skip


@asynccontextmanager
async def _chat(served: Served, **settings: Any) -> AsyncGenerator[Chat]:
    """Grant WebSockets at a target, and let policy allow them."""
    chat = Chat(served)

    async def talk(line: ServerConnection) -> None:
        assert line.request is not None
        try:
            with suppress(ConnectionClosed):
                await _PLAYS[line.request.path.partition("?")[0]](line)
        finally:
            await line.wait_closed()
            chat.closed.put_nowait(line.close_code)

    async def look(line: ServerConnection, opening: Opening) -> Response | None:
        chat.openings.append(opening)
        if opening.path == "/late":
            chat.asked.set()
            await chat.go.wait()
        return line.respond(418, "no chat here") if opening.path == "/refuse" else None

    methods = settings.pop("methods", ("GET", "WEBSOCKET"))
    async with serve(
        talk, "127.0.0.1", 0, process_request=look, compression=None,
        subprotocols=[Subprotocol("chat.v2")], select_subprotocol=_first,
    ) as server:  # fmt: skip
        chat.port = next(iter(server.sockets)).getsockname()[1]
        world = served.door.world
        await world.target(f"http://127.0.0.1:{chat.port}", "chat", methods=methods, **settings)
        await world.policy("sockets", "allow", {"http.method": "WEBSOCKET"})
        yield chat


def _first(_line: ServerConnection, offered: Any) -> Subprotocol | None:
    return Subprotocol("chat.v2") if "chat.v2" in offered else None


@pytest.fixture
async def chat(served: Served) -> AsyncIterator[Chat]:
    async with _chat(served) as opened:
        yield opened


async def test_messages_go_both_ways_and_how_much_was_said_is_on_record(chat: Chat) -> None:
    call = await chat.dial("/echo?room=1%2F2", subprotocols=[Subprotocol("chat.v2")])
    assert call.subprotocol == "chat.v2"
    for message in ("grüße", b"\x00\xff", "", "x" * 100_000):
        await call.send(message)
        assert await call.recv() == message
    await call.close(4002, "done")
    assert await chat.left() == 4002
    said = await chat.outcome(call)
    whole = "grüße".encode() + b"\x00\xff" + b"x" * 100_000
    digest = hashlib.sha256(whole).hexdigest()
    assert (said["is"], said["status"], said["code"]) == (Status.SUCCEEDED, 101, "ok")
    assert (said["messages"], said["bytes"], said["sha256"]) == (4, len(whole), digest)
    assert (said["said_messages"], said["said_bytes"], said["said_sha256"]) == (
        4, len(whole), digest,
    )  # fmt: skip
    assert said["closed"] == 4002 and "cut" not in said
    (opening,) = chat.openings
    assert opening.path == "/echo?room=1%2F2"
    assert "authorization" not in opening.headers and "x-assentry-reason" not in opening.headers


@pytest.mark.requirement("DASH-1")
async def test_the_page_of_the_request_says_in_words_what_was_said(chat: Chat) -> None:
    call = await chat.dial("/echo")
    await call.send("hello")
    assert await call.recv() == "hello"
    await call.close()
    await chat.outcome(call)
    assert call.response is not None
    browser = await administrator(chat.served.door)
    name = call.response.headers["x-assentry-request"]
    page = (await browser.get(f"/requests/{name}")).text
    for part in ("The upstream said", "The agent said", "1 message, 5 bytes, SHA-256"):
        assert part in page
    assert "Said sha256" not in page


@pytest.mark.requirement("POL-8")
async def test_an_opening_can_be_tried_before_a_policy_holds(chat: Chat) -> None:
    admin = await chat.served.door.client("admin")
    params: dict[str, Any] = {"method": "WEBSOCKET", "path": "/echo"}
    body: dict[str, Any] = {"action": "http.request", "target": "chat", "params": params}
    effects: list[str] = []
    for candidate in (None, {"name": "none", "rules": [
        {"name": "none", "effect": "review", "match": {"http.method": "WEBSOCKET"}}
    ], "priority": 1}):  # fmt: skip
        asked = {**body, "candidate": candidate} if candidate else body
        answer = await admin.post("/api/policies/dry-run", json=asked)
        effects.append(answer.json()["verdict"]["effect"])
    assert effects == ["allow", "deny"]


async def _with_key(chat: Chat, key: str) -> None:
    services, anne = chat.served.door.world.services, chat.served.door.world.anne
    made = await services.vault.create(anne, name="k", kind="headers", fields={"X-Api-Key": key})
    target = await services.store.read(lambda tx: tx.targets.named("chat"))
    assert target is not None
    await services.targets.update(anne, target.id, credential_id=made.id)


async def test_the_credential_is_added_and_never_shown(chat: Chat) -> None:
    await _with_key(chat, CANARY)
    call = await chat.dial("/headers")
    text, encoded, part = await call.recv(), await call.recv(), await call.recv()
    pieces = await call.recv(), await call.recv()
    await call.close()
    assert chat.openings[0].headers["X-Api-Key"] == CANARY
    assert "[redacted]" in str(text) and CANARY not in str(text)
    assert isinstance(encoded, bytes) and b"[redacted]" in encoded
    assert str(part).endswith("[redacted]") and CANARY[:9] not in str(part)
    assert pieces == (f"in parts: {CANARY[:9]}", "[redacted] is all")


async def test_long_messages_are_searched_while_others_have_their_turn(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _with_key(chat, CANARY)
    clean, places = Following.clean, list[tuple[int, bool]]()

    def spied(self: Following, message: bytes) -> bytes:
        places.append((len(message), threading.current_thread() is threading.main_thread()))
        return clean(self, message)

    monkeypatch.setattr(Following, "clean", spied)
    call = await chat.dial("/flood")
    for _ in range(64):
        assert await call.recv() == bytes(65_536)
    await call.close()
    assert [here for size, here in places if size == 65_536] == [False] * 64


async def test_a_reason_shows_no_credential_and_stays_a_reason(chat: Chat) -> None:
    await _with_key(chat, "s3cr3t")
    for path, code in (("/telling", 4002), ("/full", 4003)):
        call = await chat.dial(path)
        with pytest.raises(ConnectionClosed):
            await call.recv()
        assert call.close_code == code
        assert "[redacted]" in (call.close_reason or "") and "s3c" not in (call.close_reason or "")


async def test_a_caller_that_leaves_before_it_is_open_is_no_error(
    chat: Chat, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with asyncio.TaskGroup() as group:
        call = group.create_task(chat.dial("/late"))
        await chat.asked.wait()
        call.cancel()
    (asked,) = (await chat.served.agent.get("/api/requests")).json()["items"]
    chat.go.set()
    request = await chat.served.settled(asked["id"])
    assert chat.served.outcome(request)["code"] == "caller_left"
    assert "bug" not in capsys.readouterr().err and not caplog.records


async def test_an_upstream_that_takes_no_opening_answers_as_usual(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await chat.refused("/refuse")
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert (answer.status_code, answer.body) == (418, b"no chat here")
    request = await chat.served.settled(answer.headers["x-assentry-request"])
    assert (request.status, chat.served.outcome(request)["status"]) == (Status.FAILED, 418)


@pytest.mark.parametrize("methods", [(), ("GET", "POST")])
async def test_a_target_that_does_not_name_it_takes_none(served: Served, methods: Any) -> None:
    async with _chat(served, methods=methods) as chat:
        answer = await chat.refused()
        assert answer.status_code == 400 and b"upgrade_refused" in (answer.body or b"")
        assert not chat.openings


@pytest.mark.requirement("POL-2")
async def test_nobody_is_asked_about_what_will_be_said(chat: Chat) -> None:
    door = chat.served.door
    rule = {"name": "ask", "effect": "review", "match": {"http.path": {"glob": "/echo"}}}
    document: dict[str, Any] = {"name": "ask", "priority": 1, "rules": [rule]}
    await door.world.services.policies.create(door.world.anne, document)
    await door.world.services.policies.refresh()
    answer = await chat.refused()
    assert answer.status_code == 403 and b"a policy has to allow it" in (answer.body or b"")
    assert not chat.openings
    request = await chat.served.settled(json.loads(answer.body or b"")["request_id"])
    assert (request.status, request.effect) == (Status.DENIED, "deny")


async def test_a_rule_for_reads_lets_none_pass(served: Served) -> None:
    async with _chat(served) as chat:
        services, anne = served.door.world.services, served.door.world.anne
        policies = await services.store.read(lambda tx: tx.policies.all())
        for policy in policies:
            if policy.name == "sockets":
                await services.policies.delete(anne, policy.id)
        await services.policies.refresh()
        assert (await chat.refused()).status_code == 403
        assert not chat.openings


async def test_how_the_upstream_ends_it_is_passed_on(chat: Chat) -> None:
    call = await chat.dial("/bye")
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert (call.close_code, call.close_reason) == (4001, "enough")
    said = await chat.outcome(call)
    assert (said["is"], said["closed"]) == (Status.SUCCEEDED, 4001)


async def test_an_upstream_that_is_lost_shows(chat: Chat) -> None:
    call = await chat.dial("/vanish")
    assert await call.recv() == "last words"
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert (call.close_code, call.close_reason) == (1011, "answer_cut")
    assert (await chat.outcome(call))["cut"] == "answer_cut"


async def test_a_caller_that_is_lost_ends_it_upstream(chat: Chat) -> None:
    call = await chat.dial("/silent")
    call.transport.abort()
    assert await chat.left() == 1001
    said = await chat.outcome(call)
    assert (said["is"], said["cut"]) == (Status.SUCCEEDED, "caller_left")


async def test_a_caller_that_leaves_an_upstream_that_takes_nothing_ends_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.executors.upgraded._LAST_SECONDS", 0.1)
    call = await chat.dial("/deaf")
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                await call.send(bytes(1 << 20))
    call.transport.abort()
    assert (await chat.outcome(call))["cut"] == "caller_left"


async def test_a_message_in_endless_parts_is_not_taken(chat: Chat) -> None:
    call = await chat.dial("/echo")

    async def parts() -> AsyncGenerator[str]:
        for _ in range(3_000):
            yield ""

    with suppress(ConnectionClosed):
        await call.send(parts())
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert call.close_code == 1009
    assert (await chat.outcome(call))["said_messages"] == 0


async def test_a_caller_that_asks_and_never_reads_is_cut_off(chat: Chat) -> None:
    call = await chat.dial("/silent")
    call.transport.pause_reading()
    ping = b"\x89\xfd" + bytes(4 + 125)
    with suppress(ConnectionError):
        async with asyncio.timeout(WAIT):
            while not call.transport.is_closing():
                call.transport.write(ping * 1_000)
                await asyncio.sleep(0)
                await call.drain()
    assert await chat.left() == 1001
    assert (await chat.outcome(call))["cut"] == "caller_left"


@pytest.mark.parametrize("play", ["/parts", "/pings", "/no-text"])
async def test_an_upstream_that_does_what_it_must_not_is_cut_off(chat: Chat, play: str) -> None:
    call = await chat.dial(play)
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert (call.close_code, call.close_reason) == (1011, "answer_malformed")
    assert (await chat.outcome(call))["cut"] == "answer_malformed"


@pytest.mark.requirement("KEY-4")
async def test_an_agent_that_is_frozen_is_cut_off(chat: Chat) -> None:
    services, world = chat.served.door.world.services, chat.served.door.world
    call = await chat.dial("/echo")
    await call.send("hello")
    assert await call.recv() == "hello"
    await services.execution.leases.renew()
    await services.agents.freeze(world.anne, world.agent.id)
    await services.execution.leases.renew()
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert (call.close_code, call.close_reason) == (1008, "agent_frozen")
    assert await chat.left() == 1001
    assert (await chat.outcome(call))["cut"] == "agent_frozen"


@pytest.mark.requirement("KEY-4")
async def test_an_agent_that_never_stops_talking_is_cut_off_as_well(chat: Chat) -> None:
    services, world = chat.served.door.world.services, chat.served.door.world
    call = await chat.dial("/echo")

    async def talk() -> None:
        with suppress(ConnectionClosed):
            while True:
                await call.send("hello")
                await asyncio.sleep(0)

    async with asyncio.timeout(WAIT), asyncio.TaskGroup() as group:
        group.create_task(talk())
        for _ in range(100):
            await call.recv()
        await services.execution.leases.renew()
        await services.agents.freeze(world.anne, world.agent.id)
        await services.execution.leases.renew()
        with suppress(ConnectionClosed):
            while True:
                await call.recv()
    assert (call.close_code, call.close_reason) == (1008, "agent_frozen")
    assert (await chat.outcome(call))["cut"] == "agent_frozen"


@pytest.mark.parametrize(
    ("path", "say", "setting", "cut", "code"),
    [
        ("/flood", None, {"stream_bytes": 200_000}, "stream_bytes", 1009),
        ("/echo", "x" * 3_000, {"request_bytes": 2_000}, "request_bytes", 1009),
        ("/long", None, {}, "message_bytes", 1009),
        ("/silent", None, {"idle_seconds": 0.2}, "idle_seconds", 1008),
        ("/silent", None, {"stream_seconds": 0.2}, "stream_seconds", 1008),
    ],
)
async def test_limits_of_the_target_end_it(
    served: Served, path: str, say: str | None, setting: Any, cut: str, code: int
) -> None:
    async with _chat(served, **setting) as chat:
        call = await chat.dial(path, max_size=None)
        if say is not None:
            await call.send(say)
        async with asyncio.timeout(WAIT):
            with suppress(ConnectionClosed):
                assert len([message async for message in call]) < 4
        assert (call.close_code, call.close_reason) == (code, cut)
        assert (await chat.outcome(call))["cut"] == cut
        await chat.left()


async def test_a_message_that_is_too_long_is_not_taken(chat: Chat) -> None:
    call = await chat.dial("/echo")
    await call.send(bytes((1 << 20) + 1))
    with pytest.raises(ConnectionClosed):
        await call.recv()
    assert call.close_code == 1009
    assert (await chat.outcome(call))["messages"] == 0


@pytest.mark.parametrize(
    "lines",
    [
        ("Sec-WebSocket-Accept: bm9uc2Vuc2U=",),
        ("Sec-WebSocket-Accept: {right}", "Sec-WebSocket-Extensions: permessage-deflate"),
        ("Sec-WebSocket-Accept: {right}", "Sec-WebSocket-Protocol: other"),
        (),
    ],
)
async def test_an_opening_that_was_not_asked_for_is_no_answer(
    chat: Chat, lines: tuple[str, ...]
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(one for one in head.split("\r\n") if one.lower().startswith("sec-websocket-k"))
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        digest = hashlib.sha1((key.partition(": ")[2] + guid).encode()).digest()
        right = base64.b64encode(digest).decode()
        said = "".join(f"{line.format(right=right)}\r\n" for line in lines)
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"{said}\r\n".encode()
        )
        with suppress(ConnectionError):  # what is refused is not said good-bye to
            await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        world = chat.served.door.world
        await world.target(f"http://127.0.0.1:{port}", "odd", methods=("WEBSOCKET",))
        refusal = await chat.refused("/../odd/x".replace("/../", "/%2e%2e/"))
        assert refusal.status_code == 400  # no way round by the path
        key = chat.served.door.keys["agent"]
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://127.0.0.1:{chat.served.port}/gateway/odd/x", proxy=None,
                additional_headers={"Authorization": f"Bearer {key}"},
            )  # fmt: skip
        assert refused.value.response.status_code == 502


async def test_it_is_opened_at_the_gateway_alone_and_with_a_key(chat: Chat) -> None:
    key = os.urandom(16).hex()
    answer = await chat.refused(additional_headers={"Authorization": f"Bearer ask_{key}"})
    assert answer.status_code == 401
    lines = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    plain = await chat.served.agent.get("/api/requests", headers=lines)
    assert plain.status_code == 200 and plain.json()["items"] == []
    asked = await chat.served.agent.post("/gateway/chat/echo", headers=lines)
    assert (asked.status_code, asked.json()["code"]) == (400, "upgrade_refused")
    odd = await chat.served.agent.request("WEBSOCKET", "/gateway/chat/echo")
    assert odd.status_code in (400, 405)
    body = {"action": "http.request", "target": "chat",
            "params": {"method": "WEBSOCKET", "path": "/echo"}}  # fmt: skip
    queued = await chat.served.agent.post("/api/requests", json=body)
    assert (queued.status_code, queued.json()["code"]) == (400, "invalid_action")
    assert not chat.openings
