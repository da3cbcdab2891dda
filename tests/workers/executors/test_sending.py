"""A call on its way out: what it says, and what becomes of a body that nobody reads."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from app.core.outcome import Ambiguous, NotStarted
from tests.support.upstream import DEADLINE
from workers.executors.http_call import Call
from workers.executors.http_client import HttpClient

LARGE = bytes(range(256)) * 65_536
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def mark() -> None:
    """Nothing is to be written down."""


@dataclass(frozen=True)
class Kept:
    """A body that is kept apart, and the digest that was approved."""

    data: bytes
    sha256: str
    size: int

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield it in two parts."""
        half = len(self.data) // 2
        yield self.data[:half]
        yield self.data[half:]


def kept(data: bytes, approved: bytes | None = None) -> Kept:
    """Return a body of which other bytes may have been approved."""
    said = data if approved is None else approved
    return Kept(data, hashlib.sha256(said).hexdigest(), len(said))


@asynccontextmanager
async def calling(serve: Serve) -> AsyncGenerator[tuple[HttpClient, Call]]:
    """Run a server; gives a client and a call with a large body."""
    client = HttpClient()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield client, Call(
            method="POST", scheme="http", authority=f"127.0.0.1:{port}", host="127.0.0.1",
            target="/", headers=(), body=LARGE, read_bytes=100, connect_seconds=DEADLINE,
            total_seconds=2 * DEADLINE, networks=("127.0.0.0/8",),
        )  # fmt: skip
        await client.close()


async def _whole(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


@pytest.mark.requirement("T43")
@pytest.mark.requirement("T45")
@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET /other"}, {"method": "get"}, {"method": ""}, {"target": "no-slash"},
        {"target": "/a b"}, {"target": "/#b"}, {"target": "/a\r\nX: y"}, {"target": "/é"},
        {"headers": (("x", "a\r\nContent-Length: 1"),)}, {"headers": (("x", "a\nb: c"),)},
        {"headers": (("x\r\ny", "a"),)}, {"headers": (("x", "a\0"),)}, {"headers": (("x", "\r"),)},
        {"authority": "127.0.0.1:0"}, {"authority": "127.0.0.1:65536"},
        {"authority": "127.0.0.1\r\nX: y"}, {"authority": "127.0.0.2:80"}, {"scheme": "ftp"},
    ],
)  # fmt: skip
async def test_what_would_be_read_otherwise_does_not_leave(change: dict[str, object]) -> None:
    client, marks = HttpClient(), 0

    async def count() -> None:
        nonlocal marks
        marks += 1

    call = Call("GET", "http", "127.0.0.1", "127.0.0.1", "/", (), b"", 100, 1, 1, ("127.0.0.0/8",))
    with pytest.raises(NotStarted) as caught:
        await client.exchange(replace(call, **change), count)
    assert caught.value.code in {"invalid_call", "invalid_url"} and not caught.value.retryable
    assert marks == 0
    await client.close()


