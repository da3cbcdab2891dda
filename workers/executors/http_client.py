"""The one HTTP client of the executors, on aiohttp, which is imported nowhere else.

What it promises beyond aiohttp: connections go to checked addresses only; nothing is followed,
retried, decoded, added to or read from the environment behind the caller's back; and the caller's
mark is awaited after the connection stands and before the first byte of the request leaves.

The seam for the mark is ``ClientRequest.send``: aiohttp awaits it with an open connection (name
resolved, TCP and TLS done, or one from the pool) and writes the request line inside it. The
guard around each call turns every error into our own before aiohttp's silent second try of
idempotent methods could see it.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, TypeVar

import aiohttp
from aiohttp.connector import Connection

from app.core.addresses import permitted
from app.core.outcome import Ambiguous, ClientCertificate, NotStarted
from workers.executors.checked_resolver import Resolver
from workers.executors.closing import was_closed
from workers.executors.deadline import Deadline
from workers.executors.http_call import Answer, Call, Mark
from workers.executors.identity import NewContext, showing
from workers.executors.incoming import CALLER_LEFT, STREAM_SECONDS, Incoming
from workers.executors.opening import SWITCHING, is_opened
from workers.executors.resolving import AddressRefused, Lookup, system_lookup
from workers.executors.sending import headers, payload
from workers.executors.standing import QUICK_SECONDS, Standing
from workers.executors.urls import is_literal, url_of

KEEPALIVE_SECONDS: Final = 4.0
"""Idle connections live shorter than the 5 s after which common servers hang up, so that a
request rarely meets a connection that is just being closed."""

_READ_BYTES: Final = 65_536
"""Bytes of an answer that are held before the upstream has to wait; twice that at most."""

_WARM_SECONDS: Final = KEEPALIVE_SECONDS - 1

MAX_CONNECTIONS: Final = 4096
"""Open connections per set of opted-in networks."""

_Pool = tuple[tuple[str, ...], ClientCertificate | None]
"""What connections are kept apart by: networks that may be reached, and who we are."""

_NO_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_CONNECTIONS_TRIED: Final = 3
_FIRST_FINAL_STATUS: Final = 200

_OVER: Final = {
    CALLER_LEFT: "the caller hung up before the answer was complete",
    STREAM_SECONDS: "the answer went on longer than the target's limit",
}
T = TypeVar("T")


def _nobody(_hang_up: Callable[[], None]) -> None:
    """Let nobody end the exchange."""


class HttpClient:
    """Sends calls; one per process, closed at its end."""

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        ssl_context: ssl.SSLContext | None = None,
        new_context: NewContext = ssl.create_default_context,
    ) -> None:
        """Keep how names are resolved and whom TLS trusts (the system's store by default).

        :param new_context: makes the contexts in which a client certificate is shown.
        """
        self._lookup = lookup
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._new_context = new_context
        self._sessions: dict[_Pool, aiohttp.ClientSession] = {}
        self._standing = Standing(_WARM_SECONDS)

    async def exchange(self, call: Call, mark: Mark) -> Answer:
        """Send a call and collect its answer, as :meth:`send` does."""
        return await self.send(call, mark, Incoming.collect)

    async def send(
        self,
        call: Call,
        mark: Mark,
        take: Callable[[Incoming], Awaitable[T]],
        ready: "Callable[[Callable[[], None]], None]" = _nobody,
    ) -> T:
        """Send a call and return what is made of its answer.

        :param mark: awaited once, after the connection stands and before a byte leaves; the
            total limit does not run meanwhile. What it raises is raised here.
        :param take: handed the answer when its head is there, under the total limit unless it
            extends that.
        :param ready: handed what ends the exchange at once, for a caller that is gone.
        :raises NotStarted: when no byte of the request left.
        :raises Ambiguous: when bytes left and no complete answer came.
        """
        flight = _Flight(call, mark, self._standing)
        ready(flight.hang_up)
        try:
            with Deadline(call.total_seconds) as flight.deadline:
                return await self._run(call, flight, take)
        except Exception as error:  # noqa: BLE001 - the promise holds for every error
            if not flight.left:
                self._standing.forget(call)
            raise flight.judge(error) from None
        finally:
            flight.deadline = None  # it is over: nobody can hang up any more

    def is_warm(self, base_url: str, networks: tuple[str, ...]) -> bool:
        """Whether a connection to this address still stands, or was made at once lately.

        May be asked on another thread; it looks at the clock alone.
        """
        return self._standing.has(base_url, networks)

    async def close(self) -> None:
        """Close every connection."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def _run(
        self, call: Call, flight: "_Flight", take: Callable[[Incoming], Awaitable[T]]
    ) -> T:
        url = url_of(call)
        if is_literal(call.host) and not permitted(call.host, call.networks):
            raise AddressRefused
        async with self._session((call.networks, call.certificate)).request(
            call.method,
            url,
            headers=headers(call),
            data=payload(call),
            allow_redirects=False,
            read_bufsize=_READ_BYTES,
            timeout=_connecting(call.connect_seconds),
            middlewares=(flight.guard,),
        ) as response:
            taken = await take(_read(response, call, flight))
        self._standing.note(call)
        return taken

    def _session(self, pool: _Pool) -> aiohttp.ClientSession:
        """Return the session of a set of networks and a client certificate.

        Each has its own connections: one that a target was allowed to open, or that shows a
        certificate, must not serve another target of the same host.
        """
        session = self._sessions.get(pool)
        if session is None:
            session = self._sessions[pool] = self._new_session(*pool)
        return session

    def _new_session(
        self, networks: tuple[str, ...], certificate: ClientCertificate | None
    ) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=Resolver(self._lookup, networks),
            use_dns_cache=False,
            ssl=showing(certificate, self._new_context) if certificate else self._ssl,
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NO_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,
            timeout=_NO_TIMEOUT,
        )


