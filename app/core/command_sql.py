"""SQL inside the commands of database clients: what would be executed, as code to judge."""

import re
from typing import Final

from app.core.command_parts import Program, Word
from app.core.command_wrappers import Code, Doubt, Inner

_STRING: Final = re.compile(r"'[^']*'")
_TRICKY: Final = ("\\", "--", "#", "/*", "$$", '"', "`", "''")
_FILES: Final = ("-f", "--file", "--init-command", "-i", "-init", "--init-file")


def sql_code(program: Program, flags: tuple[str, ...], operand: int | None) -> list[Inner]:
    """Return the statements that a client is given.

    :param flags: options whose value is a statement.
    :param operand: the place of the first operand that is one; None for a client without.
    """
    inner, plain = list[Inner](), list[Word]()
    words = iter(program.words)
    for word in words:
        if found := _given(program, word, flags):
            inner.append(found)
        elif word.text in flags or _ends_bundle(word.text, flags):
            inner.append(Code("sql", next(words, Word("", known=False))))
        elif not word.text.startswith("-"):
            plain.append(word)
    if operand is not None:
        inner += [Code("sql", word) for word in plain[operand:]]
    return inner or (_fed(program) if program.fed else [])


def _given(program: Program, word: Word, flags: tuple[str, ...]) -> Inner | None:
    """Return what one word says: ``--execute=...``, ``-eSELECT 1``, or a file."""
    name, equals, value = word.text.partition("=")
    if equals and any(len(name) > 3 and flag.startswith(name) for flag in flags):  # noqa: PLR2004
        return Code("sql", Word(value, word.known))
    if word.text in flags or _ends_bundle(word.text, flags):
        return None
    if name in _FILES or (name.startswith("-f") and program.name == "psql"):
        return Doubt(f"{program.name} runs statements from a file")
    glued = _glued(word.text, flags)
    return Code("sql", Word(glued, word.known)) if glued else None


def _fed(program: Program) -> list[Inner]:
    bodies = [one.body for one in program.redirects if one.body is not None]
    if bodies:
        return [Code("sql", body) for body in bodies]
    return [Doubt(f"{program.name} runs what another program or a file hands it")]


def _ends_bundle(text: str, flags: tuple[str, ...]) -> bool:
    """Whether the word is a bundle like ``-tAc``, so that the next word is the value."""
    bundle = text[:1] == "-" and text[1:].isalpha() and text[:2] != "--"
    return bundle and any(len(flag) == 2 and text.endswith(flag[1]) for flag in flags)  # noqa: PLR2004


def _glued(text: str, flags: tuple[str, ...]) -> str:
    """Return the value that is written onto an option: ``-eSELECT 1``, ``-tAc`` has none."""
    for flag in flags:
        if len(flag) == 2 and text.startswith("-") and not text.startswith("--"):  # noqa: PLR2004
            head, found, rest = text.partition(flag[1])
            if found and rest and (head == "-" or head[1:].isalpha()):
                return rest
    return ""


def without_strings(statement: str) -> str:
    """Return a statement without the texts in it, where all dialects agree on what is a text."""
    if any(sign in statement for sign in _TRICKY):
        return statement
    return _STRING.sub("''", statement)
