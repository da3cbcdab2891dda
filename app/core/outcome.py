"""What came of carrying out an action, and the two ways in which it can stay open."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from app.core.json_types import JsonObject, JsonValue
from app.core.ssh_plan import SshIdentity, SshPlan

STOPPED: Final = frozenset(
    {"lease_lost", "agent_frozen", "key_revoked", "key_expired", "target_disabled"}
)
"""Codes of what ends an answer that is being passed on: nobody may take it any longer."""


class NotStarted(Exception):
    """The executor proves that no byte of the action left this machine.

    ``code`` is a stable slug, ``retryable`` says whether a later try may go through.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = True) -> None:
        """Keep the slug, the message (never a secret) and whether a retry makes sense."""
        self.code = code
        self.detail = detail
        self.retryable = retryable
        super().__init__(detail)


class Ambiguous(Exception):
    """Bytes left, and no definite answer came back: nobody knows whether the action took place."""

    def __init__(self, code: str, detail: str, passed: "Passed | None" = None) -> None:
        """Keep the slug, the message (never a secret) and what the caller got by then."""
        self.code = code
        self.detail = detail
        self.passed = passed
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Passed:
    """What a caller got of an answer that was passed on while it came.

    :ivar size: bytes of its body.
    :ivar sha256: of these bytes, in hex.
    :ivar cut: why it was broken off: ``caller_left``, ``stream_seconds``, ``stream_bytes``,
        ``unreadable``; empty when it is whole.
    """

    status: int
    size: int
    sha256: str
    cut: str = ""


@dataclass(frozen=True, slots=True)
class HttpResult:
    """An upstream's whole answer, already redacted.

    :ivar status: the HTTP status code.
    :ivar headers: name and value pairs in wire order; several of one name are kept.
    :ivar body: the (decoded and, where ``truncated``, cut) body bytes.
    :ivar truncated: the body was longer than the target's limit.
    :ivar redacted: how many places were replaced.
    :ivar passed: what the caller got while it came; None when it was collected first. ``body`` is
        the same bytes where they are few, and empty where they are not kept.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool = False
    redacted: int = 0
    passed: Passed | None = None

    @property
    def kept(self) -> bool:
        """Whether ``body`` holds what came."""
        return self.passed is None or self.passed.size == len(self.body)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an executor reports when a definite answer came back.

    :ivar succeeded: the upstream answered with a status below 400.
    :ivar code: stable slug: ``ok`` or ``upstream_status``; of SSH, those of ``core.ssh_result``.
    :ivar duration_ms: from the first byte out to the last byte in.
    :ivar facts: what the record keeps of it besides.
    """

    succeeded: bool
    code: str
    duration_ms: int
    result: HttpResult
    facts: JsonObject = field(default_factory=dict[str, JsonValue])


class Content(Protocol):
    """The bytes of a body that is kept apart; they can be read again and again."""

    @property
    def sha256(self) -> str:
        """The digest that was approved, in hex."""
        ...

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order."""
        ...


@dataclass(frozen=True, slots=True)
class HttpPlan:
    """Everything an HTTP execution needs, frozen from the approved action and its target.

    :ivar base_url: ``scheme://host[:port][/prefix]`` from the target's configuration.
    :ivar path: the approved path with percent-encoding as approved; starts with ``/``.
    :ivar query: the approved raw query without ``?``.
    :ivar headers: approved headers, names in lower case.
    :ivar content: a body kept apart, instead of ``body``; it was checked against its digest.
    :ivar networks: CIDRs of private networks that the target opts in to.
    :ivar connect_seconds: limit for resolve, connect and TLS.
    :ivar total_seconds: limit for the whole exchange.
    :ivar response_bytes: cap of the decoded body.
    :ivar idle_seconds: limit between two pieces of an answer that is passed on.
    :ivar stream_seconds: limit of passing an answer on.
    :ivar stream_bytes: cap of the decoded body that is passed on.
    :ivar pass_cookies: Set-Cookie lines are part of the answer.
    :ivar request_bytes: cap of what is said over a WebSocket.
    """

    method: str
    base_url: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    networks: tuple[str, ...] = ()
    connect_seconds: float = 10.0
    total_seconds: float = 30.0
    response_bytes: int = 1_048_576
    idle_seconds: float = 60.0
    stream_seconds: float = 300.0
    stream_bytes: int = 1 << 30
    pass_cookies: bool = False
    content: Content | None = None
    request_bytes: int = 10_485_760


Plan: TypeAlias = HttpPlan | SshPlan


@dataclass(frozen=True, slots=True)
class CallParts:
    """The final call, as a signature covers it.

    :ivar authority: host and port as they stand in the Host header.
    :ivar path: with the target's prefix, percent-encoded as it goes out.
    :ivar headers: every header but Host and Content-Length, names in lower case.
    """

    method: str
    authority: str
    path: str
    query: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature adds: headers, and the values among them that are to be redacted."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What is shown in a TLS handshake: certificate chain and private key, as PEM."""

    chain: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Injection:
    """What the vault adds to a call; it lives in memory for the one call only.

    :ivar headers: injected last; they replace the agent's of the same name.
    :ivar query: injected query parameters.
    :ivar secrets: every secret value among them, for redaction.
    :ivar body: fields of the JSON body: the names on the way to each, and its value.
    :ivar handles: values of handles, by the handle as ``vault/item.field``.
    :ivar sign: makes further headers from the final call; a pure function.
    :ivar signs_body: it needs the body for that.
    :ivar certificate: shown in the TLS handshake.
    :ivar ssh: with which to log in at an SSH host.
    """

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    body: tuple[tuple[tuple[str, ...], str], ...] = field(default=(), repr=False)
    handles: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    sign: Callable[[CallParts], Signed] | None = field(default=None, repr=False)
    signs_body: bool = False
    certificate: ClientCertificate | None = field(default=None, repr=False)
    ssh: SshIdentity | None = field(default=None, repr=False)
