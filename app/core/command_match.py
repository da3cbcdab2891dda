"""Matching one rule of the guard against one program of a command."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Final, TypeAlias

from app.core.command_parts import CommandLine, Program, Word

_LEAST_LONG: Final = 4
"""Shortest abbreviation of a long option that counts: two dashes and two letters."""

_HEAD: Final = re.compile(r"-[A-Za-z0-9]*")
_SLASHES: Final = re.compile(r"/(?:\./|/)+")
_UP: Final = re.compile(r"(^|/)(?!\.\.?/)[^/\n]+/\.\./")
_MOST_UPS: Final = 40
_MOST_STARS: Final = 6

Subs: TypeAlias = Mapping[str, tuple[tuple[str, ...], ...]]
"""Sub-commands: the first word, and what may follow it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One program of a line, prepared for the rules that look at every program."""

    line: CommandLine
    program: Program
    at: int
    texts: tuple[str, ...]
    paths: str
    """Arguments and files, one a line, with the shortest spelling of each path."""
    folder: str = ""
    """The folder that it runs in, as far as a ``cd`` before it says."""
    usual: bool = False
    """No rule for all programs finds a file of its own among them."""


def has_flag(words: tuple[Word, ...], flag: str) -> bool:
    """Whether an option is given: bundled, abbreviated, or with a value on it."""
    if flag.startswith("--"):
        return any(_is_long(word.text, flag) for word in words)
    if len(flag) == 2:  # noqa: PLR2004 (a dash and a letter)
        return any(_in_bundle(word.text, flag[1]) for word in words)
    return any(word.text.partition("=")[0] == flag for word in words)


def _is_long(text: str, flag: str) -> bool:
    name = text.partition("=")[0]
    return name == flag or (len(name) >= _LEAST_LONG and flag.startswith(name))


def _in_bundle(text: str, letter: str) -> bool:
    if text[:1] != "-" or text[:2] == "--":
        return False
    head = _HEAD.match(text)
    return head is not None and letter in head[0]


def sub_commands(program: Program, wanted: Subs, values: set[str]) -> bool:
    """Whether the arguments begin with one of the sequences, whatever options stand between.

    An operand right behind an option may be the option's value: both readings are tried.
    """
    operands = _operands(program, values)
    for at, (text, behind) in enumerate(operands):
        for rest in wanted.get(text, ()):
            if not rest or _follows(operands, at + 1, rest):
                return True
        if not behind:
            return False
    return False


def _operands(program: Program, values: set[str]) -> list[tuple[str, bool]]:
    """Return the operands, each with whether an option stands right before it."""
    operands = list[tuple[str, bool]]()
    behind = skipped = False
    for word in program.words:
        text = word.text
        if text[:1] == "-" and len(text) > 1:
            skipped = text in values
            behind = not skipped and "=" not in text
        elif skipped:
            skipped = False
        else:
            operands.append((text.lower(), behind))
            behind = False
    return operands


def _follows(operands: list[tuple[str, bool]], at: int, wanted: tuple[str, ...]) -> bool:
    for place in range(at, len(operands)):
        text, behind = operands[place]
        if wanted[0] in {text, "*"} and (
            len(wanted) == 1 or _follows(operands, place + 1, wanted[1:])
        ):
            return True
        if not behind:
            return False
    return False


def unknown_option(program: Program) -> bool:
    """Whether an argument that isn't written out may be an option."""
    return any(not word.known and (not word.pieces or not word.pieces[0]) for word in program.words)


def short_path(text: str) -> str:
    """Return a path without what changes nothing: ``//``, ``/./``, ``x/../``."""
    if "/" not in text:
        return text
    text = _SLASHES.sub("/", text)
    for _ in range(_MOST_UPS):
        shorter = _UP.sub(r"\1", text)
        if shorter == text:
            break
        text = _SLASHES.sub("/", shorter)
    while text.startswith("/../"):
        text = text[3:]
    return text


def files_of(program: Program) -> list[Word]:
    """Return the words of a program that may name files: arguments and redirections."""
    targets = [one.target for one in program.redirects if one.target is not None]
    return [*targets, *program.words] if targets else list(program.words)


def values_of(word: Word, line: CommandLine) -> tuple[Word, ...]:
    """Return what a word that is one variable may be, where the line itself says so."""
    name = word.text.strip("${}")
    if word.known or word.text not in {f"${name}", f"${{{name}}}"}:
        return (word,)
    return tuple(one.value for one in line.assignments if one.name == name) or (word,)


def could_be(word: Word, samples: tuple[str, ...]) -> bool:
    """Whether a pattern of the shell, or a word with holes, may stand for one of the paths."""
    if word.known and "/" not in word.text:
        return False  # a pattern for files of the folder that the command starts in
    pattern = "*".join(word.pieces) if not word.known else word.text
    search = _pattern(short_path(pattern), word.known)
    return any(search(sample) for sample in samples)


@lru_cache(maxsize=512)
def _pattern(glob: str, known: bool) -> Callable[[str], object]:  # noqa: FBT001
    """Return the test for a pattern; in one for files ``*`` stops at a slash."""
    tail = glob.rsplit("../", 1)[-1].removeprefix("~/").removeprefix("./")
    prefix = "" if glob.startswith(("/", "*")) else "(?:.*/)?"
    text = glob if glob.startswith("/") else tail
    if text.count("*") > _MOST_STARS:
        return re.compile(r"(?s).*").fullmatch
    body = translate(re.sub(r"\*+", "*", text))[4:-3]
    if known:
        body = body.replace(".*", "[^/]*")
    return re.compile(f"(?s){prefix}{body}").fullmatch
