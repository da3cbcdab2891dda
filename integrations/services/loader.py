"""Presets of services: one TOML file each. They are data: nothing in them is executed."""

import tomllib
from functools import cache
from pathlib import Path
from typing import cast

import msgspec

from app.core.presets import Preset


@cache
def presets() -> tuple[Preset, ...]:
    """Return all presets by name."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return tuple(parse(path.read_text("utf-8"), path.name) for path in files)


def parse(text: str, name: str) -> Preset:
    """Return the preset in a file's text.

    :raises ValueError: with the file's name, when it is no TOML, lacks a member or has one too
        many, or is not named like its service.
    """
    try:
        raw = tomllib.loads(text)
        preset = msgspec.convert(raw, Preset)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        message = f"{name}: {error}"
        raise ValueError(message) from error
    if surplus := _surplus(raw, msgspec.to_builtins(preset), ""):
        message = f"{name}: unknown: {surplus}"
        raise ValueError(message)
    if name != f"{preset.name}.toml":
        message = f"{name}: the name in it is {preset.name!r}"
        raise ValueError(message)
    return preset


def _surplus(given: object, known: object, place: str) -> str:
    """Return the first member of the file that became nothing."""
    if isinstance(given, dict) and isinstance(known, dict):
        members, names = cast("dict[str, object]", given), cast("dict[str, object]", known)
        pairs = [(key, value, names.get(key)) for key, value in members.items()]
        missing = next((f"{place}.{key}" for key in members if key not in names), "")
        return missing or _first(pairs, place)
    if isinstance(given, list) and isinstance(known, list | tuple):
        items = zip(cast("list[object]", given), cast("list[object]", known), strict=True)
        return _first([(str(at), one, two) for at, (one, two) in enumerate(items)], place)
    return ""


def _first(pairs: list[tuple[str, object, object]], place: str) -> str:
    found = (_surplus(one, two, f"{place}.{key}") for key, one, two in pairs)
    return next((surplus for surplus in found if surplus), "")
