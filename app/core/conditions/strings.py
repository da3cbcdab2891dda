"""``contains``, ``starts_with``, ``ends_with``, ``regex``, ``min_length``, ``max_length``."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from app.core.conditions.base import Condition, Kind, Spec, Test, Tri, leaf
from app.core.conditions.equality import member
from app.core.conditions.reading import integer, refuse, shown, text
from app.core.regex import MAX_PATTERN, compile_search

_MAX_TEXT: Final = 1_000
_MAX_LENGTH: Final = 10_000_000


def _contains(spec: Spec) -> Condition:
    wanted = spec.value
    if isinstance(wanted, str):
        text(wanted, spec.pointer, _MAX_TEXT)

    def test(value: object) -> Tri:
        if isinstance(value, str):
            return wanted in value if isinstance(wanted, str) else None
        if isinstance(value, list | tuple):
            return _has(cast("Sequence[object]", value), wanted)
        return None

    return leaf(spec, "contains", f"contains {shown(wanted)}", test)


def _has(items: Sequence[object], wanted: object) -> Tri:
    results = [member(item, (wanted,)) for item in items]
    return True if True in results else None if None in results else False


def _starts_with(spec: Spec) -> Condition:
    prefix = text(spec.value, spec.pointer, _MAX_TEXT)

    def test(value: object) -> Tri:
        return value.startswith(prefix) if isinstance(value, str) else None

    return leaf(spec, "starts_with", f"starts with {shown(prefix)}", test)


def _ends_with(spec: Spec) -> Condition:
    suffix = text(spec.value, spec.pointer, _MAX_TEXT)

    def test(value: object) -> Tri:
        return value.endswith(suffix) if isinstance(value, str) else None

    return leaf(spec, "ends_with", f"ends with {shown(suffix)}", test)


def _regex(spec: Spec) -> Condition:
    pattern = text(spec.value, spec.pointer, MAX_PATTERN)
    try:
        search = compile_search(pattern)
    except ValueError as error:
        refuse(str(error), spec.pointer)

    def test(value: object) -> Tri:
        return search(value) if isinstance(value, str) else None

    return leaf(spec, "regex", f"matches the pattern {shown(pattern)}", test)


def _length(value: object) -> int | None:
    if isinstance(value, str | list | tuple | Mapping):
        return len(cast("Sequence[object]", value))
    return None


def _min_length(spec: Spec) -> Condition:
    limit = integer(spec.value, spec.pointer, 0, _MAX_LENGTH)
    return leaf(spec, "min_length", f"has a length of at least {limit}", _bounds(limit, None))


def _max_length(spec: Spec) -> Condition:
    limit = integer(spec.value, spec.pointer, 0, _MAX_LENGTH)
    return leaf(spec, "max_length", f"has a length of at most {limit}", _bounds(0, limit))


def _bounds(low: int, high: int | None) -> Test:
    def test(value: object) -> Tri:
        length = _length(value)
        return None if length is None else low <= length <= (length if high is None else high)

    return test


KINDS: Final = (
    Kind(
        "contains",
        "operator",
        "A string that has this part, or a list that has this member.",
        {"params.note": {"contains": "refund"}},
        _contains,
    ),
    Kind(
        "starts_with",
        "operator",
        "A string that begins so.",
        {"params.file": {"starts_with": "/tmp/"}},  # noqa: S108 (an example)
        _starts_with,
    ),
    Kind(
        "ends_with",
        "operator",
        "A string that ends so.",
        {"params.to": {"ends_with": "@example.com"}},
        _ends_with,
    ),
    Kind(
        "regex",
        "operator",
        "A string in which this RE2 pattern is found.",
        {"params.branch": {"regex": "^release/[0-9]+$"}},
        _regex,
    ),
    Kind(
        "min_length",
        "operator",
        "A string, list or object with at least so many characters, items or members.",
        {"reason": {"min_length": 10}},
        _min_length,
    ),
    Kind(
        "max_length",
        "operator",
        "A string, list or object with at most so many characters, items or members.",
        {"params.recipients": {"max_length": 5}},
        _max_length,
    ),
)
