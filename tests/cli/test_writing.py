"""Large pieces of an answer arrive as they were sent, in chunks or by their length."""

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.cli.test_patience import serving

pytestmark = [pytest.mark.requirement("GW-1"), pytest.mark.timeout(30)]

PIECES = (b"a" * 100, b"b" * 300_000, b"", b"c" * 16_384, b"d" * 7, b"e" * 1_000_000)


WAIT = 10.0


class Answering:
    """Answers in pieces: ``/sized`` says how long it is, ``/last`` ends with a large one.

    :ivar sent: how many pieces were taken.
    """

    def __init__(self, times: int = 1) -> None:
        self.pieces = PIECES * times
        self.sent = 0
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        last, size = scope["path"] == "/last", str(sum(map(len, self.pieces))).encode()
        lines = [(b"content-length", size)] if scope["path"] == "/sized" else []
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        for piece in self.pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": self.pieces[-1], "more_body": not last})
        if not last:
            await send({"type": "http.response.body", "body": b""})
        self.ended.set()


@pytest.mark.parametrize("path", ["/chunked", "/sized", "/last"])
async def test_pieces_arrive_whole(path: str) -> None:
    async with serving(Answering()) as port, httpx.AsyncClient() as client:
        for _ in range(2):
            got = await client.get(f"http://127.0.0.1:{port}{path}")
            assert got.content == b"".join(PIECES)
            assert ("content-length" in got.headers) == (path == "/sized")
        head = await client.head(f"http://127.0.0.1:{port}{path}")
        assert head.status_code == 200 and not head.content


@pytest.mark.parametrize("path", ["/chunked", "/sized"])
async def test_a_caller_that_reads_slowly_is_waited_for(path: str) -> None:
    app = Answering(times=100)
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        await reader.readline()
        before = -1
        while before != app.sent:
            before = app.sent
            for _ in range(200):
                await asyncio.sleep(0)
        assert app.sent < len(app.pieces) // 2 and not app.ended.is_set()
        async with asyncio.timeout(WAIT):
            while await reader.read(1 << 20):
                pass
            await app.ended.wait()
        writer.close()


async def test_a_caller_that_leaves_ends_the_waiting() -> None:
    app = Answering(times=100)
    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n")
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(WAIT):
            await app.ended.wait()
