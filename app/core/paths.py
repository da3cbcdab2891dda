"""One parser for what an agent and an operator write about an HTTP call (T43, T45).

Policies, the approval card and the upstream all see the bytes that come out of here; whatever
two parsers could read differently is refused instead of repaired.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from app.core.errors import InvalidAction, InvalidField

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that an HTTP action may use; CONNECT, TRACE and inventions are refused."""

WEBSOCKET: Final = "WEBSOCKET"
"""What rules call the opening of a WebSocket (RFC 6455): no method of HTTP has this name, so that
a rule for GET never lets one pass. On the wire it is a GET."""

CALLS: Final = METHODS | {WEBSOCKET}
"""Everything that rules may name beside methods."""

MAX_TARGET_BYTES: Final = 8192
"""Longest path with query, in bytes."""

MAX_HEADERS: Final = 64
"""Most header lines that an action may carry."""

MAX_HEADER_BYTES: Final = 8192
"""Longest header line that an action may carry, name and value together."""

MAX_HEADERS_BYTES: Final = 32_768
"""Longest sum of an action's header lines."""

TRANSPORT_HEADERS: Final = frozenset(
    {"host", "content-length", "connection", "keep-alive", "accept-encoding", "te"}
)
"""Headers that HTTP libraries send on their own: a door drops them, an action refuses them."""

FRAMING_HEADERS: Final = TRANSPORT_HEADERS | {
    *("transfer-encoding", "upgrade", "trailer", "expect", "http2-settings", "max-forwards"),
    *("proxy-authorization", "proxy-authenticate", "proxy-connection", "set-cookie"),
}
"""Headers that neither an agent nor a credential may set."""

_REFUSED_HEADERS: Final = FRAMING_HEADERS | {
    *("authorization", "cookie", "cookie2", "set-cookie2", "forwarded", "via"),
    *("x-http-method", "x-http-method-override", "x-method-override", "x-method"),
    *("x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip"),
    *("x-cluster-client-ip", "x-remote-ip", "x-remote-addr", "x-originating-ip"),
    *("range", "if-range", "accept-charset", "content-encoding"),
    *("atproto-proxy", "stripe-account", "stripe-context", "x-goog-user-project"),
    *("x-host", "x-rewrite-url", "x-original-url", "x-original-uri", "x-original-host"),
}
_SINGLE: Final = frozenset(
    {"content-type", "content-language", "content-disposition", "user-agent", "idempotency-key",
     "origin", "referer", "date", "if-match", "if-none-match"}
)  # fmt: skip
"""Headers of which readers take different ones when there are two."""

_REFUSED_PREFIXES: Final = ("proxy-", "x-forwarded", "x-original-", "x-rewrite-")

_PATH: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,=:@/%]+")
_QUERY: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,=:@/%;?\[\]]*")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEEDLESS: Final = re.compile(r"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[DdEe]|5[Ff]|7[Ee])")
"""An escape of a letter, a digit or one of ``-._~`` (RFC 3986 section 2.3)."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DECODINGS: Final = 3
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_BASE_URL: Final = re.compile(r"(https?)://([^/?#\s\\]+)(/[^?#\s\\]*)?", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME: Final = 253
_MAX_PORT: Final = 65_535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Where a target lives, in normal form.

    :ivar scheme: ``http`` or ``https``.
    :ivar host: a name in lower-case ASCII (punycode) or an address, without brackets.
    :ivar port: 1 to 65535, the scheme's own when none was given.
    :ivar prefix: path prefix without a trailing slash; empty for none.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """The host, bracketed where needed, with the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The normal form: equal places have equal texts."""
        return f"{self.scheme}://{self.authority}{self.prefix}"


def parse_target_path(raw: str, pointer: str = "/path") -> tuple[str, str]:
    """Split an action's path from its query and refuse what could be read in two ways.

    The escapes stay byte for byte as they came (RFC 3986, section 2.4 is left to the upstream).

    :returns: the path and the raw query without ``?``.
    :raises InvalidAction: when the path is not absolute, has dot or empty segments, encoded
        separators or control bytes at any depth of encoding, path parameters, a fragment,
        characters that need encoding, or more than :data:`MAX_TARGET_BYTES`.
    """
    if len(raw) > MAX_TARGET_BYTES:
        _refuse(f"the path is longer than {MAX_TARGET_BYTES} bytes", pointer)
    path, _, query = raw.partition("?")
    _check_characters(raw, path, query, pointer)
    _check_levels(path, pointer)
    if "%00" in query:
        _refuse("the query holds a NUL byte", pointer)
    return path, query


def _refuse(message: str, pointer: str) -> NoReturn:
    raise InvalidAction(message, pointer=pointer) from None


def _check_characters(raw: str, path: str, query: str, pointer: str) -> None:
    if not path.startswith("/"):
        _refuse("the path must start with one slash; leave out scheme and host", pointer)
    if "#" in raw:
        _refuse("the path must not hold a fragment", pointer)
    if ";" in path:
        _refuse("path parameters (;) are not accepted", pointer)
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        _refuse("percent-encode everything but plain URL characters", pointer)
    if _BAD_ESCAPE.search(raw):
        _refuse("a % must be followed by two hexadecimal digits", pointer)


def _check_levels(path: str, pointer: str) -> None:
    """Look at the path as it came and as each further decoding would read it."""
    segments = path[1:].split("/")
    if "" in segments[:-1]:
        _refuse("empty path segments (//) are not accepted", pointer)
    for segment in segments:
        _check_segment(segment, pointer)
    if _NEEDLESS.search(path):
        _refuse("letters, digits and - . _ ~ stand in a path without percent-encoding", pointer)


def _check_segment(segment: str, pointer: str) -> None:
    level = segment
    for _ in range(_DECODINGS):
        if _is_dots(level):
            _refuse("dot segments (. and ..) are not accepted", pointer)
        if "%" not in level:
            return
        decoded = _decoded(level, pointer)
        if decoded == level:
            return
        level = decoded
    _refuse("the path is percent-encoded too many times", pointer)


def _is_dots(segment: str) -> bool:
    name = unicodedata.normalize("NFKC", segment).partition(";")[0]
    return name.strip() in {".", ".."}


def _decoded(segment: str, pointer: str) -> str:
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        _refuse("the path must be UTF-8 once decoded", pointer)
    folded = unicodedata.normalize("NFKC", text)
    if "/" in folded or "\\" in folded:
        _refuse("encoded separators are not accepted in the path", pointer)
    if _CONTROL.search(text):
        _refuse("control characters are not accepted in the path", pointer)
    return text


known_target_path: Final = lru_cache(256)(parse_target_path)
"""The same, remembered: an agent's calls often have the same path, and each is read twice."""


