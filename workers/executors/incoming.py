"""An answer that is coming in: its head is there, its body is read as it is wanted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from workers.executors.closing import ends_by_close
from workers.executors.deadline import Deadline
from workers.executors.decoding import CappedBody
from workers.executors.http_call import Answer, Call

if TYPE_CHECKING:
    from workers.executors.upgraded import Upgraded

_BODILESS: Final = frozenset({204, 304})

CALLER_LEFT: Final = "caller_left"
"""Code of an exchange that was ended because nobody waits for it any more."""

STREAM_SECONDS: Final = "stream_seconds"
"""Code of an exchange that was ended because it went on longer than the target lets it."""


class _Headers(Protocol):
    def getall(self, key: str, default: tuple[str, ...]) -> Sequence[str]: ...
    def get(self, key: str, default: str) -> str: ...


class _Content(Protocol):
    async def readany(self) -> bytes: ...
    def is_eof(self) -> bool: ...


class Response(Protocol):
    """The little that is used of the client library's answer."""

    status: int

    @property
    def headers(self) -> _Headers: ...  # noqa: D102 - the library's
    @property
    def raw_headers(self) -> Sequence[tuple[bytes, bytes]]: ...  # noqa: D102
    @property
    def content(self) -> _Content: ...  # noqa: D102
    @property
    def connection(self) -> Any: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Flight(Protocol):
    """The exchange that the answer belongs to.

    :ivar deadline: when it is over.
    :ivar limit: why, when the deadline ends it.
    :ivar over: why it was ended.
    """

    deadline: Deadline | None
    limit: str
    over: str

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call left."""
        ...

    def check_closed(self) -> None:
        """Raise the library's error of a body that was cut, unless the peer said that it ends."""
        ...


class Incoming:
    """An answer whose head is there; its body is still to be read.

    :ivar headers: name and value in wire order, names as sent.
    :ivar coding: the Content-Encoding as sent; empty for none.
    :ivar length: bytes that the body has on the wire; None where that is not said.
    """

    def __init__(self, response: Response, call: Call, flight: Flight) -> None:
        """Look at the head."""
        self._response = response
        self._call = call
        self._flight = flight
        self.headers = tuple(text_of(name, value) for name, value in response.raw_headers)
        self.coding = ", ".join(response.headers.getall("Content-Encoding", ()))
        bodiless = call.method == "HEAD" or response.status in _BODILESS
        self.length = 0 if bodiless else _length(response)
        self._open = not bodiless and self.length is None and ends_by_close(response.headers)

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self._response.status

    @property
    def arrived(self) -> bool:
        """Whether all of it is here, so that reading does not wait."""
        return self._response.content.is_eof()

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call left."""
        return self._flight.elapsed_ms()

    async def read(self) -> bytes:
        """Return what came since, at least a byte; nothing is the end of the body."""
        piece = await self._response.content.readany()
        if self._open and not piece:
            self._flight.check_closed()
        return piece

    def upgraded(self) -> "Upgraded":
        """Return the WebSocket that the connection became."""
        from workers.executors.upgraded import Upgraded  # noqa: PLC0415 - few targets grant one

        return Upgraded(self._response.connection.protocol)

    def due(self, at: float | None, why: str) -> None:
        """Set the time of the loop at which the exchange is over, and why it is then.

        What was ended stays ended, however much comes in until that is noticed.
        """
        if self._flight.deadline is None or self._flight.over:
            return
        self._flight.deadline.reschedule(at)
        self._flight.limit = why

    def close(self) -> None:
        """Want no more of it; the connection is not used again."""
        self._response.close()

    async def collect(self, begun: bytes = b"", beyond: int = 0) -> Answer:
        """Read the body to its end, or to the cap.

        :param begun: what was read of it before.
        :param beyond: bytes that are kept beyond the cap.
        """
        head = self._call.method == "HEAD"
        cap = 0 if head else self._call.read_bytes + beyond
        body = CappedBody("" if head else self.coding, cap)
        piece = begun or await self.read()
        while piece:
            if not body.feed(piece):
                self.close()
                break
            piece = await self.read()
        return Answer(
            status=self.status,
            headers=self.headers,
            body=body.finish(),
            truncated=body.truncated,
            decoded=body.decoded,
            duration_ms=self.elapsed_ms(),
        )


def _length(response: Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def text_of(name: bytes, value: bytes) -> tuple[str, str]:
    """Return a header line as text; what is no UTF-8 is Latin-1, as in older servers.

    A character that was replaced instead would hide the secret around it from redaction.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return name.decode("ascii", "replace"), text
