"""Connections: which are used again, which are given up, and where they go."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import aiohappyeyeballs
import pytest
import pytest_asyncio

from app.core.outcome import Ambiguous, NotStarted
from tests.support.upstream import DEADLINE
from workers.executors import pool
from workers.executors.http_call import Answer, Call
from workers.executors.http_client import HttpClient
from workers.executors.incoming import Incoming

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
ALL = ("127.0.0.0/8", "::1/128")


async def mark() -> None:
    """Nothing is to be written down."""


@dataclass
class Server:
    """Answers each head that comes with the same bytes; counts connections, and those that end."""

    answer: bytes = OK
    connections: int = 0
    heads: int = 0
    ended: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.heads += 1
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.release()
        finally:
            writer.close()

    def call(self, host: str = "127.0.0.1", method: str = "GET") -> Call:
        return Call(
            method=method, scheme="http", authority=f"{host}:{self.port}", host=host, target="/",
            headers=(), body=b"", read_bytes=100, connect_seconds=DEADLINE,
            total_seconds=2 * DEADLINE, networks=ALL,
        )  # fmt: skip


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as listening:
        running.port = listening.sockets[0].getsockname()[1]
        yield running
        for writer in running.writers:
            writer.close()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


async def test_the_connection_used_last_is_used_next(server: Server, client: HttpClient) -> None:
    for _ in range(3):
        assert (await client.exchange(server.call(), mark)).body == b"ok"
    assert server.connections == 1
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(client.exchange(server.call(), mark))
    assert server.connections == 3


@pytest.mark.requirement("T46")
@pytest.mark.parametrize(
    "answer",
    [
        CLOSING,
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake",
        OK + b"!",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_in_doubt_carries_no_other_call(
    server: Server, client: HttpClient, answer: bytes
) -> None:
    server.answer = answer
    for _ in range(2):
        assert (await client.exchange(server.call(), mark)).body == b"ok"
    assert server.connections == 2


@pytest.mark.requirement("T46")
async def test_an_answer_that_nobody_asked_for_is_nobodys(
    server: Server, client: HttpClient
) -> None:
    await client.exchange(server.call(), mark)
    server.writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
    async with asyncio.timeout(DEADLINE):
        await server.ended.acquire()
    assert (await client.exchange(server.call(), mark)).body == b"ok"
    assert server.connections == 2


async def test_a_head_whose_body_comes_all_the_same(server: Server, client: HttpClient) -> None:
    for _ in range(2):
        answer = await client.exchange(server.call(method="HEAD"), mark)
        assert (answer.status, answer.body) == (200, b"")
    assert server.connections == 2


async def test_what_nobody_uses_is_closed(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEPALIVE_SECONDS", 0.0)
    monkeypatch.setattr(pool, "_SWEEP_SECONDS", 0.0)
    await client.exchange(server.call(), mark)
    async with asyncio.timeout(DEADLINE):
        await server.ended.acquire()
    await client.exchange(server.call(), mark)
    assert server.connections == 2


async def test_the_next_address_is_tried(server: Server) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("many.example", server.port)
        return ("::1", "127.9.9.9", "127.0.0.1")

    client = HttpClient(lookup)
    assert (await client.exchange(server.call("many.example"), mark)).body == b"ok"
    await client.close()


async def test_there_is_a_most_of_connections(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    await client.exchange(server.call(), mark)
    await client.exchange(server.call(), mark)
    with pytest.raises(NotStarted) as caught:
        await client.exchange(replace(server.call(), networks=("127.0.0.0/8",)), mark)
    assert (caught.value.code, caught.value.retryable) == ("connections_used_up", True)


async def test_connections_that_are_being_made_count(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    calls = [client.exchange(server.call(), mark) for _ in range(3)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, NotStarted) for one in found) == 2 and server.connections == 1


async def test_closing_ends_what_is_under_way(server: Server, client: HttpClient) -> None:
    server.answer = b""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_ambiguous(client, server.call()))
        async with asyncio.timeout(DEADLINE):
            while not server.heads:  # noqa: ASYNC110 - the server is on this loop
                await asyncio.sleep(0)
        await client.close()
    assert task.result() == "connection_lost"


@pytest.mark.requirement("T46")
async def test_closing_ends_no_answer_well(server: Server, client: HttpClient) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\n\r\npart"

    async def take(incoming: Incoming) -> Answer:
        begun = await incoming.read()
        await client.close()
        return await incoming.collect(begun)

    with pytest.raises(Ambiguous) as caught:
        await client.send(server.call(), mark, take)
    assert caught.value.code == "answer_cut"


@pytest.mark.requirement("T48")
async def test_an_upstream_that_reads_nothing_keeps_no_connection(client: HttpClient) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        lazy.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        lazy.bind(("127.0.0.1", 0))
        lazy.listen()
        lazy.setblocking(False)
        call = replace(Server(port=lazy.getsockname()[1]).call(method="PUT"), body=bytes(250_000))
        sent = loop.create_task(client.exchange(call, mark))
        async with asyncio.timeout(DEADLINE):
            end, _ = await loop.sock_accept(lazy)
            with end:
                assert await loop.sock_recv(end, 100)
                await loop.sock_sendall(end, CLOSING)
                assert (await sent).body == b"ok"
                read = 0
                while piece := await loop.sock_recv(end, 65_536):
                    read += len(piece)
                assert read < len(call.body) - 100, "it would be there as long as nobody reads"


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancellation_that_the_race_swallows_is_one(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    racing, sock = asyncio.Event(), socket.create_connection(("127.0.0.1", server.port))

    async def race(infos: Sequence[object], **_: object) -> socket.socket:
        assert infos
        racing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return sock

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", race)
    call = replace(server.call(), total_seconds=0.05 if late else DEADLINE)
    task = asyncio.get_running_loop().create_task(client.exchange(call, mark))
    await racing.wait()
    if not late:
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or isinstance(task.exception(), NotStarted)
    assert task.cancelled() is not late and sock.fileno() == -1 and server.heads == 0


async def test_a_peer_that_is_gone_before_it_is_looked_at_leaves_no_socket(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock = socket.socket()

    async def gone(*_: object, **__: object) -> socket.socket:
        return sock  # it is not connected

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", gone)
    with pytest.raises(NotStarted) as caught:
        await client.exchange(server.call(), mark)
    assert (caught.value.code, caught.value.retryable, sock.fileno()) == (
        "connect_failed",
        True,
        -1,
    )


async def _ambiguous(client: HttpClient, call: Call) -> str:
    with pytest.raises(Ambiguous) as caught:
        await client.exchange(call, mark)
    return caught.value.code
