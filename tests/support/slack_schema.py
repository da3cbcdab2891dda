"""Small checks that make up the rules of Block Kit; each names what is wrong, and where.

A check takes a value and its JSON pointer, and returns the findings in Slack's words.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any, str], list[str]]


def wrong(what: str, at: str) -> list[str]:
    """Return one finding."""
    return [f"{what} [json-pointer:{at}]"]


def string(most: int, least: int = 1) -> Check:
    """Check the length of a string."""

    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, str):
            return wrong("must provide a string", at)
        if len(value) < least:
            return wrong(f"must be more than {least - 1} characters", at)
        if len(value) > most:
            return wrong(f"must be less than {most + 1} characters", at)
        return []

    return check


def flag(value: Any, at: str) -> list[str]:
    """Check that something is true or false."""
    return [] if isinstance(value, bool) else wrong("must provide a boolean", at)


def number(least: int, most: int) -> Check:
    """Check a whole number."""

    def check(value: Any, at: str) -> list[str]:
        if isinstance(value, bool) or not isinstance(value, int):
            return wrong("must provide an integer", at)
        return [] if least <= value <= most else wrong(f"must be from {least} to {most}", at)

    return check


def choice(*values: str) -> Check:
    """Check that something is one of some words."""

    def check(value: Any, at: str) -> list[str]:
        return [] if value in values else wrong(f"must be one of {', '.join(values)}", at)

    return check


def anything(_value: Any, _at: str) -> list[str]:
    """Find nothing."""
    return []


def array(item: Check, most: int, least: int = 1) -> Check:
    """Check a list and each of its items."""

    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, list):
            return wrong("must be an array", at)
        if len(value) > most:
            return wrong(f"no more than {most} items allowed", at)
        if len(value) < least:
            return wrong(f"no less than {least} items allowed", at)
        return [found for at_, one in enumerate(value) for found in item(one, f"{at}/{at_}")]

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Check an object: what must be there, what may be, and that there is nothing else."""
    known = {**required, **(optional or {}), "type": anything}

    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, dict):
            return wrong("must be an object", at)
        found = [
            *(one for name in required if name not in value for one in _missing(name, at)),
            *(one for name in value if name not in known for one in _additional(name, at)),
        ]
        for name, inner in value.items():
            found += known[name](inner, f"{at}/{name}") if name in known else []
        return found

    return check


def _missing(name: str, at: str) -> list[str]:
    return wrong(f"missing required field: {name}", at)


def _additional(name: str, at: str) -> list[str]:
    return wrong(f"invalid additional property: {name}", at)


def tagged(kinds: Mapping[str, Check]) -> Check:
    """Check an object by the rules of its type."""

    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, dict):
            return wrong("must be an object", at)
        kind = value.get("type")
        if kind is None:
            return _missing("type", at)
        if not isinstance(kind, str) or kind not in kinds:
            return wrong(f"unsupported type: {kind}", f"{at}/type")
        return kinds[kind](value, at)

    return check


def text(most: int, *kinds: str) -> Check:
    """Check a text object: ``plain_text`` or ``mrkdwn``, or one of them alone."""
    words = string(most)
    shapes = {
        "plain_text": record({"text": words}, {"emoji": flag}),
        "mrkdwn": record({"text": words}, {"verbatim": flag}),
    }
    inner = tagged({kind: shapes[kind] for kind in kinds or shapes})

    def check(value: Any, at: str) -> list[str]:
        found = inner(value, at)
        return [*wrong("failed to match all allowed schemas", at), *found] if found else []

    return check
