"""Finds the addresses of a host and lets none through that may not be reached (T49)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app.core.addresses import permitted

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a host name and a port, returns addresses as text; raises ``OSError`` when it fails."""

MAX_ADDRESSES: Final = 8
"""Addresses of one name that are tried at most."""


class AddressRefused(Exception):
    """One of the host's addresses may not be connected to."""


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a thread."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


async def checked_addresses(
    lookup: Lookup, host: str, port: int, networks: Sequence[str]
) -> Sequence[str]:
    """Return the addresses of a host name.

    All of them must be permitted: a name with one good and one bad answer is an attack or a
    mistake, and which of them is connected to would be chance.

    :raises AddressRefused: when one is not permitted.
    :raises OSError: when the name has no address.
    """
    found = await lookup(host, port)
    if not found:
        raise OSError(socket.EAI_NONAME, "the name has no address")
    if not all(permitted(address, networks) for address in found):
        raise AddressRefused
    return found[:MAX_ADDRESSES]