@pytest.mark.parametrize("apart", [False, True])
async def test_a_large_body_leaves_whole(apart: bool) -> None:
    found: list[tuple[bytes, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            found.append(await _whole(reader))
            writer.write(OK)

    async with calling(serve) as (client, call):
        sent = replace(call, body=b"", content=kept(LARGE)) if apart else call
        for _ in range(2):
            assert (await client.exchange(sent, mark)).body == b"ok"
    assert [body for _, body in found] == [LARGE, LARGE], "both on one connection"
    assert found[0][0].count(b"\r\n") == 4, "the first line, host and length"


@pytest.mark.requirement("T1")
async def test_a_body_that_is_not_what_was_approved_does_not_end() -> None:
    read = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _whole(reader)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            read.set_result(error)

    async with calling(serve) as (client, call):
        other = kept(LARGE[:-1] + b"!", LARGE)
        with pytest.raises(Ambiguous) as caught:
            await client.exchange(replace(call, body=b"", content=other), mark)
        assert caught.value.code == "body_changed"
        async with asyncio.timeout(DEADLINE):
            assert isinstance(await read, (asyncio.IncompleteReadError, ConnectionError))


@dataclass(frozen=True)
class Pieces(Kept):
    """A body that is kept apart in these pieces, whatever was approved."""

    parts: tuple[bytes, ...] = ()
    fault: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        for part in self.parts:
            yield part
        if self.fault is not None:
            raise self.fault


@pytest.mark.requirement("T1")
@pytest.mark.parametrize(
    "parts",
    [
        (b"other", b""), (b"other", b"", b""), (b"other", b"POST / HTTP/1.1\r\n\r\n", b"!"),
        (b"right", b"POST / HTTP/1.1\r\n\r\n", b"!"), (b"oth", b"erPOST /", b"!"),
    ],
)  # fmt: skip
async def test_no_other_body_of_the_length_leaves(parts: tuple[bytes, ...]) -> None:
    content = Pieces(b"", hashlib.sha256(b"right").hexdigest(), 5, parts)
    assert len(await _left_of(content, "body_changed")) < 5


async def test_a_body_that_cannot_be_read_is_told_as_begun() -> None:
    fault = NotStarted("body_gone", "It is gone.")
    digest = hashlib.sha256(b"right").hexdigest()
    content = Pieces(b"", digest, 5, (b"ri", b"gh"), fault)
    assert await _left_of(content, "connection_lost") == b"ri"


async def _left_of(content: Pieces, code: str) -> bytes:
    """Return what arrives of a body whose call is in doubt then."""
    found = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        read = bytearray()
        try:
            while piece := await reader.read(1000):
                read += piece
        except ConnectionError:
            pass
        found.set_result(read.partition(b"\r\n\r\n")[2])

    async with calling(serve) as (client, call):
        with pytest.raises(Ambiguous) as caught:
            await client.exchange(replace(call, body=b"", content=content), mark)
        assert caught.value.code == code
        async with asyncio.timeout(DEADLINE):
            return bytes(await found)


@dataclass
class Hasty:
    """Answers each call before its body is read, which it never is."""

    over: asyncio.Event
    calls: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a call."""
        self.calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(TOO_LARGE)
        await self.over.wait()


@pytest.mark.requirement("GW-1")
@pytest.mark.parametrize("apart", [False, True])
async def test_an_answer_before_the_body_is_read_is_the_answer(apart: bool) -> None:
    hasty = Hasty(asyncio.Event())
    async with calling(hasty.serve) as (client, call):
        sent = replace(call, body=b"", content=kept(LARGE)) if apart else call
        for _ in range(2):
            answer = await client.exchange(sent, mark)
            assert (answer.status, answer.body) == (413, b"no")
        hasty.over.set()
    assert hasty.calls == 2, "what is left of the body is not the beginning of another call"


@pytest.mark.requirement("T1")
async def test_an_answer_to_the_beginning_of_another_body_is_in_doubt() -> None:
    hasty = Hasty(asyncio.Event())
    async with calling(hasty.serve) as (client, call):
        other = kept(LARGE[:-1] + b"!", LARGE)
        with pytest.raises(Ambiguous) as caught:
            await client.exchange(replace(call, body=b"", content=other), mark)
        assert caught.value.code == "body_changed"
        hasty.over.set()


@pytest.mark.requirement("T48")
async def test_an_upstream_that_reads_nothing_costs_the_time_allowed() -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with calling(serve) as (client, call):
        with pytest.raises(Ambiguous) as caught:
            await client.exchange(replace(call, total_seconds=0.2), mark)
        assert caught.value.code == "upstream_timeout"
        over.set()


async def test_an_upstream_that_hangs_up_within_the_body() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.transport.abort()

    async with calling(serve) as (client, call):
        with pytest.raises(Ambiguous) as caught:
            await client.exchange(call, mark)
        assert caught.value.code == "connection_lost"
