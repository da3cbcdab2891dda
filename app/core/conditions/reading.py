"""Strict reading of a policy document: exact types, bounded sizes, errors that say what to do."""

import difflib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NoReturn, cast

from app.core.errors import InvalidPolicy
from app.core.json_types import JsonValue

MAX_STRING: Final = 4_096
"""Longest string anywhere in a policy."""

_MAX_INTEGER: Final = 2**53 - 1
_MAX_DEPTH: Final = 32
_SHOWN: Final = 60
_SHOW: Final = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def refuse(detail: str, pointer: str) -> NoReturn:
    """Refuse a policy document.

    :raises InvalidPolicy: always.
    """
    raise InvalidPolicy(detail, pointer=pointer)


def below(pointer: str, *names: str | int) -> str:
    """Return the JSON pointer of something further down (RFC 6901)."""
    escaped = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    return "/".join((pointer, *escaped))


def shown(value: object) -> str:
    """Return a value short enough for a message."""
    text = _SHOW(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def type_name(value: object) -> str:
    """Return the name of a value's JSON type, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list | tuple) else "an object"


def json_value(value: object, pointer: str = "", depth: int = 0) -> JsonValue:
    """Return a copy of a value that is JSON through and through, lists as lists.

    :raises InvalidPolicy: for anything else, numbers JSON readers disagree on, or deep nesting.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _string(value, pointer)
    if isinstance(value, int | float):
        return number(value, pointer)
    if depth >= _MAX_DEPTH:
        refuse(f"nested deeper than {_MAX_DEPTH} levels", pointer)
    if isinstance(value, Mapping):
        return _json_object(cast("Mapping[object, object]", value), pointer, depth)
    if isinstance(value, list | tuple):
        items = enumerate(cast("Sequence[object]", value))
        return [json_value(item, below(pointer, index), depth + 1) for index, item in items]
    return refuse(f"{type(value).__name__} is not a JSON type", pointer)


def _json_object(value: Mapping[object, object], pointer: str, depth: int) -> JsonValue:
    result: dict[str, JsonValue] = {}
    for name, item in value.items():
        if not isinstance(name, str):
            refuse("the names in an object must be strings", pointer)
        _string(name, pointer)
        result[name] = json_value(item, below(pointer, name), depth + 1)
    return result


def _string(value: str, pointer: str) -> str:
    if len(value) > MAX_STRING:
        refuse(f"a string is longer than {MAX_STRING} characters", pointer)
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        refuse("a string holds NUL or a lone surrogate", pointer)
    return value


def number(value: object, pointer: str) -> int | float:
    """Return a finite number that every JSON reader keeps exactly; a bool is no number.

    :raises InvalidPolicy: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"must be a number, not {type_name(value)}", pointer)
    if isinstance(value, float) and not math.isfinite(value):
        refuse("NaN and infinite numbers are not accepted", pointer)
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        refuse("an integer is outside ±(2^53 - 1)", pointer)
    return value


def integer(value: object, pointer: str, low: int, high: int) -> int:
    """Return a whole number within bounds.

    :raises InvalidPolicy: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse(f"must be a whole number from {low} to {high}", pointer)
    return value


def boolean(value: object, pointer: str) -> bool:
    """Return true or false.

    :raises InvalidPolicy: for anything else.
    """
    if not isinstance(value, bool):
        refuse(f"must be true or false, not {type_name(value)}", pointer)
    return value


def text(value: object, pointer: str, limit: int, *, empty: bool = False) -> str:
    """Return a string of at most ``limit`` characters.

    :raises InvalidPolicy: for anything else.
    """
    if not isinstance(value, str):
        refuse(f"must be a string, not {type_name(value)}", pointer)
    if len(value) > limit:
        refuse(f"must have at most {limit} characters", pointer)
    if not value and not empty:
        refuse("must not be empty", pointer)
    return value


def array(value: object, pointer: str, limit: int, *, empty: bool = False) -> list[JsonValue]:
    """Return a list of at most ``limit`` items.

    :raises InvalidPolicy: for anything else.
    """
    if not isinstance(value, list):
        refuse(f"must be a list, not {type_name(value)}", pointer)
    items = cast("list[JsonValue]", value)
    if len(items) > limit:
        refuse(f"must have at most {limit} items", pointer)
    if not items and not empty:
        refuse("must not be an empty list", pointer)
    return items


def texts(value: object, pointer: str, limit: int, length: int) -> tuple[str, ...]:
    """Return a non-empty list of strings; one string alone counts as a list of it.

    :raises InvalidPolicy: for anything else.
    """
    items: list[JsonValue] = [value] if isinstance(value, str) else array(value, pointer, limit)
    return tuple(text(item, below(pointer, at), length) for at, item in enumerate(items))


def members(value: object, pointer: str, allowed: Collection[str]) -> Mapping[str, JsonValue]:
    """Return an object that has no other members than the allowed ones.

    :raises InvalidPolicy: for anything else.
    """
    if not isinstance(value, Mapping):
        refuse(f"must be an object, not {type_name(value)}", pointer)
    mapping = cast("Mapping[str, JsonValue]", value)
    for name in mapping:
        if name not in allowed:
            unknown(name, allowed, "field", pointer)
    return mapping


def unknown(name: str, known: Iterable[str], what: str, pointer: str) -> NoReturn:
    """Refuse a name that is not known, with the likely one.

    :raises InvalidPolicy: always.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
    refuse(f"unknown {what} {shown(name)}; {hint}", below(pointer, name))
