"""One HTTP exchange as values: what goes out, what comes back, and the mark in between."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app.core.outcome import ClientCertificate, Content

Mark = Callable[[], Awaitable[None]]
"""Awaited just before the first byte leaves; when it raises, nothing is sent."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP exchange, complete to the byte.

    :ivar authority: host and port as they stand in the URL and the Host header.
    :ivar host: the host without brackets, for the address check.
    :ivar target: path and query, percent-encoded as it shall go out.
    :ivar headers: every header but Host and Content-Length.
    :ivar read_bytes: how much of the decoded body is kept.
    :ivar content: a body that is read while it is sent, instead of ``body``.
    :ivar networks: CIDRs that this call may reach besides public addresses.
    :ivar certificate: shown in the TLS handshake; such calls have connections of their own.
    :ivar upgrade: it opens a WebSocket.
    :ivar secrets: everything that is to be redacted in the answer, signatures too.
    """

    method: str
    scheme: str
    authority: str
    host: str
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    read_bytes: int
    connect_seconds: float
    total_seconds: float
    networks: tuple[str, ...] = ()
    certificate: ClientCertificate | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    content: Content | None = None
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream answered.

    :ivar headers: name and value in wire order, names as sent.
    :ivar decoded: a Content-Encoding was taken off the body.
    :ivar duration_ms: from the mark to the last byte in.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    decoded: bool
    duration_ms: int
