"""What a loop's variable stands for inside the loop, where that is written out."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final

from app.core.command_found import Parts
from app.core.command_parts import Program, Word

_VALUE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@%,+-]*")
_MOST: Final = 16
_SETS: Final = frozenset({
    "read", "mapfile", "readarray", "declare", "typeset", "local", "export", "readonly", "unset",
    "let", "getopts", "wait", "coproc", "eval", "source", ".", "select", "set", "shift", "alias",
    "trap", "",
})  # fmt: skip
"""Programs of the shell that may give a variable another value."""


def bind(parts: Parts, loop: tuple[str, list[Word]], first: int, assigned: int, text: str) -> None:
    """Note on the programs of a loop's body what its variable is, where it can't be another.

    :param loop: the variable and its values.
    :param first: the body's first program.
    :param assigned: the first assignment of the body.
    :param text: the whole loop.
    """
    name, values = loop[0], tuple(dict.fromkeys(loop[1]))
    body = parts.programs[first:]
    if not values or len(values) > _MOST or "((" in text or "IFS" in text:
        return
    if not all(word.plain and _VALUE.fullmatch(word.text) for word in values):
        return
    if any(one.name.partition("[")[0] == name for one in parts.assignments[assigned:]):
        return
    if any(one.name in _SETS or (one.name == "printf" and "-v" in one.texts) for one in body):
        return
    parts.programs[first:] = [replace(one, bound=(*one.bound, (name, values))) for one in body]


def spelled(program: Program) -> Iterator[Program]:
    """Yield a program once for each value of the loops that it stands in; as it is without any."""
    used = [
        one for one in program.bound if any(_filled(word, one[0], "") for word in program.words)
    ]
    count = 1
    for _, values in used:
        count *= len(values)
    if not used or count > _MOST:
        yield program
        return
    for chosen in product(*(values for _, values in used)):
        words = program.words
        for (name, _), value in zip(used, chosen, strict=True):
            words = tuple(_filled(word, name, value.text) or word for word in words)
        yield replace(program, words=words)


def _filled(word: Word, name: str, value: str) -> Word | None:
    """Return a word with the value in its one hole; None where that is no place for it."""
    if word.known or len(word.pieces) != 2:  # noqa: PLR2004 - one hole is between two pieces
        return None
    head, tail = word.pieces
    if word.text not in {f"{head}${name}{tail}", f"{head}${{{name}}}{tail}"}:
        return None
    return Word(f"{head}{value}{tail}", glob=word.glob)
