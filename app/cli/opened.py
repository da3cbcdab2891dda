"""A connection that opens a WebSocket; loaded with the first one."""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_BODY: Final = "websocket.http.response.body"


class Opened(WebSocketsSansIOProtocol):
    """Uvicorn's protocol, which takes an answer in HTTP for the end of the opening that it is.

    Otherwise the server reports each refused opening as an error of the application.
    """

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        await super().send(message)
        if message["type"] == _BODY and not message.get("more_body", False):
            self.handshake_complete = True
