"""``lt``, ``lte``, ``gt``, ``gte``: numbers only, compared exactly; a bool is not a number."""

import math
import operator
from collections.abc import Callable
from typing import Final

from app.core.conditions.base import Condition, Kind, Spec, Tri, leaf
from app.core.conditions.reading import number


def _builder(
    kind: str, phrase: str, compare: Callable[[float, float], bool]
) -> Callable[[Spec], Condition]:
    def build(spec: Spec) -> Condition:
        limit = number(spec.value, spec.pointer)

        def test(value: object) -> Tri:
            if type(value) is int:
                return compare(value, limit)
            if type(value) is float and math.isfinite(value):
                return compare(value, limit)
            return None

        return leaf(spec, kind, f"{phrase} {limit}", test)

    return build


def _kind(name: str, phrase: str, compare: Callable[[float, float], bool]) -> Kind:
    summary = f"A number that {phrase} this one."
    build = _builder(name, phrase, compare)
    return Kind(name, "operator", summary, {"params.amount": {name: 100}}, build)


KINDS: Final = (
    _kind("lt", "is less than", operator.lt),
    _kind("lte", "is at most", operator.le),
    _kind("gt", "is greater than", operator.gt),
    _kind("gte", "is at least", operator.ge),
)
