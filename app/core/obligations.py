"""Obligations: the duties that a rule attaches to its verdict, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from app.core.bucket import UNITS, parse_rate
from app.core.conditions.reading import array, below, integer, members, refuse, text, texts
from app.core.json_types import JsonObject, JsonValue
from app.core.masking import KINDS
from app.core.policy_route import assurance
from app.core.regex import size_of

MAX_OBLIGATIONS: Final = 32
"""Most obligations of one rule."""

BY: Final = ("agent", "target", "agent+target", "global")
"""Whose calls a rule's limit counts together."""

MASKED_KINDS: Final = frozenset({"http", "ssh"})
"""The kinds of action whose result passes through here, so that it can be masked."""

_MAX_TAG: Final = 64
_MAX_FIELD: Final = 256
_MAX_PATTERN: Final = 512
_MAX_PROGRAM: Final = 500


@dataclass(frozen=True, slots=True)
class Obligation:
    """A duty attached to a verdict; who cannot fulfil it must not allow."""

    kind: str
    parameters: JsonObject = field(default_factory=dict[str, JsonValue])


def parse_obligations(value: JsonValue, pointer: str) -> tuple[Obligation, ...]:
    """Return the obligations of a rule.

    :raises InvalidPolicy: with the pointer of what is wrong.
    """
    items = array(value, pointer, MAX_OBLIGATIONS, empty=True)
    return tuple(_obligation(item, below(pointer, at)) for at, item in enumerate(items))


def _obligation(value: JsonValue, pointer: str) -> Obligation:
    every = frozenset({"kind"}).union(*(names for names, _ in _READ.values()))
    fields = members(value, pointer, every)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _READ:
        refuse(f"kind must be one of {', '.join(sorted(_READ))}", below(pointer, "kind"))
    parameters = {name: item for name, item in fields.items() if name != "kind"}
    names, check = _READ[kind]
    members(parameters, pointer, names)
    check(parameters, pointer)
    return Obligation(kind, cast("JsonObject", parameters))


def _tag(fields: Mapping[str, JsonValue], pointer: str) -> None:
    text(fields.get("tag"), below(pointer, "tag"), _MAX_TAG)


def _level(fields: Mapping[str, JsonValue], pointer: str) -> None:
    text(fields.get("level"), below(pointer, "level"), _MAX_TAG)
    assurance(fields["level"], below(pointer, "level"))


def _rate(fields: Mapping[str, JsonValue], pointer: str) -> None:
    integer(fields.get("limit"), below(pointer, "limit"), 1, 999_999)
    per = fields.get("per")
    if not (isinstance(per, str) and per in UNITS):
        integer(per, below(pointer, "per"), 1, 9_999)
    parse_rate(f"{fields['limit']}/{per}")
    if fields.get("by", "agent") not in BY:
        refuse(f"by must be one of {', '.join(BY)}", below(pointer, "by"))


def _mask(fields: Mapping[str, JsonValue], pointer: str) -> None:
    if fields.get("where", "result") != "result":
        refuse("where must be result: what runs is always shown in full", below(pointer, "where"))
    if not {"fields", "patterns", "kinds"} & set(fields):
        refuse("give fields, patterns or kinds", pointer)
    for name, longest in (("fields", _MAX_FIELD), ("patterns", _MAX_PATTERN), ("kinds", _MAX_TAG)):
        if name in fields:
            array(fields[name], below(pointer, name), MAX_OBLIGATIONS)
            texts(fields[name], below(pointer, name), MAX_OBLIGATIONS, longest)
    for at, kind in enumerate(cast("list[str]", fields.get("kinds", []))):
        if kind not in KINDS:
            refuse(f"a kind is one of {', '.join(KINDS)}", below(pointer, "kinds", at))
    for at, pattern in enumerate(cast("list[str]", fields.get("patterns", []))):
        _pattern(pattern, below(pointer, "patterns", at))


def _pattern(pattern: str, pointer: str) -> None:
    try:
        size = size_of(pattern)
    except ValueError as error:
        refuse(str(error), pointer)
    if size > _MAX_PROGRAM:
        refuse("the pattern is too complex; use smaller repeat counts", pointer)


def _nothing(_fields: Mapping[str, JsonValue], _pointer: str) -> None:
    return


_READ: Final[
    Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, JsonValue], str], None]]]
] = {
    "tag": (frozenset({"tag"}), _tag),
    "require_assurance": (frozenset({"level"}), _level),
    "require_reason": (frozenset(), _nothing),
    "rate_limit": (frozenset({"limit", "per", "by"}), _rate),
    "redact": (frozenset({"where", "fields", "patterns", "kinds"}), _mask),
}
"""The parameters of each kind, and what checks them."""
