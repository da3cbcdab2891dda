"""Turns a credential's fields into what is added to a call (GW-3). Values never leave repr."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final, NoReturn

from app.core.errors import InvalidField
from app.core.outcome import Injection
from app.core.paths import header_name, header_value, is_framing
from app.core.redaction import MARK, MIN_SECRET_LENGTH

MAX_FIELDS: Final = 16
"""Most headers or query parameters that one credential may hold."""

MAX_VALUE: Final = 8192
"""Longest value of a field, in characters."""

_PART: Final = re.compile(r"[;,\s]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class CredentialKind(StrEnum):
    """How a credential is added to a call."""

    BEARER = "bearer"
    BASIC = "basic"
    HEADERS = "headers"
    QUERY = "query"


_FIELDS: Final[Mapping[CredentialKind, tuple[str, ...]]] = {
    CredentialKind.BEARER: ("token",),
    CredentialKind.BASIC: ("username", "password"),
    CredentialKind.HEADERS: (),
    CredentialKind.QUERY: (),
}


def required_fields(kind: CredentialKind) -> tuple[str, ...]:
    """Return the field names of a kind; empty where the names are the owner's choice."""
    return _FIELDS[kind]


def build_injection(kind: CredentialKind, fields: Mapping[str, str]) -> Injection:
    """Return what a credential adds to a call, and the values to redact in its answer.

    :param fields: for ``bearer`` and ``basic`` those of :func:`required_fields`; for ``headers``
        a value for each header name, for ``query`` a value for each parameter name.
    :raises InvalidField: for missing, surplus, malformed or too short (under
        :data:`~app.core.redaction.MIN_SECRET_LENGTH`) fields, with the field's pointer.
    """
    _check_names(kind, fields)
    for name, value in fields.items():
        _check_value(name, value, secret=not _is_public(kind, name))
    return _BUILDERS[kind](fields)


def injected_names(
    kind: CredentialKind, field_names: Iterable[str], handle: str
) -> tuple[str, ...]:
    """Return what a person may see of an injection, such as ``Authorization: <github-prod>``.

    :param handle: the credential's name, shown where the value will stand.
    """
    match kind:
        case CredentialKind.BEARER | CredentialKind.BASIC:
            return (f"Authorization: <{handle}>",)
        case CredentialKind.HEADERS:
            return tuple(f"{name}: <{handle}>" for name in field_names)
        case CredentialKind.QUERY:
            return tuple(f"?{name}=<{handle}>" for name in field_names)


def _refuse(name: str, message: str) -> NoReturn:
    escaped = name.replace("~", "~0").replace("/", "~1")
    raise InvalidField(message, pointer=f"/fields/{escaped}")


def _is_public(kind: CredentialKind, name: str) -> bool:
    return kind is CredentialKind.BASIC and name == "username"


def _check_names(kind: CredentialKind, fields: Mapping[str, str]) -> None:
    expected = required_fields(kind)
    for name in expected:
        if name not in fields:
            _refuse(name, f"a {kind} credential needs the field {name}")
    for name in fields:
        if expected and name not in expected:
            _refuse(name, f"a {kind} credential has no such field")
    if not 1 <= len(fields) <= MAX_FIELDS:
        message = f"give from 1 to {MAX_FIELDS} fields"
        raise InvalidField(message, pointer="/fields")


def _check_value(name: str, value: str, *, secret: bool) -> None:
    if len(value) > MAX_VALUE or _CONTROL.search(value) or not _is_utf8(value):
        _refuse(name, f"use at most {MAX_VALUE} characters, none of them control characters")
    if secret and len(value.strip()) < MIN_SECRET_LENGTH:
        message = f"use at least {MIN_SECRET_LENGTH} characters: shorter ones cannot be redacted"
        _refuse(name, message)
    if secret and (MARK in value or value in MARK):
        _refuse(name, f"the value cannot be told from the mark {MARK}")


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bearer(fields: Mapping[str, str]) -> Injection:
    token = fields["token"]
    if header_value(token) != token or " " in token:
        _refuse("token", "a token is plain ASCII without blanks")
    return Injection(headers=(("authorization", f"Bearer {token}"),), secrets=(token,))


def _basic(fields: Mapping[str, str]) -> Injection:
    username, password = fields["username"], fields["password"]
    if ":" in username:
        _refuse("username", "a user name cannot hold a colon (RFC 7617)")
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return Injection(headers=(("authorization", f"Basic {pair}"),), secrets=(password, pair))


def _headers(fields: Mapping[str, str]) -> Injection:
    lines = tuple(_header(name, value) for name, value in fields.items())
    if len({name for name, _ in lines}) < len(lines):
        message = "a header is named twice"
        raise InvalidField(message, pointer="/fields")
    secrets = tuple(part for _, value in lines for part in _secret_parts(value))
    return Injection(headers=lines, secrets=secrets)


def _header(raw_name: str, raw_value: str) -> tuple[str, str]:
    name, value = header_name(raw_name), header_value(raw_value)
    if name is None or is_framing(name):
        _refuse(raw_name, "no credential can be sent in a header of this name")
    if value is None:
        _refuse(raw_name, "a header's value is plain ASCII")
    return name, value


def _secret_parts(value: str) -> tuple[str, ...]:
    """Return the value, what follows its scheme word, and its parts: an echo may show one alone."""
    rest = value.partition(" ")[2].strip()
    parts = [value, rest, *_PART.split(value)]
    parts += [part.partition("=")[2] for part in parts if "=" in part]
    return tuple(dict.fromkeys(part for part in parts if len(part) >= MIN_SECRET_LENGTH))


def _query(fields: Mapping[str, str]) -> Injection:
    for name in fields:
        if not name or _CONTROL.search(name) or not _is_utf8(name):
            _refuse(name, "a parameter needs a name without control characters")
    return Injection(query=tuple(fields.items()), secrets=tuple(fields.values()))


_BUILDERS: Final[Mapping[CredentialKind, Callable[[Mapping[str, str]], Injection]]] = {
    CredentialKind.BEARER: _bearer,
    CredentialKind.BASIC: _basic,
    CredentialKind.HEADERS: _headers,
    CredentialKind.QUERY: _query,
}
