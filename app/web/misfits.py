"""What a body that does not have its shape is told: where, and what to write instead."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import inspect

from app.core.errors import InvalidField

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.{1,64})`")
_MISSING: Final = re.compile(r"Object missing required field `(.{1,64})`")
_TYPE: Final = re.compile(r"Expected `([a-z |]{1,60})`, got `([a-z]{1,20})`")
_LENGTH: Final = re.compile(r"Expected `([a-z]{1,20})` of length (<=|>=) (\d{1,12})")
_SIZE: Final = re.compile(r"Expected `(?:int|float)` (<=|>=|<|>) (\S{1,30})")
_PATTERN: Final = re.compile(r"Expected `str` matching regex '(.{1,200})'")
_CHOICE: Final = "Invalid enum value "
_NAMES: Final = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "an object {...}", "array": "a list [...]", "null": "null",
}  # fmt: skip
_BOUNDS: Final = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_PATTERNS: Final = {
    "^[0-9a-f]{64}$": "64 digits of 0-9 and a-f",
    "^([0-9a-f]{64})?$": "64 digits of 0-9 and a-f, or nothing",
}
_LISTED: Final = 30
"""Most names that a message lists."""


def misfit(error: msgspec.ValidationError, shape: type) -> InvalidField:
    """Return the error of a value that was to be converted to the given struct."""
    detail, _, path = str(error).partition(" - at `")
    pointer = _pointer(path)
    place = [] if "key in" in path else _types(shape, pointer)
    if found := _UNKNOWN.fullmatch(detail):
        return InvalidField(_no_such(found[1], place), pointer=f"{pointer}/{found[1]}")
    if found := _MISSING.fullmatch(detail):
        return InvalidField(f"{found[1]} is missing", pointer=f"{pointer}/{found[1]}")
    return InvalidField(_said(detail, place), pointer=pointer)


def _said(detail: str, place: list[inspect.Type]) -> str:
    if detail.startswith(_CHOICE):
        values = list[Any](dict.fromkeys(value for kind in place for value in _values(kind)))
        return f"write one of {', '.join(map(str, values))}" if values else detail
    if found := _TYPE.fullmatch(detail):
        wanted = " or ".join(_NAMES.get(name, name) for name in found[1].split(" | "))
        return f"write {wanted}, not {_NAMES.get(found[2], found[2])}"
    if found := _LENGTH.fullmatch(detail):
        return f"write {_BOUNDS[found[2]]} {found[3]} {_counted(*found.group(1, 3))}"
    if found := _SIZE.fullmatch(detail):
        return f"write {_BOUNDS[found[1]]} {found[2].removesuffix('.0')}"
    if found := _PATTERN.fullmatch(detail):
        return f"write {_PATTERNS.get(found[1], f'a text that fits {found[1]}')}"
    return detail


def _counted(kind: str, count: str) -> str:
    what = {"str": "character", "array": "item"}.get(kind, "field")
    return what if count == "1" else f"{what}s"


def _values(kind: inspect.Type) -> tuple[Any, ...]:
    if isinstance(kind, inspect.LiteralType):
        return tuple(kind.values)
    return tuple(item.value for item in kind.cls) if isinstance(kind, inspect.EnumType) else ()


def _no_such(name: str, place: list[inspect.Type]) -> str:
    """Say that there is no such field, and which there are or which was meant."""
    known = sorted(
        field.encode_name
        for kind in place
        if isinstance(kind, inspect.StructType)
        for field in kind.fields
    )
    meant = get_close_matches(name, known, 2)
    said = f"there is no field {name!r}"
    if meant:
        return f"{said}; did you mean {' or '.join(map(repr, meant))}?"
    return f"{said}; known are {', '.join(known[:_LISTED])}" if known else said


def _types(shape: type, pointer: str) -> list[inspect.Type]:
    """Return what may stand at a pointer, as the struct says it."""
    places = list(_plain(inspect.type_info(shape)))
    for part in pointer.split("/")[1:]:
        places = [inner for kind in places for inner in _inside(kind, part)]
    return places


def _inside(kind: inspect.Type, part: str) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            if field.encode_name == part:
                yield from _plain(field.type)
    elif isinstance(kind, inspect.ListType):
        yield from _plain(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        yield from _plain(kind.value_type)


def _plain(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _plain(one)
    else:
        yield kind


def _pointer(path: str) -> str:
    """Turn msgspec's ``$.a[0].b`` into a JSON pointer (RFC 6901)."""
    text = path.rstrip("`").removeprefix("$")
    return text.replace("[...]", "/-").replace("[", "/").replace("]", "").replace(".", "/")
