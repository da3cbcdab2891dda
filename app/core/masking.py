"""Masking: what a policy keeps from the agent in an upstream's answer (POL-4).

A mask is for data that the agent need not know; secrets of the vault are taken out before, by
:mod:`app.core.redaction`. It knows JSON: members are found by name or pointer, patterns look at
decoded texts, and the answer is written anew only when something in it changed. What cannot be
read well enough to be sure is withheld as a whole.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from app.core.outcome import HttpResult
from app.core.regex import compile_pattern

MARK: Final = "[masked]"
"""What stands in for what was masked."""

MAX_MASKED: Final = 4 * 1_048_576
"""Longest answer, in bytes, that is masked; a longer one is withheld as too large."""

KINDS: Final = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "card": r"\b[0-9](?:[ -]?[0-9]){12,18}\b",
    "phone": r"(?:\+|\b00)[1-9](?:[ ()./-]{0,2}[0-9]){6,14}\b|"
    r"(?:\([0-9]{3}\) ?|\b[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}\b",
    "key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?|"
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|"
    r"\b(?:sk|pk|rk|ask|pat|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[a-z])[_-][A-Za-z0-9_-]{16,}|"
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
}
"""What a mask knows by itself, as RE2; of ``card`` only numbers whose check digit is right."""

_STALE: Final = frozenset({"content-length", "content-md5", "digest", "content-digest", "etag"})
_WRITTEN: Final = json.JSONEncoder(ensure_ascii=True).encode


class _Pattern(Protocol):
    def finditer(self, text: str) -> Iterable[Any]: ...


class _Unreadable(Exception):
    """The answer cannot be read well enough to be masked."""


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mask:
    """What is masked.

    :ivar fields: names of members at any depth, or JSON pointers (RFC 6901) with ``*`` for any
        member; the whole value goes. Names also stand for headers.
    :ivar patterns: RE2 patterns; what they match in texts, numbers and header values goes.
    :ivar kinds: names of :data:`KINDS`.
    """

    fields: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def mask_of(verdict: str) -> Mask | None:
    """Return what a stored verdict wants masked in results, or None."""
    if '"redact"' not in verdict:
        return None
    duties = [duty for duty in json.loads(verdict)["obligations"] if duty["kind"] == "redact"]
    if not duties:
        return None
    names = ("fields", "patterns", "kinds")
    return Mask(*(tuple(item for duty in duties for item in duty.get(name, ())) for name in names))


def masked(result: HttpResult, mask: Mask) -> HttpResult:
    """Return the result as the agent may have it; one that is cut or too long without a body."""
    headers, in_headers = _headers(result.headers, mask)
    if result.truncated or len(result.body) > MAX_MASKED:
        return replace(result, headers=headers, body=b"", truncated=True)
    coded = any(name == "content-encoding" for name, _ in headers)
    try:
        body, count = mask_body(b"\xff" if coded and result.body else result.body, mask)
    except _Unreadable:
        body, count = MARK.encode(), 1
        dropped = {"content-type", "content-encoding"}
        kept = tuple(line for line in headers if line[0] not in dropped)
        headers = (*kept, ("content-type", "text/plain; charset=utf-8"))
    if count:
        headers = tuple(line for line in headers if line[0] not in _STALE)
    redacted = result.redacted + count + in_headers
    return replace(result, headers=headers, body=body, redacted=redacted)


def mask_body(body: bytes, mask: Mask) -> tuple[bytes, int]:
    """Return the body without what is masked, and in how many places."""
    if not body:
        return body, 0
    try:
        text = body.decode()
        value = _parsed(text)
    except ValueError as error:
        raise _Unreadable from error
    if value is _NO_JSON:
        if mask.fields:
            raise _Unreadable
        clean, count = mask_text(text, mask)
        return clean.encode(), count
    try:
        found, count = _Walk(mask).value(value, _pointers(mask))
        return (_dump(found).encode(), count) if count else (body, 0)
    except (RecursionError, UnicodeError) as error:
        raise _Unreadable from error


def mask_text(text: str, mask: Mask) -> tuple[str, int]:
    """Return a text without what the patterns and kinds match, and in how many places."""
    pieces = [_clean(piece, mask) for piece in text.split(MARK)]
    return MARK.join(piece for piece, _ in pieces), sum(count for _, count in pieces)


def _clean(piece: str, mask: Mask) -> tuple[str, int]:
    parts: list[str] = []
    done = count = 0
    for start, end in _merged(_spans(piece, mask)):
        parts += [piece[done:start], MARK]
        done, count = end, count + 1
    return "".join([*parts, piece[done:]]), count


def _spans(text: str, mask: Mask) -> Iterator[tuple[int, int]]:
    for pattern in mask.patterns:
        yield from (found.span() for found in _pattern(pattern).finditer(text))
    for kind in mask.kinds:
        for found in _pattern(KINDS[kind]).finditer(text):
            if kind != "card" or _checked(found.group()):
                yield found.span()


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if start == end:
            continue
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _checked(number: str) -> bool:
    """Whether the last digit is the one that ISO/IEC 7812 asks for (Luhn)."""
    digits = [int(character) for character in reversed(number) if character.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]  # noqa: PLR2004 - a digit
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


@lru_cache(maxsize=1024)
def _pattern(text: str) -> _Pattern:
    return cast("_Pattern", compile_pattern(text))


# --- JSON ---

_NO_JSON: Final = object()
_Pointers = Sequence[tuple[str, ...]]


def _parsed(text: str) -> object:
    """Return the JSON value, numbers as they are written, or that the text is none.

    :raises ValueError: it looks like JSON, and readers may differ about it.
    """
    try:
        return json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_refuse,
            object_pairs_hook=_members,
        )  # fmt: skip
    except json.JSONDecodeError:
        if text.lstrip()[:1] in {"{", "[", '"', "\ufeff"}:
            raise
        return _NO_JSON
    except RecursionError as error:
        raise ValueError from error


def _refuse(_name: str) -> object:
    raise ValueError


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _pointers(mask: Mask) -> _Pointers:
    return [
        tuple(part.replace("~1", "/").replace("~0", "~") for part in field[1:].split("/"))
        for field in mask.fields
        if field.startswith("/")
    ]


class _Walk:
    """One walk through a value."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._names = {name.casefold() for name in mask.fields if not name.startswith("/")}

    def value(self, value: object, pointers: _Pointers) -> tuple[object, int]:
        if isinstance(value, dict):
            return self._object(cast("dict[str, object]", value), pointers)
        if isinstance(value, list):
            return self._list(cast("list[object]", value), pointers)
        if not isinstance(value, str):
            return value, 0
        text, count = mask_text(value, self._mask)
        return (text, count) if count else (value, 0)

    def _object(
        self, value: dict[str, object], pointers: _Pointers
    ) -> tuple[dict[str, object], int]:
        found: dict[str, object] = {}
        total = 0
        for name, item in value.items():
            kept, in_name = mask_text(name, self._mask)
            below = _below(pointers, name)
            if name.casefold() in self._names or () in below:
                masked_item, count = MARK, int(item != MARK)
            else:
                masked_item, count = self.value(item, below)
            found[kept] = masked_item
            total += count + in_name
        return found, total

    def _list(self, value: list[object], pointers: _Pointers) -> tuple[list[object], int]:
        found: list[object] = []
        total = 0
        for place, item in enumerate(value):
            below = _below(pointers, str(place))
            gone = () in below
            kept, count = (MARK, int(item != MARK)) if gone else self.value(item, below)
            found.append(kept)
            total += count
        return found, total


def _below(pointers: _Pointers, name: str) -> _Pointers:
    return [pointer[1:] for pointer in pointers if pointer and pointer[0] in ("*", name)]


def _dump(value: object) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return "{" + ",".join(f"{_WRITTEN(name)}:{_dump(item)}" for name, item in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, cast("list[object]", value))) + "]"
    return str(value) if isinstance(value, _Number) else _WRITTEN(value)


# --- headers ---


def _headers(
    lines: tuple[tuple[str, str], ...], mask: Mask
) -> tuple[tuple[tuple[str, str], ...], int]:
    names = {name.casefold() for name in mask.fields}
    found: list[tuple[str, str]] = []
    total = 0
    for name, value in lines:
        gone = name.casefold() in names and value != MARK
        kept, count = (MARK, 1) if gone else mask_text(value, mask)
        found.append((name, kept))
        total += count
    return tuple(found), total
