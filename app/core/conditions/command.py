"""``command``: what an SSH command runs, ``{"command": {"profile": "logs-readonly"}}``.

What can't be explained in full is never known to be harmless: such a condition is indeterminate.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from app.core.command_facts import CommandFacts
from app.core.conditions.base import Check, Condition, Kind, Spec, Tri, every, guarded
from app.core.conditions.reading import below, members, refuse, shown, texts
from app.core.facts import Facts
from app.core.json_types import JsonValue

_MOST: Final = 100
_LONGEST: Final = 64
_WORDS: Final = ("harmless", "destructive", "hostile", "unexplained")

_Test: TypeAlias = Callable[[CommandFacts], Tri]


def _command(spec: Spec) -> Condition:
    wanted = members(spec.value, spec.pointer, _PARTS.keys())
    if not wanted:
        refuse(f"give one or more of {', '.join(_PARTS)}", spec.pointer)
    parts = tuple(_part(name, value, below(spec.pointer, name)) for name, value in wanted.items())
    text = " and ".join(part.text for part in parts)
    checks: list[Check] = [part.matches for part in parts]
    return Condition("command", spec.value, text, every(checks), children=parts)


def _part(name: str, value: JsonValue, pointer: str) -> Condition:
    names = texts(value, pointer, _MOST, _LONGEST)
    phrase, build = _PARTS[name]
    if name == "guard":
        for word in names:
            if word not in _WORDS:
                refuse(f"{shown(word)} is not one of {', '.join(_WORDS)}", pointer)
    test = build(frozenset(names))

    def matches(facts: Facts) -> Tri:
        return None if facts.command is None else test(facts.command)

    text = f"the command {phrase} {' or '.join(names)}"
    return Condition("command", {name: value}, text, guarded(matches))


def _permitted(names: frozenset[str]) -> _Test:
    def test(command: CommandFacts) -> Tri:
        answers = [command.permits(name) for name in names]
        return True if True in answers else None if None in answers else False

    return test


def _only(names: frozenset[str]) -> _Test:
    """Whether all programs are among these."""

    def test(command: CommandFacts) -> Tri:
        found = command.line.names
        if command.line.opaque or not found:
            return None
        return all(name in names for name in found)

    return test


def _some(names: frozenset[str]) -> _Test:
    """Whether one of these programs runs."""

    def test(command: CommandFacts) -> Tri:
        if any(name in names for name in command.line.names):
            return True
        return None if command.line.opaque else False

    return test


def _said(words: frozenset[str]) -> _Test:
    """Whether the guard says one of these of it."""

    def test(command: CommandFacts) -> Tri:
        if words & _sayings(command):
            return True
        return None if command.line.opaque and words - {"unexplained"} else False

    return test


def _sayings(command: CommandFacts) -> set[str]:
    if command.line.opaque:
        return {"unexplained", *({"hostile"} if command.effect == "deny" else ())}
    if command.effect == "allow":
        return {"harmless"}
    return {"hostile"} if command.effect == "deny" else {"destructive"}


_PARTS: Final[Mapping[str, tuple[str, Callable[[frozenset[str]], _Test]]]] = {
    "profile": ("is permitted by the profile", _permitted),
    "programs": ("runs nothing but", _only),
    "runs": ("runs", _some),
    "guard": ("is, to the guard,", _said),
}

KINDS: Final = (
    Kind(
        "command",
        "block",
        "An SSH command: `profile` permits it, it runs no other `programs`, it `runs` one of "
        "these, or the `guard` finds it harmless, destructive, hostile or unexplained.",
        {"command": {"profile": ["logs-readonly"], "guard": "harmless"}},
        _command,
    ),
)
