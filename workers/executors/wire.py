"""A connection to an upstream that carries one exchange at a time."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from workers.executors.answer_head import Head
from workers.executors.closing import was_closed
from workers.executors.reading import Cut, Malformed, Reading

WAITING_BYTES: Final = 262_144
"""Bytes of an answer that are held before the upstream has to wait; twice that at most."""

_LAST_SECONDS: Final = 10.0
"""How long the goodbye of TLS may take."""


class Receiver(Protocol):
    """What takes the bytes of a connection that is HTTP no longer."""

    def feed_data(self, data: bytes) -> None:
        """Take bytes."""
        ...

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        ...


class Wire(asyncio.Protocol):
    """A connection, and the answer that is being read off it.

    :ivar transport: what is written to.
    """

    transport: asyncio.Transport

    def __init__(self, lost: Callable[["Wire"], None]) -> None:
        """Wait to be connected; ``lost`` is called when the connection is gone."""
        self._on_lost = lost
        self._tls: ssl.SSLObject | None = None
        self._reading: Reading | None = None
        self._receiver: Receiver | None = None
        self._error: Exception | None = None
        self._more: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._last: asyncio.TimerHandle | None = None
        self._paused = self._full = self._lost = self._aborted = False

    @property
    def alive(self) -> bool:
        """Whether something can be written to it."""
        return not self._lost and not self.transport.is_closing()

    @property
    def arrived(self) -> bool:
        """Whether the whole answer is here, so that reading does not wait."""
        return self._reading is not None and self._reading.ended

    @property
    def length(self) -> int | None:
        """Bytes that the answer's body has on the wire; None where that is not said."""
        return None if self._reading is None else self._reading.length

    # --- one exchange ---

    def begin(self, reading: Reading) -> None:
        """Expect an answer; until it rests, that is what is read and handed over."""
        self._reading = reading

    def rest(self) -> bool:
        """End the exchange; return whether the next one may use the connection."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()
        if not self.alive or self._paused or self.transport.get_write_buffer_size():
            return False
        return reading is None or (reading.reusable and not reading.waiting)

    def write(self, data: bytes | memoryview) -> None:
        """Write, however much waits already."""
        self.transport.write(data)

    async def drain(self) -> None:
        """Return when there is room to write, or nobody to write to."""
        while self._full and not self._lost:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def head(self) -> Head:
        """Return the head of the answer.

        :raises ConnectionResetError: the connection was lost first.
        :raises Malformed: it is not HTTP.
        """
        reading = self._reading
        assert reading is not None
        while reading.head is None:
            await self._wait()
        return reading.head

    async def read(self) -> bytes:
        """Return what came of the body since, at least a byte; nothing is its end.

        :raises Cut: the connection ended before the answer did.
        :raises Malformed: it is not HTTP.
        """
        reading = self._reading
        assert reading is not None
        while not (piece := reading.take()):
            if reading.ended:
                self._check_end(reading)
                return b""
            await self._wait()
        if reading.waiting <= WAITING_BYTES:
            self._resume()
        return piece

    def hand_over(self, receiver: Receiver) -> None:
        """Let another take the bytes from the end of the head on."""
        reading = self._reading
        assert reading is not None
        self._receiver = receiver
        self._resume()
        if reading.after:
            receiver.feed_data(reading.after)
        if self._lost:
            receiver.feed_eof()

    def break_off(self, error: Exception) -> None:
        """End the connection at once, for a reason that who reads is told."""
        self._error = self._error or error
        self.abort()
        _wake(self._more)

    def abort(self) -> None:
        """End the connection at once; that ends no answer well."""
        self._aborted = True
        self.transport.abort()

    def close(self, *, at_once: bool = False) -> None:
        """Close the connection, unless another took it over.

        What the upstream has not read by now is dropped: it may never read it.

        :param at_once: an answer was on its way; nobody wants it any more.
        """
        if self._receiver is not None:
            return
        if at_once or self.transport.get_write_buffer_size():
            self.abort()
            return
        self.transport.close()
        if self._tls is not None and not self._lost:
            self._last = asyncio.get_running_loop().call_later(_LAST_SECONDS, self.abort)

    def _check_end(self, reading: Reading) -> None:
        """Refuse an end that only a close says, and TLS does not."""
        if reading.by_close and self._tls is not None and not was_closed(self._tls):
            raise Cut

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._more = asyncio.get_running_loop().create_future()
        await self._more

    # --- back-pressure ---

    def pause_reading(self) -> None:
        """Let the upstream wait."""
        self._paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the upstream go on."""
        self._paused = False
        if self.alive:
            self.transport.resume_reading()

    def _resume(self) -> None:
        if self._paused:
            self.resume_reading()

    # --- what the loop says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self._tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """Take bytes; those that nobody asked for end the connection."""
        if self._receiver is not None:
            self._receiver.feed_data(data)
            return
        reading = self._reading
        if reading is None:
            self.abort()
            return
        try:
            reading.feed(data)
        except Malformed as error:
            self.break_off(error)
            return
        if reading.waiting > WAITING_BYTES and not self._paused:
            self.pause_reading()
        _wake(self._more)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end."""
        self._lost = True
        if self._receiver is not None:
            self._receiver.feed_eof()
        elif self._reading is not None and self._error is None:
            self._error = _fault(self._reading, cut=exc is not None or self._aborted)
        if self._last is not None:
            self._last.cancel()
        _wake(self._more)
        _wake(self._room)
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Note that the upstream does not read."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that there is room."""
        self._full = False
        _wake(self._room)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _fault(reading: Reading, *, cut: bool) -> Exception | None:
    """Return what the end of the connection means for the answer.

    :param cut: the upstream did not close it.
    """
    if cut and reading.head is not None and not reading.ended:
        return Cut()
    try:
        reading.eof()
    except (Cut, ConnectionResetError) as error:
        return error
    return None
