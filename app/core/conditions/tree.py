"""From a ``match`` object and a ``when`` expression to one condition tree."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from app.core.conditions import BLOCKS, OPERATORS, expression
from app.core.conditions.base import Condition, Spec, every, opposite, some
from app.core.conditions.reading import array, below, members, refuse, shown, unknown
from app.core.facts import parse_path
from app.core.json_types import JsonValue

MAX_CONDITIONS: Final = 200
"""Most conditions in one rule."""

MAX_NESTING: Final = 8
"""Deepest nesting of all, any and not."""

_MAX_BRANCHES: Final = 100


def parse_match(value: JsonValue, pointer: str) -> Condition:
    """Return the condition of a match object; its members are ANDed.

    :raises InvalidPolicy: with the pointer of what is wrong.
    """
    tree = _match(value, pointer, 0)
    if sum(1 for _ in tree.leaves()) > MAX_CONDITIONS:
        refuse(f"a rule has at most {MAX_CONDITIONS} conditions", pointer)
    return tree


def parse_when(value: JsonValue, pointer: str) -> Condition:
    """Return the condition of a CEL expression.

    :raises InvalidPolicy: when it is not accepted.
    """
    return expression.KINDS[0].build(Spec("when", (), value, pointer))


def conjunction(parts: Sequence[Condition]) -> Condition:
    """Return the AND of conditions; without any it is always true."""
    if len(parts) == 1:
        return parts[0]
    operand = [part.to_json() for part in parts]
    return _combined("all", operand, parts, " and ", every([part.matches for part in parts]))


def _combined(
    kind: str,
    operand: JsonValue,
    parts: Sequence[Condition],
    word: str,
    matches: Callable[..., bool | None],
) -> Condition:
    texts = [f"({part.text})" if part.children else part.text for part in parts]
    text = word.join(texts) or "always"
    return Condition(kind, operand, text, matches, children=tuple(parts))


def _match(value: JsonValue, pointer: str, depth: int) -> Condition:
    if not isinstance(value, Mapping):
        refuse("must be an object of conditions", pointer)
    if not value:
        refuse("has no condition; leave match out for a rule that always applies", pointer)
    if depth > MAX_NESTING:
        refuse(f"all, any and not nest at most {MAX_NESTING} deep", pointer)
    parts = [
        part
        for name, item in value.items()
        for part in _member(name, item, below(pointer, name), depth)
    ]
    return conjunction(parts)


def _member(name: str, value: JsonValue, pointer: str, depth: int) -> Iterator[Condition]:
    if name in BLOCKS:
        yield BLOCKS[name].build(Spec(name, (), value, pointer))
    elif name in {"all", "any"}:
        yield _branches(name, value, pointer, depth + 1)
    elif name == "not":
        part = _match(value, pointer, depth + 1)
        text = f"not ({part.text})"
        yield Condition("not", part.to_json(), text, opposite(part.matches), children=(part,))
    else:
        yield from _operators(name, value, pointer)


def _branches(name: str, value: JsonValue, pointer: str, depth: int) -> Condition:
    items = array(value, pointer, _MAX_BRANCHES)
    parts = [_match(item, below(pointer, at), depth) for at, item in enumerate(items)]
    operand = [part.to_json() for part in parts]
    checks = [part.matches for part in parts]
    if name == "all":
        return _combined("all", operand, parts, " and ", every(checks))
    return _combined("any", operand, parts, " or ", some(checks))


def _operators(name: str, value: JsonValue, pointer: str) -> Iterator[Condition]:
    try:
        path = parse_path(name)
    except ValueError as error:
        refuse(str(error), pointer)
    if isinstance(value, Mapping):
        wanted = members(value, pointer, value.keys())
        if not wanted:
            refuse(f'give an operator, as in {{{shown(name)}: {{"exists": true}}}}', pointer)
        for operator, operand in wanted.items():
            where = below(pointer, operator)
            if operator not in OPERATORS:
                unknown(operator, OPERATORS, "operator", pointer)
            yield OPERATORS[operator].build(Spec(name, path, operand, where))
    elif isinstance(value, list):
        refuse('write {"in": [...]} for one of these, or {"eq": [...]} for this list', pointer)
    else:
        yield OPERATORS["eq"].build(Spec(name, path, value, pointer))
