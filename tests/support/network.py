"""No test reaches beyond this machine: Python's sockets connect and look names up on loopback only.

Child processes and drivers in C have their own sockets; they get loopback addresses from fixtures.
"""

import ipaddress
import sys
from typing import Any

_LOCAL = frozenset({"", "localhost", "ip6-localhost"})


class OutsideError(RuntimeError):
    """A test tried to reach beyond this machine."""


def is_local(host: object) -> bool:
    """Return whether a host is this machine."""
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if text in _LOCAL:
        return True
    try:
        return ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(address[0]):  # a path is a Unix socket
            message = f"tests may not connect to {address[0]}"
            raise OutsideError(message)
    elif event == "socket.getaddrinfo" and not is_local(arguments[0]):
        try:
            ipaddress.ip_address(arguments[0])
        except ValueError:
            message = f"tests may not look up {arguments[0]}"
            raise OutsideError(message) from None


def stay_inside() -> None:
    """Refuse the rest of the world from now on, in this process."""
    sys.addaudithook(_watch)