class _Stopped(Exception):
    """Carries an error past aiohttp, which treats some errors in ways of its own."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


class _Stale(Exception):
    """The connection died before anything was written to it."""


class _Request(aiohttp.ClientRequest):
    """A request that asks its flight before it writes."""

    flight: "_Flight | None" = None

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if self.flight is None:  # pragma: no cover - every call passes the guard
            raise _Stopped(RuntimeError("a request without a flight"))
        await self.flight.take_off(conn)
        return await super().send(conn)


class _Flight:
    """The state of one exchange: whether it left, when, and what the mark raised."""

    __slots__ = (
        *("_call", "_fault", "_mark", "_marked", "_standing", "_started", "_tls"),
        *("deadline", "left", "limit", "over"),
    )

    def __init__(self, call: Call, mark: Mark, standing: Standing) -> None:
        self._call = call
        self._mark = mark
        self._standing = standing
        self._marked = False
        self._fault: Exception | None = None
        self._tls: ssl.SSLObject | None = None
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

    async def guard(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Arm the request, and let no error through that aiohttp would answer with a retry."""
        if isinstance(request, _Request):
            request.flight = self
        for _ in range(_CONNECTIONS_TRIED):
            try:
                return await handler(request)
            except _Stale:
                continue
            except Exception as error:
                raise _Stopped(error) from error
        raise _Stopped(ConnectionResetError())

    async def take_off(self, connection: Connection) -> None:
        """Check the peer, await the mark, and leave unless the connection died meanwhile.

        :raises _Stale: when it died; nothing was written, so another connection may be tried.
        """
        await _let_hang_ups_arrive()
        _check_alive(connection)
        self._check_peer(connection)
        if not self._marked:
            if asyncio.get_running_loop().time() - self._started < QUICK_SECONDS:
                self._standing.note(self._call)
            await self._await_mark()
            self._marked = True
        if self.over:
            raise TimeoutError
        _check_alive(connection)
        self._started = asyncio.get_running_loop().time()
        self.left = True

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call left."""
        return round((asyncio.get_running_loop().time() - self._started) * 1000)

    def check_closed(self) -> None:
        """Raise where a close over TLS was not the peer's own word."""
        if self._tls is not None and not was_closed(self._tls):
            raise aiohttp.ClientPayloadError

    def judge(self, error: BaseException) -> Exception:
        """Return what to raise for an error; its own text stays out, it may hold the URL."""
        if self._fault is not None:
            return self._fault
        reason = error.reason if isinstance(error, _Stopped) else error
        if isinstance(reason, NotStarted):
            return reason
        if isinstance(reason, TimeoutError) and self.limit:
            self.over = self.over or self.limit
        if self.over:
            detail = _OVER.get(self.over, "the exchange was ended")
            known = Ambiguous if self.left else NotStarted
            return known(self.over, detail)
        return _ambiguous(reason) if self.left else _not_started(reason)

    def _check_peer(self, connection: Connection) -> None:
        """Look once more at the address that was really connected to."""
        transport = connection.transport
        peer = None if transport is None else transport.get_extra_info("peername")
        self._tls = None if transport is None else transport.get_extra_info("ssl_object")
        if peer is None or not permitted(str(peer[0]), self._call.networks):
            raise AddressRefused

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
        aiohttp.ClientConnectorCertificateError,
        *("tls_certificate", "the certificate is not trusted or is for another host", False),
    ),
    (aiohttp.ClientSSLError, "tls_failed", "TLS could not be set up", True),
    (ssl.SSLError, "tls_failed", "TLS could not be set up", True),
    (aiohttp.ClientConnectorDNSError, "dns_failed", "the host name could not be resolved", True),
    (ConnectionResetError, "connection_lost", "the connection was lost before use", True),
    (aiohttp.InvalidURL, "invalid_url", "the address is not one that can be called", False),
    (ValueError, "invalid_call", "the call cannot be written as HTTP", False),
)

_AMBIGUOUS: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (TimeoutError, "upstream_timeout", "no complete answer within the time allowed"),
    (aiohttp.ClientPayloadError, "answer_cut", "the answer broke off"),
    (aiohttp.ClientResponseError, "answer_malformed", "the answer is not valid HTTP"),
)


async def _let_hang_ups_arrive() -> None:
    """Give the loop two turns, one to poll and one to act: a kept connection may be dead."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _check_alive(connection: Connection) -> None:
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise _Stale


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


@lru_cache(64)
def _connecting(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=seconds)


def _read(response: aiohttp.ClientResponse, call: Call, flight: _Flight) -> Incoming:
    asked = response.request_info.headers
    opened = call.upgrade and response.status == SWITCHING and is_opened(asked, response.headers)
    if response.status < _FIRST_FINAL_STATUS and not opened:
        response.close()
        raise aiohttp.ClientResponseError(response.request_info, ())
    return Incoming(response, call, flight)  # pyright: ignore[reportArgumentType] - its cached properties
