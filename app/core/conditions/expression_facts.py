"""The variables of CEL expressions, and the bounds on what an evaluation may read."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from app.core.facts import UNCLEAR, Facts
from app.core.instant import SECOND, to_datetime

VARIABLES: Final[Mapping[str, str]] = {
    "action": "string",
    "kind": "string",
    "agent.id": "string",
    "agent.name": "string",
    "target": "dyn",
    "urgency": "string",
    "reason": "string",
    "params": "map",
    "context": "map",
    "http": "dyn",
    "remote_ip": "dyn",
    "time.hour": "int",
    "time.minute": "int",
    "time.weekday": "int",
    "time.date": "string",
    "time.epoch": "int",
    "counters": "counts",
}
"""Name to type; what does not exist (no target, no HTTP call, no address) is null."""

MAX_INPUT: Final = 65_536
"""Most UTF-8 bytes of text that an expression may read."""

MAX_ITEMS: Final = 1_000
"""Most items in one list, or members in one object."""

_MAX_VALUES: Final = 10_000
_MAX_DEPTH: Final = 24


class TooLarge(ValueError):
    """The facts are larger than an expression may read."""


def unread(facts: Facts) -> frozenset[str]:
    """Return the parts of a call of which nobody can tell what the upstream reads in them."""
    if facts.http is None:
        return frozenset()
    return frozenset(name for name, value in facts.http.items() if value is UNCLEAR)


def variables(facts: Facts) -> dict[str, object]:
    """Return the values of the variables.

    :raises TooLarge: when the facts exceed the bounds.
    :raises ValueError: when a text is not Unicode.
    """
    http = facts.http
    if http is not None:
        http = {name: value for name, value in http.items() if value is not UNCLEAR}
    _Measure().all(facts.reason, facts.params, facts.context, http, facts.target)
    moment = to_datetime(facts.now)
    return {
        "action": facts.action,
        "kind": facts.kind,
        "agent.id": facts.agent_id,
        "agent.name": facts.agent_name,
        "target": facts.target,
        "urgency": facts.urgency,
        "reason": facts.reason,
        "params": facts.params,
        "context": facts.context,
        "http": http,
        "remote_ip": facts.remote_ip,
        "time.hour": moment.hour,
        "time.minute": moment.minute,
        "time.weekday": moment.isoweekday(),
        "time.date": f"{moment.year:04}-{moment.month:02}-{moment.day:02}",
        "time.epoch": facts.now // SECOND,
        "counters": facts.counters,
    }


class _Measure:
    """Counts text and values, and stops as soon as there is too much."""

    __slots__ = ("_bytes", "_values")

    def __init__(self) -> None:
        self._bytes = MAX_INPUT
        self._values = _MAX_VALUES

    def all(self, *values: object) -> None:
        for value in values:
            self._value(value, 0)

    def _value(self, value: object, depth: int) -> None:
        self._values -= 1
        if isinstance(value, str):
            self._bytes -= len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, Mapping):
            self._object(cast("Mapping[str, object]", value), depth)
        elif isinstance(value, list | tuple):
            self._items(cast("Sequence[object]", value), depth)
        if self._bytes < 0 or self._values < 0:
            raise TooLarge

    def _object(self, value: Mapping[str, object], depth: int) -> None:
        self._bound(len(value), depth)
        for name, item in value.items():
            self._value(name, depth)
            self._value(item, depth + 1)

    def _items(self, value: Sequence[object], depth: int) -> None:
        self._bound(len(value), depth)
        for item in value:
            self._value(item, depth + 1)

    def _bound(self, size: int, depth: int) -> None:
        if size > MAX_ITEMS or depth > _MAX_DEPTH:
            raise TooLarge
