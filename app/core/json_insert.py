"""Adds fields to a JSON object's text and leaves every byte of the rest as it was."""

import json
import re
from collections.abc import Sequence
from typing import Final

from app.core.errors import InvalidAction, MalformedJson
from app.core.json_types import JsonValue
from app.core.strict_json import parse_json

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


def insert_field(body: bytes, path: Sequence[str], value: str) -> bytes:
    """Return a JSON text with one more field, whose objects on the way are made where needed.

    :raises InvalidAction: the body is no JSON object, the way leads through something else, or
        the field is there already.
    """
    document = _object(body)
    known = 0
    while known < len(path) - 1 and isinstance(document.get(path[known]), dict):
        document = _inside(document[path[known]])
        known += 1
    if path[known] in document:
        raise InvalidAction(f"the body has the field {'.'.join(path[: known + 1])} already")
    added = json.dumps(value)
    for name in reversed(path[known + 1 :]):
        added = f"{{{json.dumps(name)}:{added}}}"
    added = f"{json.dumps(path[known])}:{added}"
    text = body.decode()
    end = _end_of_object(text, path[:known])
    return f"{text[:end]}{',' if document else ''}{added}{text[end:]}".encode()


def _object(body: bytes) -> dict[str, JsonValue]:
    try:
        return _inside(parse_json(body))
    except MalformedJson:
        raise InvalidAction("the body is not a JSON object") from None


def _inside(value: JsonValue) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise InvalidAction("the body is not a JSON object")
    return dict(value)


def _end_of_object(text: str, path: Sequence[str]) -> int:
    """Return where the closing brace of an object stands; the text is known to be strict JSON."""
    way: list[str | None] = []
    key: str | None = None
    before = ""
    for found in _TOKEN.finditer(text):
        match found[0]:
            case "{" | "[":
                way.append(key if before == ":" else None)
                key = None
            case "}" if way[1:] == list(path):
                return found.start()
            case "}" | "]":
                way.pop()
            case ":":
                key = json.loads(before)
            case _:
                pass
        before = found[0]
    raise InvalidAction("the body is not a JSON object")
