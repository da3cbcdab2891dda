"""The gateway: a WebSocket with sessions that can be resumed."""

import asyncio
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.support.discord_faults import News
from tests.support.discord_people import JSON
from tests.support.discord_world import World

GUILDS: Final = 1 << 0
GUILD_MESSAGES: Final = 1 << 9
DIRECT_MESSAGES: Final = 1 << 12
PRIVILEGED: Final = 1 << 1 | 1 << 8 | 1 << 15

DISPATCH: Final = 0
HEARTBEAT: Final = 1
IDENTIFY: Final = 2
RESUME: Final = 6
RECONNECT: Final = 7
INVALID_SESSION: Final = 9
HELLO: Final = 10
HEARTBEAT_ACK: Final = 11
_IGNORED: Final = (3, 4, 8)


class Line:
    """One connection; ``zlib-stream`` is compressed, what else is asked for comes as text."""

    def __init__(self, request: web.Request) -> None:
        """Prepare for a request."""
        self.socket = web.WebSocketResponse(compress=False, timeout=0.2)
        self.request = request
        self.session: Session | None = None
        self.compress = request.query.get("compress", "")
        self._zlib = zlib.compressobj()

    async def send(self, op: int, data: object = None, **more: object) -> None:
        """Send a payload; a connection that is gone hears nothing."""
        text = json.dumps({"op": op, "d": data, "s": None, "t": None, **more})
        with suppress(ConnectionError):
            if self.compress == "zlib-stream":
                packed = self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(packed)
            else:
                await self.socket.send_str(text)

    def drop(self) -> None:
        """Break the connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(eq=False)
class Session:
    """What one application process has identified for.

    :ivar events: every event that was meant for it, sent or not.
    """

    id: str
    intents: int
    identify: JSON
    line: Line | None = None
    events: list[JSON] = field(default_factory=list[JSON])
    resumes: int = 0


class Gateway:
    """Serves the WebSocket.

    :ivar sessions: those that can be resumed, by id, oldest first.
    :ivar acks: whether heartbeats are acknowledged.
    :ivar identifies: how many sessions were begun.
    :ivar heartbeats: how many came.
    :ivar privileged: the privileged intents that the application was granted.
    """

    def __init__(self, world: World, news: News) -> None:
        """Speak of a world."""
        self.world = world
        self.news = news
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.lines: list[Line] = []
        self.acks = True
        self.heartbeat_interval = 41.25
        self.identifies = 0
        self.heartbeats = 0
        self.privileged = 0

    @property
    def connected(self) -> list[Session]:
        """The sessions that have a connection now."""
        return [session for session in self.sessions.values() if session.line is not None]

    async def dispatch(self, event: str, data: JSON, intents: int = 0) -> None:
        """Send an event to every session that asked for it; those away hear it on resuming."""
        for session in list(self.sessions.values()):
            if not intents or session.intents & intents:
                await self._event(session, event, data)

    async def reconnect(self) -> None:
        """Ask every connection to go and to resume elsewhere (op 7)."""
        for line in list(self.lines):
            await line.send(RECONNECT)

    async def invalidate(self, *, resumable: bool = False) -> None:
        """Declare every session invalid (op 9)."""
        lines = list(self.lines)
        if not resumable:
            self.sessions.clear()
        for line in lines:
            await line.send(INVALID_SESSION, resumable)

    async def ask_heartbeat(self) -> None:
        """Ask every connection for a heartbeat at once."""
        for line in list(self.lines):
            await line.send(HEARTBEAT)

    async def close(self, code: int = 4000) -> None:
        """Close every connection with a code."""
        for line in list(self.lines):
            await line.socket.close(code=code)

    def drop(self) -> None:
        """Break every connection without a word."""
        for line in list(self.lines):
            line.drop()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        line = Line(request)
        await line.socket.prepare(request)
        self.lines.append(line)
        try:
            await line.send(HELLO, {"heartbeat_interval": int(self.heartbeat_interval * 1000)})
            await self._listen(line)
        finally:
            self.lines.remove(line)
            self._gone(line)
            await self.news.tell()
        return line.socket

    def _gone(self, line: Line) -> None:
        session = line.session
        if session is None or session.line is not line:
            return
        session.line = None
        if line.socket.close_code in {1000, 1001}:
            self.sessions.pop(session.id, None)

    async def _listen(self, line: Line) -> None:
        while not line.socket.closed:
            try:
                message = await line.socket.receive(timeout=self.heartbeat_interval * 2)
            except TimeoutError:
                await line.socket.close(code=4009)
                return
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                return
            code = await self._heard(line, message.data)
            await self.news.tell()
            if code:
                await line.socket.close(code=code)

    async def _heard(self, line: Line, text: str | bytes) -> int:
        """Handle a payload; return the code to close with, or 0."""
        try:
            payload: JSON = json.loads(text)
            op: Any = payload["op"]
            data: Any = payload.get("d")
        except (ValueError, TypeError, KeyError):
            return 4002
        if op == HEARTBEAT:
            return await self._heartbeat(line)
        if op == IDENTIFY:
            return await self._identify(line, data)
        if op == RESUME:
            return await self._resume(line, data)
        if op in _IGNORED:
            return 0 if line.session else 4003
        return 4001

    async def _heartbeat(self, line: Line) -> int:
        self.heartbeats += 1
        if self.acks:
            await line.send(HEARTBEAT_ACK)
        return 0

    async def _identify(self, line: Line, data: JSON) -> int:
        if line.session is not None:
            return 4005
        if data.get("token") != self.world.token:
            return 4004
        intents = int(data["intents"])
        if intents & PRIVILEGED & ~self.privileged:
            return 4014
        self.identifies += 1
        session = Session(f"session-{self.identifies}", intents, data, line)
        line.session = self.sessions[session.id] = session
        await self._event(session, "READY", self._ready(session))
        guilds = self.world.bot_guilds() if intents & GUILDS else []
        for guild in guilds:
            at = [x for x in self.world.channels.values() if x.guild is guild and x.visible]
            await self._event(session, "GUILD_CREATE", guild.create_json(self.world.bot, at))
        return 0

    def _ready(self, session: Session) -> JSON:
        world = self.world
        return {
            "v": 10,
            "user": world.bot.json() | {"verified": True, "mfa_enabled": False, "email": None},
            "guilds": [{"id": str(at.id), "unavailable": True} for at in world.bot_guilds()],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": session.identify.get("shard") or [0, 1],
            "application": {"id": str(world.bot.id), "flags": 0},
            "private_channels": [],
            "relationships": [],
            "presences": [],
        }

    async def _resume(self, line: Line, data: JSON) -> int:
        if data.get("token") != self.world.token:
            return 4004
        session = self.sessions.get(str(data.get("session_id")))
        if session is None:
            await line.send(INVALID_SESSION, data=False)
            return 0
        if int(data.get("seq") or 0) > len(session.events):
            return 4007
        session.line = line
        line.session = session
        session.resumes += 1
        for event in session.events[int(data.get("seq") or 0) :]:
            await line.send(**event)
        await self._event(session, "RESUMED", {"_trace": []})
        return 0

    async def _event(self, session: Session, event: str, data: JSON) -> None:
        number = len(session.events) + 1
        payload: JSON = {"op": DISPATCH, "data": data, "s": number, "t": event}
        session.events.append(payload)
        if session.line is not None:
            await session.line.send(**payload)


async def closed(gateway: Gateway) -> None:
    """End every connection, as the vendor goes away."""
    await asyncio.gather(*(line.socket.close(code=1001) for line in list(gateway.lines)))
