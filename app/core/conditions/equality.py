"""``eq``, ``ne``, ``in``, ``not_in``: the same JSON value, of the same JSON type.

Strings compare code point by code point: case counts, nothing is normalised. ``1`` equals
``1.0``; ``true`` is not ``1``. Values of two types can't be compared, which is "can't be known",
not "different": otherwise ``["KP"]`` would slip past a rule that denies ``"KP"`` (threat T35).
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from app.core.conditions.base import Condition, Kind, Spec, Test, Tri, leaf, negated
from app.core.conditions.reading import array, shown
from app.core.json_types import JsonValue

_MAX_OPTIONS: Final = 1_000


def same(found: object, wanted: object) -> Tri:
    """Compare two JSON values by Kleene's logic; None when their types differ."""
    if wanted is None:
        return found is None
    if isinstance(wanted, str):
        return found == wanted if isinstance(found, str) else None
    if isinstance(wanted, bool):
        return found is wanted if isinstance(found, bool) else None
    if isinstance(wanted, int | float):
        return _same_number(found, wanted)
    if isinstance(wanted, Mapping):
        return _same_object(found, cast("Mapping[str, object]", wanted))
    return _same_list(found, cast("Sequence[object]", wanted))


def _same_number(found: object, wanted: float) -> Tri:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return None if found != found else found == wanted  # noqa: PLR0124 (NaN)


def _same_object(found: object, wanted: Mapping[str, object]) -> Tri:
    if not isinstance(found, Mapping):
        return None
    mapping = cast("Mapping[str, object]", found)
    if mapping.keys() != wanted.keys():
        return False
    return _all([same(mapping[name], wanted[name]) for name in wanted])


def _same_list(found: object, wanted: Sequence[object]) -> Tri:
    if not isinstance(found, list | tuple):
        return None
    items = cast("Sequence[object]", found)
    if len(items) != len(wanted):
        return False
    return _all([same(*pair) for pair in zip(items, wanted, strict=True)])


def _all(results: list[Tri]) -> Tri:
    return False if False in results else None if None in results else True


def member(found: object, options: Sequence[object]) -> Tri:
    """Whether a value is one of the options: True dominates, then None."""
    answer: Tri = False
    for option in options:
        result = same(found, option)
        if result:
            return True
        if result is None:
            answer = None
    return answer


def equal_test(wanted: JsonValue) -> Test:
    """Return the test for one value, with the common case of a string made quick."""
    if not isinstance(wanted, str):
        return lambda value: same(value, wanted)

    def test(value: object) -> Tri:
        return value == wanted if isinstance(value, str) else None

    return test


def _option_test(options: Sequence[JsonValue]) -> Test:
    if not all(isinstance(option, str) for option in options):
        return lambda value: member(value, options)
    names = frozenset(cast("Sequence[str]", options))

    def test(value: object) -> Tri:
        return value in names if isinstance(value, str) else None

    return test


def _eq(spec: Spec) -> Condition:
    return leaf(spec, "eq", f"is {shown(spec.value)}", equal_test(spec.value))


def _ne(spec: Spec) -> Condition:
    return leaf(spec, "ne", f"is not {shown(spec.value)}", negated(equal_test(spec.value)))


def _in(spec: Spec) -> Condition:
    options = array(spec.value, spec.pointer, _MAX_OPTIONS)
    return leaf(spec, "in", f"is one of {shown(options)}", _option_test(options))


def _not_in(spec: Spec) -> Condition:
    options = array(spec.value, spec.pointer, _MAX_OPTIONS)
    test = negated(_option_test(options))
    return leaf(spec, "not_in", f"is none of {shown(options)}", test)


KINDS: Final = (
    Kind("eq", "operator", "The same value.", {"params.currency": {"eq": "EUR"}}, _eq),
    Kind("ne", "operator", "Another value of the same type.", {"urgency": {"ne": "low"}}, _ne),
    Kind("in", "operator", "One of these values.", {"params.currency": {"in": ["EUR"]}}, _in),
    Kind("not_in", "operator", "None of these.", {"target": {"not_in": ["prod"]}}, _not_in),
)
