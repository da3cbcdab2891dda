"""A connection that became a WebSocket (RFC 6455): messages over what the client connected.

The frames are those of ``websockets`` (its part without I/O); connection, address checks, TLS and
the mark are the one HTTP client's. Extensions are not offered, so that every byte of a message is
looked at as it is.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol as Frames
from websockets.protocol import Side

from app.core.ports import MESSAGE_BYTES, MESSAGE_PARTS, UNREAD_BYTES, Spoken
from workers.executors.opening import LOST
from workers.executors.wire import Receiver

_WAITING: Final = 262_144
"""Bytes that wait to be read; above, the other side has to wait."""

_STEP: Final = 4096
"""Bytes that are read before others have their turn: they may be thousands of empty messages."""

_LAST_SECONDS: Final = 10.0
"""How long the last bytes may take."""

_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Line(Protocol):
    """The little that is used of the client's connection."""

    transport: asyncio.Transport

    def hand_over(self, receiver: Receiver) -> None:
        """Let another take the bytes."""
        ...

    async def drain(self) -> None:
        """Return when there is room to write."""
        ...

    def pause_reading(self) -> None:
        """Let the upstream wait."""
        ...

    def resume_reading(self) -> None:
        """Let the upstream go on."""
        ...


class Upgraded:
    """Messages to and from an upstream; takes the bytes that are HTTP no longer.

    They are kept as they come, and read as messages are asked for.
    """

    def __init__(self, wire: Line) -> None:
        """Take a connection of the client over, from the first byte after the head."""
        self._wire = wire
        self._transport = wire.transport
        self._frames = Frames(Side.CLIENT, max_size=MESSAGE_BYTES)
        self._parts: list[bytes] = []
        self._is_text = False
        self._queue: deque[Spoken] = deque()
        self._unread = bytearray()
        self._paused = self._lost = self._over = self._broken = False
        self._changed = asyncio.Event()
        wire.hand_over(self)

    @property
    def ended(self) -> tuple[int, str]:
        """Code and reason with which the upstream closed it."""
        close = self._frames.close_rcvd
        return (LOST, "") if close is None else (close.code, close.reason)

    @property
    def failure(self) -> str:
        """Why it ended, where the upstream did not close it; empty where it did."""
        error = self._frames.parser_exc
        if isinstance(error, PayloadTooBig):
            return "message_bytes"
        if self._broken or (error is not None and not isinstance(error, EOFError)):
            return "answer_malformed"
        return "answer_cut" if self._frames.close_rcvd is None else ""

    async def receive(self) -> Spoken | None:
        """Return the next message; None at the end."""
        while not self._queue and not self._over:
            if self._unread:
                self._read()
                await asyncio.sleep(0)
            elif self._lost:
                self._frames.receive_eof()
                self._over = True
            else:
                self._changed.clear()
                await self._changed.wait()
        return self._queue.popleft() if self._queue else None

    async def send(self, message: Spoken) -> None:
        """Send a message; returns when there is room for the next. Nobody hears it at the end."""
        if self._over or self._lost:
            return
        if isinstance(message, str):
            self._frames.send_text(message.encode())
        else:
            self._frames.send_binary(message)
        self._write()
        await self._wire.drain()

    def close(self, code: int, reason: str = "") -> None:
        """Say that it is over, unless that was said."""
        if not self._over:
            self._frames.send_close(code, reason)
            self._write()
            self._over = True

    def leave(self, code: int) -> None:
        """Let go of it; what the upstream does not read soon is dropped, and much of it at once."""
        self.close(code)
        if self._transport.get_write_buffer_size() > _WAITING:
            self._transport.abort()
        else:
            self._transport.close()
            asyncio.get_running_loop().call_later(_LAST_SECONDS, self._transport.abort)

    # --- what the connection says ---

    def feed_data(self, data: bytes) -> None:
        """Take bytes."""
        self._unread += data
        if len(self._unread) > _WAITING and not self._paused:
            self._paused = True
            self._wire.pause_reading()
        self._changed.set()

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        self._lost = True
        self._changed.set()

    def _read(self) -> None:
        data = bytes(self._unread[:_STEP])
        del self._unread[:_STEP]
        if self._paused and len(self._unread) <= _WAITING:
            self._paused = False
            self._wire.resume_reading()
        self._frames.receive_data(data)
        self._take()

    def _take(self) -> None:
        for event in self._frames.events_received():
            if isinstance(event, Frame) and event.opcode in _DATA:
                self._take_part(event)
        if self._frames.close_rcvd is not None or self._frames.parser_exc is not None:
            self._over = True
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            self._break(CloseCode.POLICY_VIOLATION)
        self._write()

    def _take_part(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if len(self._parts) > MESSAGE_PARTS:
            self._break(CloseCode.MESSAGE_TOO_BIG)
        if not frame.fin or self._broken:
            return
        data, self._parts = b"".join(self._parts), []
        try:
            message: Spoken = data.decode() if self._is_text else data
        except UnicodeDecodeError:
            self._break(CloseCode.INVALID_DATA)
            return
        self._queue.append(message)

    def _break(self, code: CloseCode) -> None:
        """End it: the upstream does what it must not."""
        if not self._broken:
            self._broken = self._over = True
            self._frames.fail(code)

    def _write(self) -> None:
        for data in self._frames.data_to_send():
            if data and not self._transport.is_closing():
                self._transport.write(data)
