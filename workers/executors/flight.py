"""The state of one exchange: whether it left, when, and what came in between (EXE-2)."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from app.core.outcome import Ambiguous, NotStarted
from workers.executors.deadline import Deadline
from workers.executors.http_call import Mark
from workers.executors.incoming import CALLER_LEFT, STREAM_SECONDS
from workers.executors.pool import Crowded, NameUnknown
from workers.executors.reading import Cut, Malformed
from workers.executors.resolving import AddressRefused
from workers.executors.sending import ContentChanged
from workers.executors.wire import Wire

MARK_SECONDS: Final = 1.0
"""How long what the mark looked at is good for, where another connection has to be made."""

_OVER: Final = {
    CALLER_LEFT: "the caller hung up before the answer was complete",
    STREAM_SECONDS: "the answer went on longer than the target's limit",
}


class Flight:
    """One exchange, from its mark to its answer.

    :ivar deadline: when it is over.
    :ivar left: a byte may have left.
    :ivar limit: why, when the deadline ends it.
    :ivar over: why it was ended.
    """

    __slots__ = ("_fault", "_mark", "_marked_at", "_started", "deadline", "left", "limit", "over")

    def __init__(self, mark: Mark) -> None:
        """Begin; ``mark`` is awaited before a byte leaves."""
        self._mark = mark
        self._marked_at: float | None = None
        self._fault: Exception | None = None
        self._started = asyncio.get_running_loop().time()
        self.deadline: Deadline | None = None
        self.left = False
        self.limit = ""
        self.over = ""

    def hang_up(self, why: str = CALLER_LEFT) -> None:
        """End the exchange at once."""
        self.over = self.over or why
        if self.deadline is not None and self.deadline.when() is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())

    async def take_off(self, wire: Wire, ready: Callable[[float], None]) -> bool:
        """Await the mark once, and leave unless the connection died meanwhile.

        :param ready: told the seconds that it took until the connection stood.
        :returns: False when it died; nothing was written, so another one may be tried.
        :raises ConnectionResetError: that took so long that the mark is too old.
        """
        loop = asyncio.get_running_loop()
        await _let_hang_ups_arrive()
        if not wire.alive:
            return False
        if self._marked_at is None:
            ready(loop.time() - self._started)
            await self._await_mark()
            self._marked_at = loop.time()
        elif loop.time() - self._marked_at > MARK_SECONDS:
            raise ConnectionResetError
        if self.over:
            raise TimeoutError
        if not wire.alive:
            return False
        self._started = loop.time()
        self.left = True
        return True

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call left."""
        return round((asyncio.get_running_loop().time() - self._started) * 1000)

    def judge(self, error: Exception) -> Exception:
        """Return what to raise for an error; its own text stays out, it may hold the URL."""
        if self._fault is not None:
            return self._fault
        if isinstance(error, NotStarted) and not self.left:
            return error
        if isinstance(error, TimeoutError) and self.limit:
            self.over = self.over or self.limit
        if self.over:
            detail = _OVER.get(self.over, "the exchange was ended")
            known = Ambiguous if self.left else NotStarted
            return known(self.over, detail)
        return _ambiguous(error) if self.left else _not_started(error)

    async def _await_mark(self) -> None:
        """Await the mark with the total limit stopped: the store has limits of its own."""
        loop, deadline = asyncio.get_running_loop(), self.deadline
        due = None if deadline is None else deadline.when()
        asked = loop.time()
        if deadline is not None:
            deadline.reschedule(None)
        try:
            await self._mark()
        except Exception as error:
            self._fault = error
            raise
        if deadline is not None and due is not None:
            deadline.reschedule(due + loop.time() - asked)


_NOT_STARTED: Final[tuple[tuple[type[BaseException], str, str, bool], ...]] = (
    (AddressRefused, "address_not_allowed", "the host has an address that is not allowed", False),
    (TimeoutError, "connect_timeout", "no connection within the time allowed", True),
    (
        ssl.SSLCertVerificationError,
        *("tls_certificate", "the certificate is not trusted or is for another host", False),
    ),
    (ssl.SSLError, "tls_failed", "TLS could not be set up", True),
    (NameUnknown, "dns_failed", "the host name could not be resolved", True),
    (Crowded, "connections_used_up", "as many connections are open as may be", True),
    (ConnectionResetError, "connection_lost", "the connection was lost before use", True),
    (ValueError, "invalid_call", "the call cannot be written as HTTP", False),
)

_AMBIGUOUS: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (TimeoutError, "upstream_timeout", "no complete answer within the time allowed"),
    (Cut, "answer_cut", "the answer broke off"),
    (Malformed, "answer_malformed", "the answer is not valid HTTP"),
    (ContentChanged, "body_changed", "the stored body is not the one that was approved"),
)


async def _let_hang_ups_arrive() -> None:
    """Give the loop two turns, one to poll and one to act: a kept connection may be dead."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _not_started(reason: BaseException) -> NotStarted:
    for kind, code, detail, retryable in _NOT_STARTED:
        if isinstance(reason, kind):
            return NotStarted(code, detail, retryable=retryable)
    return NotStarted("connect_failed", "the connection could not be made")


def _ambiguous(reason: BaseException) -> Ambiguous:
    for kind, code, detail in _AMBIGUOUS:
        if isinstance(reason, kind):
            return Ambiguous(code, detail)
    return Ambiguous("connection_lost", "the connection was lost before the answer was complete")
