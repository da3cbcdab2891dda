"""A receiver of webhooks that answers each delivery by a script, byte for byte, over real HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from standardwebhooks import Webhook, WebhookVerificationError

Key = tuple[str, str]
"""A delivery as its receiver knows it: path and id."""

_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_FLOOD: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + bytes(300_000)
TAKEN: Final = ("200", "late", "twice", "flood")
"""Words that are a success, if it comes in time."""

_LATE: Final = 1
"""How many other deliveries come before a late answer."""


@dataclass
class Storm:
    """Answers as the script of a delivery says, and 200 when that is over.

    The words of a script: a status; ``429`` asks to wait; ``302`` leads to ``trap``; ``drop`` hangs
    up, ``cut`` within an answer; ``stall`` says nothing; ``late`` answers after others, ``twice``
    two times, ``flood`` at length.

    :ivar secrets: what the subscriber of a path verifies with.
    :ivar posts: the bodies of each delivery, in order.
    :ivar rejected: what a subscriber did not believe.
    :ivar taken: what was answered with a success of its own.
    """

    script: Callable[[Key], Sequence[str]]
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    posts: dict[Key, list[bytes]] = field(default_factory=dict[Key, list[bytes]])
    rejected: list[str] = field(default_factory=list[str])
    taken: set[Key] = field(default_factory=set[Key])
    trap: str = ""
    count: int = 0
    url: str = ""
    _late: list["_Connection"] = field(default_factory=list["_Connection"])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    def take(
        self, connection: "_Connection", path: str, headers: dict[str, str], body: bytes
    ) -> None:
        """Take one POST, and do what its script says."""
        try:
            Webhook(self.secrets[path]).verify(body.decode(), headers)
        except WebhookVerificationError as error:
            self.rejected.append(f"{path}: {error}")
        key = (path, headers["webhook-id"])
        bodies = self.posts.setdefault(key, [])
        bodies.append(body)
        script = self.script(key)
        word = script[len(bodies) - 1] if len(bodies) <= len(script) else "200"
        if word in TAKEN:
            self.taken.add(key)
        self._act(connection, word)
        self.count += 1
        self._news.set()

    def _act(self, connection: "_Connection", word: str) -> None:
        if word == "late":
            self._late.append(connection)
        elif word in ("drop", "cut"):
            connection.say(b"HTTP/1.1 200 OK\r\ncontent-le" if word == "cut" else b"")
            connection.close()
        elif word != "stall":
            connection.say(self._answer(word))
        if len(self._late) > _LATE:
            self._late.pop(0).say(_OK)

    def _answer(self, word: str) -> bytes:
        known = {"200": _OK, "twice": _OK + _OK, "flood": _FLOOD}
        more = {"429": "retry-after: 30\r\n", "302": f"location: {self.trap}\r\n"}.get(word, "")
        plain = f"HTTP/1.1 {word} Odd\r\n{more}content-length: 0\r\n\r\n"
        return known.get(word) or plain.encode()

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, looking after each POST."""
        async with asyncio.timeout(seconds):
            while not done():
                self._news.clear()
                await self._news.wait()


class _Connection(asyncio.Protocol):
    """One connection: reads POSTs with a length, one after the other."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode().split("\r\n")
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            whole = end + 4 + int(headers["content-length"])
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._storm.take(self, first.split(" ")[1], headers, body)

    def say(self, data: bytes) -> None:
        """Send something, if anybody is there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
