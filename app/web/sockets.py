"""A caller's end of a WebSocket, opened through the gateway (GW-1, T60).

The opening is a call like every other: it passes the same guard, door, policies and record, and is
answered as HTTP (ASGI's ``websocket.http.response``) unless the upstream takes it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from starlette.types import Message, Receive, Scope, Send

from app.web.relaying import Lines, encoded, nothing

SOCKET: Final = "assentry.socket"
"""Where the scope of an opening holds its :class:`Socket`."""

_HTTP: Final = "http.response."
_PROTOCOL: Final = "sec-websocket-protocol"
_FAILED: Final = (1011, "failed")
_NOWHERE: Final = 1005
_LEAVING: Final = 1.0
"""Seconds within which the leaving of a caller who is gone is heard."""


class Socket:
    """What the server holds for one opening.

    :ivar open: it was taken; what is answered from then on can be nothing but an end.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        """Keep the server's ends."""
        self.receive = receive
        self.send = send
        self.open = False

    def relay(self, request_id: str) -> "SocketRelay":
        """Return what an executor talks to, for the request that the opening became."""
        return SocketRelay(self, request_id)

    async def answer(self, message: Message) -> None:
        """Answer the opening as HTTP; of an open one, an error is its end."""
        if not self.open:
            await self._tell({**message, "type": f"websocket.{message['type']}"})
        elif message["type"] == f"{_HTTP}start":
            await self.close(*_FAILED)

    async def close(self, code: int, reason: str) -> None:
        """End it."""
        await self._tell({"type": "websocket.close", "code": code, "reason": reason})

    async def _tell(self, message: Message) -> None:
        """Say how it ended; whoever is gone does not hear it."""
        with suppress(OSError):  # the server's word for a caller who is not there
            await self.send(message)


class SocketRelay:
    """Talks to the caller (``core.ports.Conversation``).

    :ivar begun: it is open.
    :ivar hang_up: ends the exchange with the upstream; set by who carries it out.
    :ivar left: the code with which the caller left.
    :ivar ending: the code and reason with which it is closed.
    """

    def __init__(self, socket: Socket, request_id: str) -> None:
        """Talk over a socket, whose opening became the given request."""
        self._socket = socket
        self._request_id = request_id
        self._gone = False
        self.begun = False
        self.hang_up: Callable[..., None] = nothing
        self.left = _NOWHERE
        self.ending = (1000, "")

    async def begin(self, status: int, headers: Lines, length: int | None) -> None:  # noqa: ARG002
        """Take the caller's opening, with the subprotocol that the upstream chose.

        :raises OSError: the caller is gone.
        """
        lines = encoded(headers, self._request_id)
        chosen = [value for name, value in headers if name == _PROTOCOL]
        accept = {
            "type": "websocket.accept",
            "subprotocol": chosen[0] if chosen else None,
            "headers": [line for line in lines if not line[0].startswith(b"sec-websocket-")],
        }
        try:
            await self._socket.send(accept)
        except OSError:
            self.hang_up()
            raise
        self.begun = self._socket.open = True

    async def heard(self) -> str | bytes | None:
        """Return the caller's next message; None when it left."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            self._gone, self.left = True, message.get("code") or _NOWHERE
            return None
        text = message.get("text")
        return message["bytes"] if text is None else text

    async def say(self, message: str | bytes) -> None:
        """Say a message; who is gone does not hear it.

        It is heard leaving; unless nobody listens, because the upstream takes nothing more.
        """
        if self._gone:
            return
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            await self._socket.send({"type": "websocket.send", kind: message})
        except OSError:  # the server's word for a caller who closed it
            self._gone = True
            asyncio.get_running_loop().call_later(_LEAVING, self.hang_up)

    async def end(self) -> None:
        """Close it, unless the caller did."""
        if not self._gone:
            await self._socket.close(*self.ending)


async def opened_by(scope: Scope, receive: Receive, send: Send) -> tuple[Scope, Receive, Send]:
    """Return an opening as a call of the gateway: its scope, and what receives and answers it.

    A caller's leaving shows once it is open; until then the target's limits end the wait.
    """
    await receive()  # ASGI: an opening begins with a message that says so
    socket = Socket(receive, send)
    return {**scope, "type": "http", "method": "GET", SOCKET: socket}, _never, socket.answer


async def _never() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError
