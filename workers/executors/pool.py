"""Makes connections to checked addresses, and keeps those that may carry another call (T49)."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aiohappyeyeballs

from app.core.addresses import permitted
from app.core.outcome import ClientCertificate
from workers.executors.identity import PROTOCOLS, NewContext, showing
from workers.executors.places import Place, is_literal
from workers.executors.resolving import AddressRefused, Lookup, checked_addresses
from workers.executors.wire import Wire

KEEPALIVE_SECONDS: Final = 4.0
"""Idle connections live shorter than the 5 s after which common servers hang up, so that a
request rarely meets a connection that is just being closed."""

MAX_CONNECTIONS: Final = 4096
"""Open connections at most."""

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long one address is tried before the next one is as well (RFC 8305, section 5)."""

_CLOSING_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 1.0
_MOST_CONTEXTS: Final = 64
_Info = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class NameUnknown(Exception):
    """The host name has no address, or nobody could be asked."""


class Crowded(Exception):
    """As many connections are open as may be."""


class Pool:
    """Connections by place; the one that was used last is the next one to be used."""

    def __init__(
        self, lookup: Lookup, ssl_context: ssl.SSLContext | None, new_context: NewContext
    ) -> None:
        """Keep how names are resolved, whom TLS trusts, and how a certificate is shown."""
        self._lookup = lookup
        self._new_context = new_context
        self._contexts: dict[ClientCertificate | None, ssl.SSLContext] = {}
        if ssl_context is not None:
            self._contexts[None] = ssl_context
        self._idle: dict[Place, list[tuple[Wire, float]]] = {}
        self._open: set[Wire] = set()
        self._coming = 0
        self._timer: asyncio.TimerHandle | None = None
        self._none_open = asyncio.Event()

    def take(self, place: Place) -> Wire | None:
        """Return a connection that was left there, if one still stands."""
        wires, now = self._idle.get(place), asyncio.get_running_loop().time()
        while wires:
            wire, since = wires.pop()
            if wire.alive and now - since < KEEPALIVE_SECONDS:
                return wire
            wire.close()
        return None

    def give(self, place: Place, wire: Wire) -> None:
        """Take a connection back: for the next call, or to close it."""
        arrived, loop = wire.arrived, asyncio.get_running_loop()
        if not wire.rest():
            wire.close(at_once=not arrived)
            return
        self._idle.setdefault(place, []).append((wire, loop.time()))
        if self._timer is None:
            self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def connect(self, place: Place) -> Wire:
        """Return a new connection.

        :raises AddressRefused: an address of the host may not be reached.
        :raises NameUnknown: it has none.
        :raises Crowded: as many are open as may be.
        :raises OSError: nobody answers there, or TLS could not be set up (``ssl.SSLError``).
        """
        if len(self._open) + self._coming >= MAX_CONNECTIONS:
            raise Crowded
        self._coming += 1
        try:
            wire = await self._connected(place)
        finally:
            self._coming -= 1
        if wire.alive:
            self._open.add(wire)
            self._none_open.clear()
        return wire

    async def _connected(self, place: Place) -> Wire:
        loop = asyncio.get_running_loop()
        context = self._context(place.certificate) if place.tls else None
        infos = [_info(address, place.port) for address in await self._addresses(place)]
        sock = await _raced(infos, loop)
        _check_peer(sock, place)
        _, wire = await loop.create_connection(
            lambda: Wire(self._lost),
            sock=sock,
            ssl=context,
            server_hostname=place.host if place.tls else None,
        )
        return wire

    async def close(self) -> None:
        """Close every connection, and wait until they are gone."""
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for wire in [*self._open]:
            wire.abort()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._none_open.wait(), _CLOSING_SECONDS)

    async def _addresses(self, place: Place) -> Sequence[str]:
        if is_literal(place.host):
            if not permitted(place.host, place.networks):
                raise AddressRefused
            return (place.host,)
        try:
            return await checked_addresses(self._lookup, place.host, place.port, place.networks)
        except OSError as error:
            raise NameUnknown from error

    def _context(self, certificate: ClientCertificate | None) -> ssl.SSLContext:
        """Return the context in which a certificate is shown, or none."""
        context = self._contexts.get(certificate)
        if context is None:
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts = {None: self._context(None)}
            if certificate is None:
                context = self._new_context()
                context.set_alpn_protocols(list(PROTOCOLS))
            else:
                context = showing(certificate, self._new_context)
            self._contexts[certificate] = context
        return context

    def _lost(self, wire: Wire) -> None:
        self._open.discard(wire)
        if not self._open:
            self._none_open.set()

    def _sweep(self) -> None:
        """Close what nobody used for so long."""
        self._timer, loop = None, asyncio.get_running_loop()
        old = loop.time() - KEEPALIVE_SECONDS
        for place, wires in [*self._idle.items()]:
            for wire in [wire for wire, since in wires if since <= old or not wire.alive]:
                wire.close()
            self._idle[place] = [one for one in wires if one[1] > old and one[0].alive]
            if not self._idle[place]:
                del self._idle[place]
        if self._idle:
            self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep)


def _info(address: str, port: int) -> _Info:
    kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    if ":" in address:
        return (socket.AF_INET6, *kind, (address, port, 0, 0))
    return (socket.AF_INET, *kind, (address, port))


async def _raced(infos: Sequence[_Info], loop: asyncio.AbstractEventLoop) -> socket.socket:
    """Return a socket that is connected to the first address that answers.

    The library swallows a cancellation that comes when the race is won and not over yet.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    sock = await aiohappyeyeballs.start_connection(
        infos, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
    )
    if task.cancelling() > before:
        sock.close()
        raise asyncio.CancelledError
    return sock


def _check_peer(sock: socket.socket, place: Place) -> None:
    """Look once more at the address that was really connected to; what fails here is closed.

    :raises AddressRefused: it is not permitted.
    :raises OSError: the peer is gone already.
    """
    try:
        if not permitted(str(sock.getpeername()[0]), place.networks):
            raise AddressRefused  # noqa: TRY301 - closed like any other
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
