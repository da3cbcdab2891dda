"""Connections of control calls: each resolved address is checked, and that one is used (T49)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import httpcore
import httpx
from httpcore import AsyncNetworkBackend, AsyncNetworkStream
from httpcore._backends.auto import AutoBackend

from app.core.addresses import permitted

Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
MAX_CONNECTIONS: Final = 64


class AddressRefused(httpcore.ConnectError):
    """The name leads to an address that may not be connected to."""


async def system_lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class CheckedBackend(AsyncNetworkBackend):
    """Connects to permitted addresses only; the name is resolved once, and that answer is used."""

    def __init__(
        self, networks: tuple[str, ...], lookup: Lookup = system_lookup, *, inside: bool = False
    ) -> None:
        """Keep the networks that the receiver's owner opted in to.

        :param inside: nothing else is connected to, public addresses neither.
        """
        self._inner = AutoBackend()
        self._networks = networks
        self._lookup = lookup
        self._inside = inside

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first permitted address of a host.

        :raises AddressRefused: one of its addresses is not permitted, or there is none.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._lookup(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(type(error).__name__) from None
        if not addresses or not all(map(self._permits, addresses)):
            raise AddressRefused
        return await self._inner.connect_tcp(
            addresses[0], port, timeout, local_address, socket_options
        )

    def _permits(self, address: str) -> bool:
        return permitted(address, self._networks) and not (self._inside and permitted(address))

    async def connect_unix_socket(self, *_args: Any, **_kwargs: Any) -> AsyncNetworkStream:
        """Refuse.

        :raises AddressRefused: always.
        """
        raise AddressRefused

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def transport(
    networks: tuple[str, ...], lookup: Lookup, *, inside: bool = False
) -> httpx.AsyncHTTPTransport:
    """Return an httpx transport over checked connections: no proxies, no HTTP/2."""
    made = httpx.AsyncHTTPTransport(trust_env=False)
    made._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - httpx has no door for a backend
        ssl_context=httpx.create_ssl_context(trust_env=False),
        max_connections=MAX_CONNECTIONS,
        keepalive_expiry=30.0,
        network_backend=CheckedBackend(networks, lookup, inside=inside),
    )
    return made
