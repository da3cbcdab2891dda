"""Kinds that add a value as it is: bearer, basic, headers, query."""

import base64
import re
from collections.abc import Mapping
from typing import Final

from app.core.credentials.base import (
    Field,
    Kind,
    has_control,
    is_utf8,
    refuse,
    sendable_header,
)
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import Injection
from app.core.paths import header_value
from app.core.redaction import MIN_SECRET_LENGTH

_PART: Final = re.compile(r"[;,\s]+")


def _bearer(fields: Mapping[str, str], _now: Instant) -> Injection:
    token = fields["token"]
    if header_value(token) != token or " " in token:
        refuse("token", "a token is plain ASCII without blanks")
    return Injection(headers=(("authorization", f"Bearer {token}"),), secrets=(token,))


def _basic(fields: Mapping[str, str], _now: Instant) -> Injection:
    username, password = fields["username"], fields["password"]
    if ":" in username:
        refuse("username", "a user name cannot hold a colon (RFC 7617)")
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return Injection(headers=(("authorization", f"Basic {pair}"),), secrets=(password, pair))


def _headers(fields: Mapping[str, str], _now: Instant) -> Injection:
    lines = tuple(_header(name, value) for name, value in fields.items())
    if len({name for name, _ in lines}) < len(lines):
        message = "a header is named twice"
        raise InvalidField(message, pointer="/fields")
    secrets = tuple(part for _, value in lines for part in secret_parts(value))
    return Injection(headers=lines, secrets=secrets)


def _header(raw_name: str, raw_value: str) -> tuple[str, str]:
    name, value = sendable_header(raw_name, raw_name), header_value(raw_value)
    if value is None:
        refuse(raw_name, "a header's value is plain ASCII")
    return name, value


def secret_parts(value: str) -> tuple[str, ...]:
    """Return the value, what follows its scheme word, and its parts: an echo may show one alone."""
    rest = value.partition(" ")[2].strip()
    parts = [value, rest, *_PART.split(value)]
    parts += [part.partition("=")[2] for part in parts if "=" in part]
    return tuple(dict.fromkeys(part for part in parts if len(part) >= MIN_SECRET_LENGTH))


def _query(fields: Mapping[str, str], _now: Instant) -> Injection:
    for name in fields:
        if not name or has_control(name) or not is_utf8(name):
            refuse(name, "a parameter needs a name without control characters")
    return Injection(query=tuple(fields.items()), secrets=tuple(fields.values()))


BEARER: Final = Kind(
    "bearer",
    "a token, as Authorization: Bearer",
    (Field("token", "The token.", secret=True),),
    _bearer,
    lambda _: ("Authorization: ",),
)
BASIC: Final = Kind(
    "basic",
    "user name and password, as Authorization: Basic",
    (Field("username", "The user name."), Field("password", "The password.", secret=True)),
    _basic,
    lambda _: ("Authorization: ",),
)
HEADERS: Final = Kind(
    "headers",
    "one or more headers of your choice",
    (),
    _headers,
    lambda fields: tuple(f"{name}: " for name in sorted(fields)),
)
QUERY: Final = Kind(
    "query",
    "one or more query parameters of your choice",
    (),
    _query,
    lambda fields: tuple(f"?{name}=" for name in sorted(fields)),
)
