"""A connection: what waits in it, and how it is let go."""

import asyncio
from typing import cast

import pytest

from tests.support.upstream import DEADLINE
from workers.executors import wire as module
from workers.executors.reading import Cut, Reading
from workers.executors.wire import WAITING_BYTES, Wire

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport:
    """Stands for a connection; notes what was asked of it.

    :ivar unread: bytes that the other side did not take.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self._tls = tls
        self.paused = self.closed = False
        self.aborted = asyncio.Event()
        self.unread = 0

    def get_extra_info(self, name: str) -> object:
        return object() if self._tls and name == "ssl_object" else None

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed or self.aborted.is_set()

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted.set()


def connected(transport: Transport) -> Wire:
    """Return a wire that expects an answer."""
    wire = Wire(lambda _: None)
    wire.connection_made(cast("asyncio.Transport", transport))
    wire.begin(Reading())
    return wire


@pytest.mark.requirement("T48")
async def test_an_answer_in_tiny_chunks_waits_until_it_is_read() -> None:
    transport = Transport()
    wire = connected(transport)
    wire.data_received(CHUNKED)
    arrived = read = 0
    while read < 2_000_000:
        while not transport.paused:
            wire.data_received(b"2\r\nab\r\n" * 30_000)
            arrived += 60_000
        read += len(await wire.read())
        assert arrived - read <= 2 * WAITING_BYTES


async def test_an_answer_that_a_close_ends_is_not_ended_by_our_own() -> None:
    transport = Transport()
    wire = connected(transport)
    wire.data_received(b"HTTP/1.1 200 OK\r\n\r\npart")
    wire.abort()
    wire.connection_lost(None)
    assert await wire.read() == b"part"
    with pytest.raises(Cut):
        await wire.read()


async def test_what_the_upstream_does_not_read_keeps_no_connection() -> None:
    transport = Transport()
    transport.unread = 1
    connected(transport).close()
    assert transport.aborted.is_set() and not transport.closed


async def test_a_call_that_has_not_left_is_followed_by_no_other() -> None:
    for unread, again in ((0, True), (1, False)):
        transport = Transport()
        wire = connected(transport)
        transport.unread = unread
        wire.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert wire.rest() is again


async def test_a_goodbye_of_tls_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.0)
    transport = Transport(tls=True)
    connected(transport).close()
    assert transport.closed and not transport.aborted.is_set()
    async with asyncio.timeout(DEADLINE):
        await transport.aborted.wait()


async def test_a_goodbye_that_was_answered_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.0)
    transport = Transport(tls=True)
    wire = connected(transport)
    wire.close()
    wire.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not transport.aborted.is_set()
