"""How long and how much a client may talk before it has said what it wants (slow or endless calls).

Uvicorn bounds neither the head of a call nor the time that a call takes to arrive; whoever can
connect could hold memory and sockets without a key.
"""

import asyncio
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.cli.gathering import Gathering
from app.cli.writing import Cycle
from app.web.gateway import HOME
from app.web.headers import PUT

MOST: Final = 65_536
"""Bytes of a call's line and headers."""

ARRIVE: Final = 60.0
"""Seconds that a whole call may take to arrive; also those of a silent connection."""

PACE: Final = 16_384.0
"""Bytes of content that give a call another second to arrive."""

LOOKS: Final = 4
"""How often a connection is found closed and not gone before it is cut off."""

STUCK: Final = 20
"""How often the same bytes are found waiting for a caller before it is hung up on: five minutes
in which it took nothing, while most of what the system holds for it was there to be taken."""

_LOOK: Final = 15.0
_GATEWAY: Final = HOME.encode()
_OPENING: Final = frozenset({b"sec-websocket-key", b"sec-websocket-version"})
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Patient(HttpToolsProtocol):
    """Uvicorn's protocol with an end to its patience."""

    _in_head = True
    _fruitless = 0
    _since: float | None = None
    _watch: asyncio.TimerHandle | None = None
    _closing = _stuck = _waiting = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        gathering = Gathering(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", gathering))
        self._extensions = {PUT: gathering.put}
        self._since = self.loop.time()
        self._watch = self.loop.call_later(_LOOK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; too many that are no content (a head, chunk sizes, trailers) end it."""
        if self._since is None:
            self._since = self.loop.time()
            super().data_received(data)
            return
        self._fruitless += len(data)
        super().data_received(data)
        if self._fruitless > MOST and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE if self._in_head else b"")
            self.transport.close()

    def on_message_begin(self) -> None:
        """Note when a call began to arrive."""
        self._since = self.loop.time()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, which come after the content, are nobody's business here."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Count anew: what comes now is content.

        A target in absolute form (``GET http://…``) keeps its whole text as the raw path, so that
        a door that looks at that sees it (T43).
        """
        self._in_head, self._fruitless = False, 0
        super().on_headers_complete()
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None:  # none where it opens a WebSocket
            cycle.__class__ = Cycle
        self.scope["extensions"] = cast("dict[str, dict[object, object]]", self._extensions)
        if not self.url.startswith(b"/"):
            self.scope["raw_path"] = self.url

    def on_body(self, body: bytes) -> None:
        """Take content; a call that goes on arriving at a fair pace has longer."""
        self._fruitless = 0
        if self._since is not None:
            self._since = min(self._since + len(body) / PACE, self.loop.time())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no longer, what takes time now is ours; what comes next is another head."""
        self._since = None
        self._in_head, self._fruitless = True, 0
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """Whether a call opens a WebSocket at the gateway; anything else goes on as it is."""
        says = {name for name, _ in self.headers}
        busy = self.limit_concurrency is not None and (
            len(self.connections) >= self.limit_concurrency
        )
        cycle = cast("RequestResponseCycle | None", self.cycle)
        answered = cycle is None or cycle.response_complete
        return (
            not busy
            and answered
            and self.url.startswith(_GATEWAY)
            and (self.scope["method"], self.scope["http_version"]) == ("GET", "1.1")
            and self._get_upgrade() == b"websocket"
            and says >= _OPENING
        )

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a protocol of WebSockets; it is still looked after here."""
        from app.cli.opened import Opened  # noqa: PLC0415 - few need it

        self.ws_protocol_class = Opened
        super().handle_websocket_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for another protocol goes on in this one, or is refused."""

    def _is_stuck(self) -> bool:
        """Whether a caller takes nothing of what is said to it."""
        before, self._waiting = self._waiting, self.transport.get_write_buffer_size()
        self._stuck = self._stuck + 1 if before and before == self._waiting else 0
        return self._stuck > STUCK

    def _look(self) -> None:
        late = self._since is not None and self.loop.time() - self._since > ARRIVE
        if self.transport.is_closing():
            self._closing += 1
            if self._closing > LOOKS:  # what was written last is not read
                self.transport.abort()
                return
        elif late or self._is_stuck():
            self.transport.close()
        self._watch = self.loop.call_later(_LOOK, self._look)
