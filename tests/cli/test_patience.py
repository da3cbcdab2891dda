"""Who talks too slowly or too much is hung up on, before anybody asks who it is."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from app.cli import patience
from app.cli.listening import Server, bound, config

pytestmark = [pytest.mark.requirement("OPS-1"), pytest.mark.timeout(30)]


@asynccontextmanager
async def served() -> AsyncGenerator[int, None]:
    """Serve the length of what is posted."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    async with serving(app) as port:
        yield port


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[int, None]:
    """Serve an application; give its port."""
    stop = asyncio.Event()
    with bound("127.0.0.1", 0) as sock:
        async with asyncio.TaskGroup() as group:
            group.create_task(Server(config(app, lifespan="off")).until(stop, sock))
            try:
                yield sock.getsockname()[1]
            finally:
                stop.set()


async def said(port: int, *pieces: bytes) -> bytes:
    """Send pieces, and return all that comes until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b"hung up"
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_an_endless_head_is_refused() -> None:
    async with served() as port:
        one = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * patience.MOST + b"a"
        assert b" 431 " in await said(port, one)
        many = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * (patience.MOST // 8 + 1)
        assert b" 431 " in await said(port, many)


async def test_endless_trailers_and_chunk_sizes_are_refused() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served() as port:
        some = b"3\r\nabc\r\n0\r\n"
        for part in (b"X-T: b\r\n" * 2000, b"X-T: " + b"b" * 20_000):
            sent = [head + some, *[part] * 20]
            assert b"200 OK" not in await said(port, *sent)
        assert b"200 OK" not in await said(port, head, *[b"1;" + b"e" * 20_000] * 20)
        good = head.replace(b"Host", b"Connection: close\r\nHost") + some + b"X-T: b\r\n\r\n"
        assert (await said(port, good)).endswith(b"3")


async def test_a_usual_head_and_a_large_body_pass() -> None:
    async with served() as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000\r\n"
        some = b"X-A: " + b"a" * (patience.MOST - 200) + b"\r\n\r\n"
        assert (await said(port, head + some, b"x" * 300_000)).endswith(b"300000")


async def test_a_second_call_on_a_connection_is_counted_anew() -> None:
    async with served() as port:
        first = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n"
        last = first.replace(b"X-A", b"Connection: close\r\nX-A")
        assert (await said(port, first, last)).count(b"200 OK") == 2


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
STUCK: dict[str, tuple[bytes, ...]] = {
    "silent": (),
    "half a head": (HEAD[:8],),
    "an empty line": (HEAD, b"\r\n"),
    "half a body": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"ab"),
}


@pytest.mark.parametrize("pieces", STUCK.values(), ids=STUCK)
async def test_who_never_finishes_is_hung_up_on(
    pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ARRIVE", 0.2)
    monkeypatch.setattr(patience, "_LOOK", 0.1)
    async with served() as port, asyncio.timeout(10):
        said_by_us = await said(port, *pieces)
        assert said_by_us.count(b"200 OK") == (pieces[-1:] == (b"\r\n",))


@pytest.mark.parametrize("line", [b"Connection: close\r\n", b""])
async def test_who_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(patience, "_LOOK", 0.05)
    monkeypatch.setattr(patience, "STUCK", 3)
    lost, usual = asyncio.Event(), patience.Patient.connection_lost

    def tell(self: patience.Patient, error: Exception | None) -> None:
        usual(self, error)
        lost.set()

    monkeypatch.setattr(patience.Patient, "connection_lost", tell)

    async def answer(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * (32 << 20))

    async with serving(Starlette(routes=[Route("/", answer)])) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n")
            async with asyncio.timeout(20):
                await lost.wait()


async def test_who_waits_for_us_is_not_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ARRIVE", 0.05)
    monkeypatch.setattr(patience, "_LOOK", 0.05)
    gate = asyncio.Event()

    async def slow(_request: Request) -> PlainTextResponse:
        asyncio.get_running_loop().call_later(0.4, gate.set)
        await gate.wait()
        return PlainTextResponse("done")

    async with serving(Starlette(routes=[Route("/", slow)])) as port:
        call = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await said(port, call)).endswith(b"done")
