"""Socket Mode: the WebSockets of an application that has no public address."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.support.slack_answer import Answer
from tests.support.slack_faults import Call, News
from tests.support.slack_people import JSON
from tests.support.slack_world import World

_MOST: Final = 10
_HOST: Final = "applink-played"


@dataclass(eq=False)
class Connection:
    """One WebSocket.

    :ivar leaving: it was told to disconnect and gets nothing more.
    :ivar pings: how often the client pinged; ``pongs``: how often it answered a ping.
    :ivar acks: every ack that came, by envelope id.
    :ivar odd: everything else that came.
    """

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    leaving: bool = False
    pings: int = 0
    pongs: int = 0
    acks: dict[str, JSON] = field(default_factory=dict[str, Any])
    envelopes: list[JSON] = field(default_factory=list[JSON])
    odd: list[str] = field(default_factory=list[str])

    def take(self, text: str) -> None:
        """Take what the client says."""
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if isinstance(said, dict) and "envelope_id" in said:
            self.acks[str(said["envelope_id"])] = said
        else:
            self.odd.append(text)

    @property
    def is_live(self) -> bool:
        """Whether envelopes can be sent over it."""
        return not self.leaving and not self.socket.closed


class Sockets:
    """Keeps the connections.

    :ivar connections: every connection that there ever was, in order.
    :ivar tickets: addresses given out and not used; each opens one connection.
    :ivar deadline: seconds that the application has to acknowledge.
    """

    def __init__(self, world: World, news: News) -> None:
        """Nobody is connected yet."""
        self.world = world
        self.news = news
        self.url = ""
        self.connections: list[Connection] = []
        self.tickets: set[str] = set()
        self.deadline = 3.0
        self._made = 0
        self._sent = 0

    @property
    def live(self) -> list[Connection]:
        """The connections that envelopes can be sent over."""
        return [one for one in self.connections if one.is_live]

    def new_url(self) -> str:
        """Return an address that opens one connection."""
        self._made += 1
        ticket = hashlib.sha256(f"ticket{self._made}".encode()).hexdigest()[:32]
        self.tickets.add(ticket)
        return f"{self.url}?ticket={ticket}&app_id={self.world.app.id}"

    def accept(self, call: Call) -> web.Response:
        """Check the ticket of a new connection."""
        ticket = call.text("ticket")
        good = ticket in self.tickets and len(self.live) < _MOST
        self.tickets.discard(ticket)
        call.status = 101 if good else 400
        return web.Response(status=200 if good else 400)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Keep a connection until it ends."""
        socket = web.WebSocketResponse(autoping=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = Connection(len(self.connections) + 1, socket, request)
        self.connections.append(connection)
        await socket.send_json(self._hello())
        await self.news.tell()
        async for message in socket:
            await self._take(connection, message.type, message.data)
            await self.news.tell()
        await self.news.tell()
        return socket

    def _hello(self) -> JSON:
        return {
            "type": "hello", "num_connections": len(self.live),
            "debug_info": {
                "host": _HOST, "build_number": 1, "approximate_connection_time": 18_060,
            },
            "connection_info": {"app_id": self.world.app.id},
        }  # fmt: skip

    async def _take(self, connection: Connection, kind: WSMsgType, data: Any) -> None:
        if kind is WSMsgType.PING:
            connection.pings += 1
            await connection.socket.pong(data)
        elif kind is WSMsgType.PONG:
            connection.pongs += 1
        elif kind is WSMsgType.TEXT:
            connection.take(data)

    async def deliver(self, kind: str, payload: JSON, retry: tuple[int, str] | None) -> Answer:
        """Send an envelope over one of the connections and wait for its acknowledgement.

        Connections take turns. One that is coming up is waited for.

        :param retry: number and reason of a repetition.
        """
        try:
            live = await self.news.wait_for(lambda: self.live, self.deadline)
        except TimeoutError:
            return Answer(0, error="no connection")
        self._sent += 1
        connection = live[self._sent % len(live)]
        envelope = self._envelope(kind, payload, retry)
        connection.envelopes.append(envelope)
        name: str = envelope["envelope_id"]
        try:
            await connection.socket.send_json(envelope)
            ack = await self.news.wait_for(_ack(connection, name), self.deadline)
        except (TimeoutError, ConnectionError) as error:
            return Answer(0, error=repr(error))
        body = ack.get("payload")
        return Answer(200, "" if body is None else json.dumps(body))

    def _envelope(self, kind: str, payload: JSON, retry: tuple[int, str] | None) -> JSON:
        self._made += 1
        digest = hashlib.sha256(f"envelope{self._made}".encode()).hexdigest()
        name = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        envelope: JSON = {
            "envelope_id": name, "type": kind, "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }  # fmt: skip
        if kind != "events_api":
            return envelope
        number, reason = retry or (0, "")
        return {**envelope, "retry_attempt": number, "retry_reason": reason}

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to make way for a new one; ``warning`` is only the announcement."""
        for connection in self.live:
            connection.leaving = reason != "warning"
            debug = {"host": _HOST}
            await connection.socket.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": debug}
            )
        await self.news.tell()

    async def drop(self) -> None:
        """Break every connection without a word."""
        for connection in self.live:
            connection.leaving = True
            if connection.request.transport is not None:
                connection.request.transport.abort()
        await self.news.tell()

    async def ping(self, seconds: float = 5.0) -> None:
        """Ping every connection and wait for the answers."""
        for connection in self.live:
            before = connection.pongs
            await connection.socket.ping(b"Ping from " + _HOST.encode())
            await self.news.wait_for(_answered(connection, before), seconds)

    async def close(self) -> None:
        """End every connection."""
        async with asyncio.TaskGroup() as group:
            for connection in self.connections:
                if not connection.socket.closed:
                    group.create_task(connection.socket.close())


def _ack(connection: Connection, name: str) -> Callable[[], JSON | None]:
    return lambda: connection.acks.get(name)


def _answered(connection: Connection, before: int) -> Callable[[], bool]:
    return lambda: connection.pongs > before
