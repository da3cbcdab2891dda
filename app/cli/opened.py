"""A connection that opens a WebSocket; loaded with the first one."""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

PARTS: Final = 1024
"""Parts in which a message may come."""

UNREAD: Final = 4 << 20
"""Bytes that may wait for a caller who does not read; whoever goes on asking then is cut off."""

_BODY: Final = "websocket.http.response.body"


class Opened(WebSocketsSansIOProtocol):
    """Uvicorn's protocol with an end to its patience.

    It takes an answer in HTTP for the end of the opening that it is; otherwise the server reports
    each refused opening as an error of the application.
    """

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        await super().send(message)
        if message["type"] == _BODY and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message; without a bound, empty ones would fill the memory."""
        if len(self.frames) < PARTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many parts")
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        """Answer a ping, unless the answers pile up."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > UNREAD:
            self.transport.abort()
