"""Canonical JSON by RFC 8785 (JCS), and the digest over it.

Two texts of one JSON value have one canonical form, so equal values have equal digests. The
common case (no fractional numbers, no key outside the basic plane) is written by orjson, whose
output then is canonical already; the rest is written here.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import orjson

from app.core.errors import MalformedJson
from app.core.json_types import JsonValue

_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode
_SORTED: Final = (
    orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
)
_FRACTION: Final = re.compile(rb"[:\[,]-?\d+[.eE]")
"""What may have been a fractional number, which orjson writes in its own way.

It begins with a set, for which the engine scans; an alternative to it would be tried everywhere.
"""

SHAPE: Final = bytes.maketrans(b"123456789eE", b"000000000..")
"""Makes each digit a 0 and each exponent a point, so that numbers are found fast."""

_OPENING: Final = (b"{", b"[")
_LAST_BMP: Final = "\uffff"
_FIXED_LIMIT: Final = 21
_SMALL_LIMIT: Final = -7


def canonical(value: JsonValue) -> bytes:
    """Return the canonical UTF-8 bytes of a JSON value.

    :raises MalformedJson: for NaN, infinities and lone surrogates, which have no canonical form.
    """
    try:
        data = orjson.dumps(value, option=_SORTED)
    except TypeError:  # a lone surrogate, an integer of more than 64 bits, or no type of JSON
        return _encoded(_ENCODE(value) if _plain(value) else "".join(_write(value)))
    sure = data[:1] in _OPENING and data.isascii() and not _is_doubtful(data)
    return data if sure or _plain(value) else _encoded("".join(_write(value)))


def _is_doubtful(data: bytes) -> bool:
    """Whether a number in it may be written otherwise; orjson writes NaN as null.

    The expression is slow, and rarely asked.
    """
    if b"null" in data:
        return True
    return b"0." in data.translate(SHAPE) and _FRACTION.search(data) is not None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = "a string holds a lone surrogate"
        raise MalformedJson(message) from error


def digest(data: bytes) -> str:
    """Return the SHA-256 of canonical bytes as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _plain(value: JsonValue) -> bool:
    """Whether a sorting encoder's output is canonical for this value."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is dict:
        return _plain_object(cast("dict[str, JsonValue]", value))
    if kind is list or kind is tuple:
        for item in cast("list[JsonValue]", value):
            if type(item) is not str and not _plain(item):
                return False
        return True
    return False


def _plain_object(value: dict[str, JsonValue]) -> bool:
    for key, item in value.items():
        if not key.isascii() and max(key) > _LAST_BMP:
            return False
        if type(item) is not str and not _plain(item):
            return False
    return True


def _write(value: JsonValue) -> Iterator[str]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        yield _ENCODE(value)
    elif isinstance(value, int | float):
        yield number(value)
    elif isinstance(value, Mapping):
        yield from _write_object(value)
    else:
        yield from _write_array(value)


def _write_object(value: Mapping[str, JsonValue]) -> Iterator[str]:
    separator = "{"
    for key in sorted(value, key=_utf16_order):
        yield separator
        yield _ENCODE(key)
        yield ":"
        yield from _write(value[key])
        separator = ","
    yield "{}" if separator == "{" else "}"


def _write_array(value: Sequence[JsonValue]) -> Iterator[str]:
    separator = "["
    for item in value:
        yield separator
        yield from _write(item)
        separator = ","
    yield "[]" if separator == "[" else "]"


def _utf16_order(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def number(value: float) -> str:
    """Return a number as ECMAScript writes it (RFC 8785 section 3.2.2.3).

    :raises MalformedJson: for NaN and infinities.
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        message = "NaN and infinite numbers are not JSON"
        raise MalformedJson(message)
    if not value:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    return sign + _layout(digits, point)


def _shortest(value: float) -> tuple[str, int]:
    """Return the shortest digits that read back, and where the decimal point stands."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + (fraction if fraction != "0" else "")
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return stripped.rstrip("0"), point


def _layout(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= _FIXED_LIMIT:
        return digits + "0" * (point - count)
    if 0 < point <= _FIXED_LIMIT:
        return f"{digits[:point]}.{digits[point:]}"
    if _SMALL_LIMIT < point - 1 < 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
