"""Handles ``{{vault/item.field}}`` in calls: found when asked, filled in when carried out (VLT-2).

A handle stands in a header's value, in the query, or in a body of JSON, a form or text. What is
asked, judged, shown and stored keeps the handle; its value is written, in the encoding of the
place, into the copy that leaves. Whatever does not match the grammar to the letter is ordinary
text.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from app.core.action import HttpAction
from app.core.errors import InvalidAction
from app.core.paths import header_value
from app.core.strict_json import parse_json

Lines = tuple[tuple[str, str], ...]

_WORDS: Final = r"([a-z0-9][a-z0-9_.-]{0,63})%s([a-z0-9][a-z0-9_.-]{0,63})\.([A-Za-z0-9_-]{1,64})"
_PLAIN: Final = re.compile(r"\{\{" + _WORDS % "/" + r"\}\}")
_IN_JSON: Final = re.compile(r"\{\{" + _WORDS % r"\\?/" + r"\}\}")
_IN_URL: Final = re.compile(
    r"(?:\{|%7[Bb]){2}" + _WORDS % "(?:/|%2[Ff])" + r"(?:\}|%7[Dd]){2}"
)  # fmt: skip


class _Text(StrEnum):
    """How a body is written, by its content type."""

    JSON = "json"
    FORM = "form"
    MARKUP = "markup"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, order=True)
class Handle:
    """The name of one field of a vault item."""

    vault: str
    item: str
    field: str

    @property
    def text(self) -> str:
        """``vault/item.field``, as it stands between the braces."""
        return f"{self.vault}/{self.item}.{self.field}"


def handles_in(action: HttpAction) -> tuple[Handle, ...]:
    """Return the handles of a call, each once.

    :raises InvalidAction: one stands in the path, or in a body that says JSON and is none.
    """
    if not _may_have(action):
        return ()
    if _IN_URL.search(action.path):
        message = "a handle cannot stand in the path"
        raise InvalidAction(message, pointer="/params/path")
    found = set(_find(_IN_URL, action.query))
    for _, value in action.headers:
        found.update(_find(_PLAIN, value))
    found.update(_in_body(action))
    return tuple(sorted(found))


def _may_have(action: HttpAction) -> bool:
    """Whether a brace is anywhere at all: most calls have none and are looked at no closer."""
    return (
        _has_braces(action.body)
        or "%7" in action.path
        or "%7" in action.query
        or any("{{" in value for _, value in action.headers)
    )


def _has_braces(body: bytes) -> bool:
    return b"{{" in body or b"%7" in body


def _in_body(action: HttpAction) -> Iterator[Handle]:
    kind = _kind_of(action.headers)
    text = _decoded(action.body)
    if kind is None or text is None:
        return
    found = tuple(_find(_PATTERNS[kind], text))
    if found and kind is _Text.JSON:
        parse_json(action.body)
    yield from found


def fill_headers(headers: Lines, values: Mapping[str, str]) -> Lines:
    """Return headers with values in the place of handles.

    :raises InvalidAction: a handle has no value, or one that cannot stand in a header.
    """

    def written(value: str) -> str:
        if header_value(value) != value:
            message = "the value of a handle cannot be sent in a header"
            raise InvalidAction(message)
        return value

    return tuple((name, _fill(_PLAIN, value, values, written)) for name, value in headers)


def fill_query(query: str, values: Mapping[str, str]) -> str:
    """Return a raw query with percent-encoded values in the place of handles."""
    return _fill(_IN_URL, query, values, _quoted)


def fill_body(body: bytes, headers: Lines, values: Mapping[str, str]) -> bytes:
    """Return a body with values in the place of handles, encoded as its content type wants."""
    if not _has_braces(body):
        return body
    kind, text = _kind_of(headers), _decoded(body)
    if kind is None or text is None:
        return body
    return _fill(_PATTERNS[kind], text, values, _WRITTEN[kind]).encode()


def _find(pattern: re.Pattern[str], text: str) -> Iterator[Handle]:
    return (Handle(*found.groups()) for found in pattern.finditer(text))


def _fill(
    pattern: re.Pattern[str], text: str, values: Mapping[str, str], written: Callable[[str], str]
) -> str:
    def value(found: re.Match[str]) -> str:
        known = values.get(Handle(*found.groups()).text)
        if known is None:
            message = "a handle has no value here"
            raise InvalidAction(message)
        return written(known)

    return pattern.sub(value, text)


def _decoded(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _kind_of(headers: Iterable[tuple[str, str]]) -> _Text | None:
    """Return how a body is written; None where nothing is filled in."""
    types = [value.partition(";")[0].strip().lower() for name, value in headers
             if name == "content-type"]  # fmt: skip
    if not types:
        return _Text.PLAIN
    kind = types[0]
    if kind == "application/json" or kind.endswith("+json"):
        return _Text.JSON
    if kind == "application/x-www-form-urlencoded":
        return _Text.FORM
    if kind.endswith(("/xml", "+xml", "/html")):
        return _Text.MARKUP
    return _Text.PLAIN if kind.startswith("text/") else None


def _quoted(value: str) -> str:
    return quote(value, safe="")


_PATTERNS: Final = {
    _Text.JSON: _IN_JSON,
    _Text.FORM: _IN_URL,
    _Text.MARKUP: _PLAIN,
    _Text.PLAIN: _PLAIN,
}
_WRITTEN: Final[Mapping[_Text, Callable[[str], str]]] = {
    _Text.JSON: lambda value: json.dumps(value)[1:-1],
    _Text.FORM: _quoted,
    _Text.MARKUP: html.escape,
    _Text.PLAIN: str,
}
