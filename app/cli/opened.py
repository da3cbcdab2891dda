"""A connection that opens a WebSocket; loaded with the first one."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from app.core.ports import MESSAGE_PARTS, UNREAD_BYTES

PIECE: Final = 8192
"""Bytes that are taken before others have their turn: they may be a thousand empty messages."""

_BODY: Final = "websocket.http.response.body"
_CLOSE: Final = "websocket.close"
_UNREADABLE: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Opened(WebSocketsSansIOProtocol):
    """Uvicorn's protocol with an end to its patience.

    It takes an answer in HTTP for the end of the opening that it is; otherwise the server reports
    each refused opening as an error of the application.
    """

    _unfed = b""
    _feeding = False

    def data_received(self, data: bytes) -> None:
        """Take bytes, a few at a time, between which others have their turn."""
        self._unfed += data
        if not self._feeding:
            self._feed()

    def _feed(self) -> None:
        piece, self._unfed = self._unfed[:PIECE], self._unfed[PIECE:]
        self._take(piece)
        again, self._feeding = self._feeding, bool(self._unfed)
        if self.transport.is_closing():
            self._unfed = b""
        elif self._feeding:
            self.transport.pause_reading()
            self.loop.call_soon(self._feed)
        elif again and not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return what came next; no more is read while there are bytes to take."""
        message = await super().receive()
        if self._feeding and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def _take(self, data: bytes) -> None:
        """Take bytes; an opening that cannot be read (one with a body, say) is refused at once."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(_UNREADABLE)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send what the application says; who does not read is not waited for at the end."""
        if message["type"] == _CLOSE and not await self._has_room():
            self.transport.abort()
            return
        await super().send(message)
        if message["type"] == _BODY and not message.get("more_body", False):
            self.handshake_complete = True
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    async def _has_room(self) -> bool:
        try:
            async with asyncio.timeout(self.close_timeout):
                await self.writable.wait()
        except TimeoutError:
            return False
        return True

    def keepalive_timeout(self) -> None:
        """End it; what a caller who is not there has not read is dropped."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message, of which there may be so many."""
        if len(self.frames) < MESSAGE_PARTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many parts")
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """End it; before it is open, there is nothing to say so with."""
        if self.conn.close_sent is None:
            self.transport.abort()
        else:
            super().handle_parser_exception()

    def handle_ping(self) -> None:
        """Answer a ping, unless the answers pile up."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > UNREAD_BYTES:
            self.transport.abort()
