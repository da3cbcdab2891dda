"""What a credential kind is, and the checks that all kinds share."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import Injection
from app.core.paths import header_name, is_framing
from app.core.redaction import MARK, MIN_SECRET_LENGTH

MAX_FIELDS: Final = 16
"""Most fields that one credential may hold."""

MAX_VALUE: Final = 8192
"""Longest value of a field, in characters."""

MAX_TEXT: Final = 16_384
"""Longest value of a field of several lines, such as a certificate chain."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind.

    :ivar hint: what it holds, for people.
    :ivar secret: it is redacted from answers, and long enough for that.
    :ivar lines: it may have several lines.
    """

    name: str
    hint: str = ""
    required: bool = True
    secret: bool = False
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a credential is added to a call.

    :ivar summary: what is added, for people.
    :ivar fields: what it holds; empty where the names are the owner's choice.
    :ivar build: makes the addition for a call at a time, of checked fields.
    :ivar adds: says what is added, to be followed by the credential's name.
    """

    name: str
    summary: str
    fields: tuple[Field, ...]
    build: Callable[[Mapping[str, str], Instant], Injection]
    adds: Callable[[Mapping[str, str]], tuple[str, ...]]

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that must be given."""
        return tuple(field.name for field in self.fields if field.required)


def refuse(name: str, message: str, home: str = "/fields") -> NoReturn:
    """Refuse a field with its pointer.

    :raises InvalidField: always.
    """
    escaped = name.replace("~", "~0").replace("/", "~1")
    raise InvalidField(message, pointer=f"{home}/{escaped}") from None


def check(kind: Kind, fields: Mapping[str, str], public: Collection[str] = ()) -> None:
    """Check names and values of a credential's fields.

    :param public: names among free ones that are no secrets.
    :raises InvalidField: with the pointer of the offending field, never with its value.
    """
    known = {field.name: field for field in kind.fields}
    for name in kind.required:
        if name not in fields:
            refuse(name, f"a {kind.name} credential needs the field {name}")
    for name in fields:
        if known and name not in known:
            refuse(name, f"a {kind.name} credential has no such field")
    if not 1 <= len(fields) <= MAX_FIELDS:
        message = f"give from 1 to {MAX_FIELDS} fields"
        raise InvalidField(message, pointer="/fields")
    for name, value in fields.items():
        check_value(known.get(name) or Field(name, secret=name not in public), value)


def check_value(field: Field, value: str) -> None:
    """Check that a value can be kept, sent and, where it is secret, redacted.

    :raises InvalidField: it cannot.
    """
    most, bad = (MAX_TEXT, _CONTROL_BUT_LINES) if field.lines else (MAX_VALUE, _CONTROL)
    if len(value) > most or bad.search(value) or not is_utf8(value):
        refuse(field.name, f"use at most {most} characters, none of them control characters")
    if not field.secret:
        return
    if len(value.strip()) < MIN_SECRET_LENGTH:
        message = f"use at least {MIN_SECRET_LENGTH} characters: shorter ones cannot be redacted"
        refuse(field.name, message)
    if MARK in value or value in MARK:
        refuse(field.name, f"the value cannot be told from the mark {MARK}")


def is_utf8(value: str) -> bool:
    """Return whether a text can be written as UTF-8 (it has no lone surrogates)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_control(value: str) -> bool:
    """Return whether a text holds a control character."""
    return _CONTROL.search(value) is not None


def sendable_header(field: str, raw: str) -> str:
    """Return a header's name in lower case, if a credential may be sent in it.

    :raises InvalidField: it may not, with the pointer of the field.
    """
    name = header_name(raw)
    if name is None or is_framing(name):
        refuse(field, "no credential can be sent in a header of this name")
    return name


def choice(fields: Mapping[str, str], name: str, options: Collection[str], usual: str) -> str:
    """Return the value of a field that is one of a few words.

    :raises InvalidField: another word.
    """
    value = fields.get(name, usual)
    if value not in options:
        refuse(name, f"use one of {', '.join(options)}")
    return value
