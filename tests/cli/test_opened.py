"""Callers of WebSockets that are hung up on: what they send cannot be read, or they do not read."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from app.cli.opened import PIECE, Opened
from app.core.ports import MESSAGE_PARTS
from tests.cli.test_patience import said, serving

pytestmark = [pytest.mark.requirement("T60", "T67"), pytest.mark.timeout(30)]

OPENING = (
    "GET /gateway/chat/x HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("X-Long: " + "x" * 9_000 + "\r\n", ""),
        ("".join(f"X-{number}: x\r\n" for number in range(200)), ""),
    ],
)
async def test_an_opening_that_cannot_be_read_is_refused_at_once(lines: str, body: str) -> None:
    async with serving(Starlette()) as port, asyncio.timeout(5):
        answer = await said(port, f"{OPENING}{lines}\r\n{body}".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "early", [b"\x81\x03abc", b"\x01\x80abcd" + b"\x00\x80abcd" * (MESSAGE_PARTS + 1)]
)
async def test_what_is_wrong_before_it_is_open_ends_it_quietly(
    early: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def talk(_line: WebSocket) -> None:
        asked.set()
        await go.wait()

    app = Starlette(routes=[WebSocketRoute("/gateway/chat/x", talk)])
    async with serving(app) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{OPENING}\r\n".encode())
        await asked.wait()
        writer.write(early)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        go.set()
        writer.close()
    assert "Fatal error" not in caplog.text


@pytest.mark.parametrize("size", [40_000, 16 << 20])
async def test_a_caller_that_does_not_read_is_not_waited_for(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, lost = list[Opened](), asyncio.Event()

    class Watched(Opened):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.close_timeout = 0.1
            opened.append(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async def talk(line: WebSocket) -> None:
        await line.accept()
        while not opened[0].transport.get_write_buffer_size():
            await line.send_bytes(bytes(size))
        await line.close()

    monkeypatch.setattr("app.cli.opened.Opened", Watched)
    app = Starlette(routes=[WebSocketRoute("/gateway/chat/x", talk)])
    async with serving(app) as port:
        address = f"ws://127.0.0.1:{port}/gateway/chat/x"
        call = await connect(address, proxy=None, max_size=None, max_queue=1)
        call.transport.pause_reading()
        async with asyncio.timeout(10):
            await lost.wait()
        call.transport.abort()


async def test_a_flood_of_tiny_messages_is_taken_in_small_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = list[int]()

    class Watched(Opened):
        def _take(self, data: bytes) -> None:
            sizes.append(len(data))
            super()._take(data)

    async def talk(line: WebSocket) -> None:
        await line.accept()
        for _ in range(40_000):
            await line.receive_text()
        await line.close()

    monkeypatch.setattr("app.cli.opened.Opened", Watched)
    app = Starlette(routes=[WebSocketRoute("/gateway/chat/x", talk)])
    async with (
        serving(app) as port,
        connect(f"ws://127.0.0.1:{port}/gateway/chat/x", proxy=None) as call,
    ):
        call.transport.write(b"\x81\x80abcd" * 40_000)
        await call.wait_closed()
    assert sum(sizes) > 240_000 and max(sizes) <= PIECE
