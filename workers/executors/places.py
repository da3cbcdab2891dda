"""Where a connection goes, and by what connections are kept apart (T43, T49)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.core.outcome import ClientCertificate, NotStarted
from workers.executors.http_call import Call

_PORTS: Final = {"http": 80, "https": 443}
_MOST_PORT: Final = 65_535
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """An end of a connection, and under which conditions it was made.

    A connection that a target was allowed to open, or that shows a certificate, must not serve
    another target of the same host.
    """

    host: str
    port: int
    tls: bool
    networks: tuple[str, ...]
    certificate: ClientCertificate | None = None


def place_of(call: Call) -> Place:
    """Return where a call goes.

    :raises NotStarted: its authority is not the host it was checked for.
    """
    port = _port(call.scheme, call.authority, call.host)
    return Place(call.host, port, call.scheme == "https", call.networks, call.certificate)


def is_literal(host: str) -> bool:
    """Whether the host is an address."""
    return ":" in host or host.rpartition(".")[2].isdigit()


@lru_cache(256)
def _port(scheme: str, authority: str, host: str) -> int:
    found = _AUTHORITY.fullmatch(authority)
    port = 0 if found is None else int(found[2] or _PORTS.get(scheme, 0))
    if found is None or found[1].strip("[]") != host or not 0 < port <= _MOST_PORT:
        code, detail = "invalid_url", "the address is not the one that was checked"
        raise NotStarted(code, detail, retryable=False)
    return port
