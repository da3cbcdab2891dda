"""What a condition is, and Kleene's three-valued logic over conditions.

A check gives True, False, or None when it can't be known (a missing fact, a wrong type, an
error inside). AND is False as soon as one part is False, OR is True as soon as one part is True,
NOT keeps None.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.core.facts import MISSING, UNCLEAR, Facts, Path, Read, reader
from app.core.json_types import JsonObject, JsonValue

Tri: TypeAlias = bool | None
"""True, False, or None for "can't be known"."""

Check: TypeAlias = Callable[[Facts], Tri]
Test: TypeAlias = Callable[[object], Tri]


@dataclass(frozen=True, slots=True)
class Condition:
    """One node of a rule's condition tree, compiled.

    ``matches`` never raises. ``read`` finds the value that is looked at, when there is one.
    """

    kind: str
    operand: JsonValue
    text: str
    matches: Check
    name: str = ""
    path: Path = ()
    read: Read | None = None
    children: tuple["Condition", ...] = ()

    def describe(self) -> str:
        """Return the condition in plain English."""
        return self.text

    def to_json(self) -> JsonObject:
        """Return the match object that this condition came from."""
        if self.path:
            return {self.name: {self.kind: self.operand}}
        return {self.kind: self.operand}

    def leaves(self) -> Iterator["Condition"]:
        """Yield every condition of the tree that has no parts."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Spec:
    """One condition as it is written: where, what, and its JSON pointer."""

    name: str
    path: Path
    value: JsonValue
    pointer: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of condition: an operator on a path, a block of its own, or the expression.

    ``build`` raises :class:`app.core.errors.InvalidPolicy` and nothing else.
    """

    name: str
    form: Literal["operator", "block", "expression"]
    summary: str
    example: JsonValue
    build: Callable[[Spec], Condition]


def guarded(check: Check) -> Check:
    """Return a check that gives None where the given one raises (threat T38)."""

    def matches(facts: Facts) -> Tri:
        try:
            return check(facts)
        except Exception:  # noqa: BLE001 (whatever goes wrong inside is "can't be known")
            return None

    return matches


def leaf(spec: Spec, kind: str, phrase: str, test: Test) -> Condition:
    """Return the condition that tests the value found at a path; missing or unclear is None."""
    read = reader(spec.path)

    def matches(facts: Facts) -> Tri:
        try:
            value = read(facts)
            return None if value is MISSING or value is UNCLEAR else test(value)
        except Exception:  # noqa: BLE001 (see guarded; spelled out because this is the hot path)
            return None

    return Condition(kind, spec.value, f"{spec.name} {phrase}", matches, spec.name, spec.path, read)


def negated(test: Test) -> Test:
    """Return the test that is True where the given one is False; None stays None."""

    def opposite(value: object) -> Tri:
        result = test(value)
        return None if result is None else not result

    return opposite


def every(checks: Sequence[Check]) -> Check:
    """Return the AND of checks."""
    if len(checks) == 1:
        return checks[0]
    parts = tuple(checks)

    def matches(facts: Facts) -> Tri:
        answer: Tri = True
        for check in parts:
            result = check(facts)
            if result is False:
                return False
            if result is None:
                answer = None
        return answer

    return matches


def some(checks: Sequence[Check]) -> Check:
    """Return the OR of checks."""
    parts = tuple(checks)

    def matches(facts: Facts) -> Tri:
        answer: Tri = False
        for check in parts:
            result = check(facts)
            if result is True:
                return True
            if result is None:
                answer = None
        return answer

    return matches


def opposite(check: Check) -> Check:
    """Return the NOT of a check."""

    def matches(facts: Facts) -> Tri:
        result = check(facts)
        return None if result is None else not result

    return matches
