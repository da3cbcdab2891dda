"""Reads one answer off its connection (RFC 9112), strictly: what is not plain is refused (T46).

The parser is llhttp's, by ``httptools``, without its lenient modes. What it leaves open is decided
here: the methods and statuses without a body, interim answers, how much a head may hold, and what
follows an answer. A body whose length is known is counted here and passes by the parser.
"""

from collections import deque
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from workers.executors.answer_head import Head

HEAD_BYTES: Final = 65_536
"""Bytes of the lines of a head, and of what may come without anything of a body."""

_TOGETHER: Final = 65_536
"""Bytes that are worth one piece."""

_BODILESS: Final = frozenset({204, 304})
_CONTINUE, _SWITCHING, _FINAL = 100, 101, 200
_STATUSES: Final = range(_CONTINUE, 600)
"""What a status may be (RFC 9110, section 15); no server writes another one to a caller."""

_VERSIONS: Final = frozenset({"1.0", "1.1"})
_CHUNKED: Final = ("chunked",)


class Malformed(Exception):
    """What came is not an answer in HTTP/1.1, or none to what was asked."""


class Cut(Exception):
    """The connection ended before the answer did."""


class Reading:
    """One answer while it comes in; methods named ``on_`` are the parser's.

    :ivar head: status and lines, once they are there.
    :ivar length: bytes of the body; None where nothing says so before its end.
    :ivar waiting: bytes of the body that nobody has taken yet.
    :ivar ended: all of the body is here.
    :ivar reusable: the connection may carry another exchange now.
    :ivar after: what followed the head of an answer that switches protocols.
    """

    __slots__ = (
        *("_bodiless", "_chunked", "_held", "_keeps", "_left", "_lines", "_parser", "_pieces"),
        *("_refused", "_silent", "_upgrade", "after", "ended", "head", "length", "reusable"),
        *("switched", "waiting"),
    )

    def __init__(self, *, bodiless: bool = False, upgrade: bool = False) -> None:
        """Expect an answer.

        :param bodiless: it has no body whatever its head says (RFC 9110, section 9.3.2).
        :param upgrade: it may switch protocols.
        """
        self._parser = HttpResponseParser(self)
        self._bodiless = bodiless
        self._upgrade = upgrade
        self._lines: list[tuple[bytes, bytes]] = []
        self._pieces: deque[bytes] = deque()
        self._held = self._silent = 0
        self._left = 0
        self._chunked = self._keeps = self._refused = False
        self.head: Head | None = None
        self.length: int | None = None
        self.waiting = 0
        self.ended = self.reusable = self.switched = False
        self.after = b""

    @property
    def by_close(self) -> bool:
        """Whether nothing but the close says where the body ends (RFC 9112, section 6.3)."""
        return self.length is None and not self._chunked

    def feed(self, data: bytes) -> None:
        """Take bytes off the connection.

        :raises Malformed: they are no answer.
        """
        if self.ended:
            self.reusable = False
        elif self._left:
            self._count(data)
        elif self.switched:
            self.after += data
        else:
            self._parse(data)

    def eof(self) -> None:
        """Take the end of the connection.

        :raises Cut: the answer was to go on.
        :raises ConnectionResetError: it had not begun.
        """
        self.reusable = False
        if self.head is None:
            raise ConnectionResetError
        if self.ended or self.switched:
            return
        if not self.by_close:
            raise Cut
        self.ended = True

    def take(self) -> bytes:
        """Return what came of the body: small pieces together, large ones as they came."""
        pieces = self._pieces
        if self.waiting <= _TOGETHER:
            taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
        else:
            taken = self._first()
        self.waiting -= len(taken)
        return taken

    def close(self) -> None:
        """Read no more: the parser, which holds this as this holds it, is let go of."""
        del self._parser

    def _first(self) -> bytes:
        """Take the first piece, with those after it that are small."""
        pieces = self._pieces
        taken = [pieces.popleft()]
        size = len(taken[0])
        while pieces and size + len(pieces[0]) <= _TOGETHER:
            size += len(pieces[0])
            taken.append(pieces.popleft())
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _count(self, data: bytes) -> None:
        body = data if len(data) <= self._left else data[: self._left]
        self._left -= len(body)
        self._keep(body)
        if not self._left:
            self.ended = True
            self.reusable = self._keeps and len(body) == len(data)

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self.waiting += len(data)

    def _parse(self, data: bytes) -> None:
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._silent, self.after = 0, data[upgrade.args[0] :]
        except HttpParserError:
            self._refused, self.reusable = not self.ended, False
        if self._refused or (self._silent > HEAD_BYTES and not self.ended):
            raise Malformed

    # --- what the parser says ---

    def on_message_begin(self) -> None:
        """Take a second answer for what it is: nobody asked for it."""
        if self.ended:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line; what follows a body in chunks is not kept."""
        if self.head is not None:
            return
        self._held += len(name) + len(value)
        if self._held > HEAD_BYTES:
            self._refused = True
            return
        plain = value.strip(b" \t")
        if plain != value and name.lower() == b"transfer-encoding":
            self._refused = True  # the parser may read another coding than is read here
            return
        self._lines.append((name, plain))

    def on_headers_complete(self) -> None:
        """Judge a head."""
        if self.head is not None:  # of a second answer
            return
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if self._refused or version not in _VERSIONS or status not in _STATUSES:
            self._refused = True
        elif status == _SWITCHING:
            self._switch(status)
        elif status < _FINAL:
            self._lines = []
        else:
            self._begin(Head(status, tuple(self._lines)))

    def on_chunk_header(self) -> None:
        """Take a chunk after the end for one too many, also where it is the last and empty."""
        if self.ended:
            self.reusable = False

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.ended:
            self.reusable = False
            return
        self._silent = 0
        self._keep(data)
        if self.length is not None:
            self._left -= len(data)

    def on_message_complete(self) -> None:
        """Note the end, unless it is one of an interim answer."""
        if self.head is not None and not self.switched and not self.ended:
            self.ended, self.reusable = True, self._keeps

    def _switch(self, status: int) -> None:
        if self._upgrade and self._parser.should_upgrade():
            self.switched, self.head = True, Head(status, tuple(self._lines))
        else:
            self._refused = True

    def _begin(self, head: Head) -> None:
        """Find out where the body of a final answer ends.

        Whoever sends chunks by HTTP/1.0 is not followed any further (RFC 9112, section 6.1).
        """
        codings = head.values("transfer-encoding")
        if codings and tuple(map(str.lower, codings)) != _CHUNKED:
            self._refused = True
            return
        self.head, self._silent = head, 0
        self._chunked = bool(codings)
        doubtful = self._chunked and self._parser.get_http_version() != "1.1"
        self._keeps = self._parser.should_keep_alive() and not doubtful
        lengths = head.values("content-length")
        if self._bodiless or head.status in _BODILESS:
            self.length, self.ended, self.reusable = 0, True, self._keeps
        elif lengths:
            self._left = self.length = int(lengths[0])
