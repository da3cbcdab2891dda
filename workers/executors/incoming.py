"""An answer that is coming in: its head is there, its body is read as it is wanted."""

from typing import TYPE_CHECKING, Final, Protocol

from workers.executors.answer_head import Head
from workers.executors.deadline import Deadline
from workers.executors.decoding import CappedBody
from workers.executors.http_call import Answer, Call
from workers.executors.wire import Wire

if TYPE_CHECKING:
    from workers.executors.upgraded import Upgraded

CALLER_LEFT: Final = "caller_left"
"""Code of an exchange that was ended because nobody waits for it any more."""

STREAM_SECONDS: Final = "stream_seconds"
"""Code of an exchange that was ended because it went on longer than the target lets it."""


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


class Incoming:
    """An answer whose head is there; its body is still to be read.

    :ivar headers: name and value in wire order, names as sent.
    :ivar coding: the Content-Encoding as sent; empty for none.
    :ivar length: bytes that the body has on the wire; None where that is not said.
    """

    def __init__(self, wire: Wire, head: Head, call: Call, flight: Flight) -> None:
        """Look at the head."""
        self._wire = wire
        self._call = call
        self._flight = flight
        self._head = head
        self.headers = tuple([text_of(name, value) for name, value in head.lines])
        self.coding = ", ".join(head.values("content-encoding"))
        self.length = wire.length

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self._head.status

    @property
    def arrived(self) -> bool:
        """Whether all of it is here, so that reading does not wait."""
        return self._wire.arrived

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call left."""
        return self._flight.elapsed_ms()

    async def read(self) -> bytes:
        """Return what came since, at least a byte; nothing is the end of the body."""
        return await self._wire.read()

    def upgraded(self) -> "Upgraded":
        """Return the WebSocket that the connection became."""
        from workers.executors.upgraded import Upgraded  # noqa: PLC0415 - few targets grant one

        return Upgraded(self._wire)

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
        self._wire.abort()

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


def text_of(name: bytes, value: bytes) -> tuple[str, str]:
    """Return a header line as text; what is no UTF-8 is Latin-1, as in older servers.

    A character that was replaced instead would hide the secret around it from redaction.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return name.decode("ascii", "replace"), text