@lru_cache(1024)
def parse_base_url(raw: str, pointer: str = "/base_url") -> BaseUrl:
    """Parse where a target lives.

    :raises InvalidField: unless it is http or https with a host name or a strict address, an
        optional port and an optional path prefix; credentials, query, fragment and numeric
        oddities such as ``127.1`` or ``0x7f000001`` are refused.
    """
    match = _BASE_URL.fullmatch(raw)
    place = _AUTHORITY.fullmatch(match[2]) if match else None
    if match is None or place is None:
        message = "write http://host or https://host, with an optional port and path, nothing more"
        raise InvalidField(message, pointer=pointer)
    scheme = match[1].lower()
    port = int(place[2]) if place[2] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= _MAX_PORT:
        message = "the port must be from 1 to 65535"
        raise InvalidField(message, pointer=pointer)
    return BaseUrl(scheme, _host(place[1], pointer), port, _prefix(match[3] or "", pointer))


def _prefix(raw: str, pointer: str) -> str:
    trimmed = raw.removesuffix("/")
    if trimmed:
        try:
            parse_target_path(trimmed)
        except InvalidAction as error:
            raise InvalidField(error.detail, pointer=pointer) from None
    return trimmed


def _host(raw: str, pointer: str) -> str:
    try:
        return str(IPv6Address(raw[1:-1])) if raw.startswith("[") else _name(raw)
    except (AddressValueError, UnicodeError):
        message = "the host must be a name or a plain IP address"
        raise InvalidField(message, pointer=pointer) from None


def _name(raw: str) -> str:
    """Return a host name in lower-case ASCII; IDNA folds odd letters and digits first."""
    name = raw.encode("idna").decode("ascii").lower().removesuffix(".")
    labels = name.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return str(IPv4Address(name))
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnicodeError
    return name


def header_name(raw: str) -> str | None:
    """Return a header's name in lower case, or nothing when it breaks RFC 9110's grammar."""
    return raw.lower() if _TOKEN.fullmatch(raw) else None


def header_value(raw: str) -> str | None:
    """Return a header's value without outer blanks, or nothing when it is not plain ASCII."""
    return raw.strip(" \t") if _VALUE.fullmatch(raw) else None


def is_framing(name: str) -> bool:
    """Tell whether a header (lower case) steers the connection or the message's framing."""
    plain = name.replace("_", "-")
    return plain in FRAMING_HEADERS or plain.startswith("proxy-")


def request_headers(
    headers: Iterable[tuple[str, str]], pointer: str = "/headers"
) -> tuple[tuple[str, str], ...]:
    """Return an action's headers with lower-case names, in the given order.

    Refused are framing, hop-by-hop, forwarding, method-override and credential headers, those
    that ask for an answer in parts or in another encoding (a secret in it would not be found),
    names with ``_``, and repeated ones: what remains describes the content or the application.

    :raises InvalidAction: with the pointer of the offending line.
    """
    lines = list(headers)
    size = sum(len(name) + len(value) for name, value in lines)
    if len(lines) > MAX_HEADERS or size > MAX_HEADERS_BYTES:
        _refuse("there are too many headers or they are too long", pointer)
    found = tuple(_line(*line, f"{pointer}/{place}") for place, line in enumerate(lines))
    for place, (name, _) in enumerate(found):
        if name in _SINGLE and any(name == other for other, _ in found[:place]):
            _refuse(f"the header {name} is given twice", f"{pointer}/{place}")
    return found


def _line(raw_name: str, raw_value: str, pointer: str) -> tuple[str, str]:
    name, value = header_name(raw_name), header_value(raw_value)
    if name is None or value is None or len(name) + len(value) > MAX_HEADER_BYTES:
        _refuse("a header needs a plain name and a short value of plain ASCII", pointer)
    if "_" in name:
        _refuse("a header's name is written with - instead of _", pointer)
    plain = name
    if plain in _REFUSED_HEADERS or plain.startswith(_REFUSED_PREFIXES):
        _refuse(f"the header {name} cannot be set by an action", pointer)
    return name, value


known_request_headers: Final = lru_cache(64)(request_headers)
"""The same of a tuple, remembered; never for lines that hold what the vault adds."""
