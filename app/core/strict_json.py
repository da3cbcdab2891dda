"""Strict JSON ingest: what every later reader would understand the same way (threat T36).

Refused beyond RFC 8259: duplicate keys, NaN and infinities, integers that do not fit a double
(RFC 7493), invalid UTF-8, lone surrogates, NUL, byte order marks and deep nesting.
"""

import json
import math
import re
from typing import Final, NoReturn, cast

import orjson

from app.core.canonical import SHAPE
from app.core.errors import MalformedJson
from app.core.json_types import JsonValue

MAX_DEPTH: Final = 64
"""Deepest nesting of arrays and objects."""

MAX_INTEGER: Final = 2**53 - 1
"""Largest magnitude of an integer that every JSON reader keeps exactly (RFC 7493)."""

_MAX_DIGITS: Final = 32
_WRITTEN_OUT: Final = 1e21
"""Below it the canonical form writes a double without exponent, as an integer (RFC 8785)."""


_UNSURE: Final = object()
_LONG: Final = b"0" * 16
_FRACTION: Final = re.compile(rb"[ \t\r\n:\[,](?:-0|-?\d+[.eE])")
"""Escapes, long digits, fractions and minus zero are for the careful reader.

The expression is slow, so it is asked only where a text's shape leaves a doubt.
"""

_OPENING: Final = (b"{", b"[")


def parse_json(data: bytes) -> JsonValue:
    """Return the value of a JSON text.

    :raises MalformedJson: with a message that says what to change.
    """
    value = _read(data)
    return _read_carefully(data) if value is _UNSURE else cast("JsonValue", value)


def _read(data: bytes) -> object:
    """Return the value of a text that leaves no doubt, or ``_UNSURE``.

    The fast reader keeps the last of two equal keys. As nothing is escaped, every key and every
    string is written out as it was read; so a lost key shows in the count of quotation marks.
    """
    if data[:1] not in _OPENING or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        return _UNSURE
    shape = data.translate(SHAPE)
    if b"\\" in data or _LONG in shape:
        return _UNSURE
    if (b"0." in shape or b"-0" in data) and _FRACTION.search(data):
        return _UNSURE
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _UNSURE
    return value if data.count(b'"') == orjson.dumps(value).count(b'"') else _UNSURE


def _read_carefully(data: bytes) -> JsonValue:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the body is not valid UTF-8 at byte {error.start}"
        raise MalformedJson(message) from error
    _refuse_depth(text)
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except json.JSONDecodeError as error:
        message = f"not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        raise MalformedJson(message) from error
    if "\\u" in text or "\x00" in text:
        _refuse_characters(value)
    return value


def _refuse_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth, quoted, escaped = 0, False, False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"arrays and objects nest deeper than {MAX_DEPTH} levels")
        elif character in "]}":
            depth -= 1


def _refuse(message: str) -> NoReturn:
    raise MalformedJson(message)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        _refuse(f"the key {_twice(pairs)[:100]!r} occurs twice in one object")
    return value


def _twice(pairs: list[tuple[str, JsonValue]]) -> str:
    """Return the first key that occurs again, in one pass."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or abs(value := int(digits)) > MAX_INTEGER:
        _refuse("an integer is outside ±(2^53 - 1); send it as a string")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse("a number is too large for a double; send it as a string")
    if MAX_INTEGER < abs(value) < _WRITTEN_OUT:
        _refuse("a number above 2^53 is not exact; send it as a string")
    return value


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _refuse_characters(value: JsonValue) -> None:
    """Refuse NUL and lone surrogates, which only an escape can bring in."""
    if isinstance(value, str):
        if "\x00" in value:
            _refuse("a string holds the character NUL")
        if any("\ud800" <= character <= "\udfff" for character in value):
            _refuse("a string holds a lone surrogate")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_characters(key)
            _refuse_characters(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_characters(item)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_constant,
)
