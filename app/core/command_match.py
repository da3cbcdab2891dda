"""Matching one rule of the guard against one program of a command."""

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from app.core.command_parts import MORE, CommandLine, Program, Word

_LEAST_LONG: Final = 4
"""Shortest abbreviation of a long option that counts: two dashes and two letters."""

_HEAD: Final = re.compile(r"-[A-Za-z0-9]*")
_SLASHES: Final = re.compile(r"/(?:\./|/)+")
_UP: Final = re.compile(r"(^|/)(?!\.\.?/)[^/\n]+/\.\./")
_MOST_UPS: Final = 40
_MOST_STARS: Final = 6
_MOST_PATTERNS: Final = 64
_READERS: Final = frozenset({"read", "mapfile", "readarray"})

Subs: TypeAlias = Mapping[str, tuple[tuple[str, ...], ...]]
"""Sub-commands: the first word, and what may follow it."""


class Around(NamedTuple):
    """What rules ask of the whole line, gathered once: a line is as long as its author likes.

    :ivar first: for each program's name the place where it stands first.
    :ivar values: for each variable what the line itself gives it.
    :ivar gets: words may come from what is read, or from another program.
    """

    first: Mapping[str, int]
    values: Mapping[str, tuple[Word, ...]]
    gets: bool


def around(line: CommandLine) -> Around:
    """Return what rules ask of a line as a whole."""
    first: dict[str, int] = {}
    for at, program in enumerate(line.programs):
        first.setdefault(program.name, at)
    gets = "substitution" in line.features or not _READERS.isdisjoint(first)
    return Around(first, _values(line), gets) if line.assignments else Around(first, {}, gets)


def _values(line: CommandLine) -> dict[str, tuple[Word, ...]]:
    values: dict[str, dict[Word, None]] = {}
    for one in line.assignments:
        values.setdefault(one.name, {})[one.value] = None
    return {name: tuple(words) for name, words in values.items()}


class Given(NamedTuple):
    """The options of a program, as rules ask for them.

    :ivar letters: of ``-x`` and of bundles.
    :ivar longs: of two dashes, without values.
    :ivar names: all, without values.
    """

    letters: set[str]
    longs: list[str]
    names: set[str]


_NONE: Final = Given(set(), [], set())


class Seen(NamedTuple):
    """One program of a line, prepared for the rules that look at every program."""

    around: Around
    program: Program
    at: int
    texts: tuple[str, ...]
    given: Given
    opened: list[Word] | None
    """Words that stand for more than themselves; None for more of them than are looked at."""
    paths: str
    """Arguments and files, one a line, with the shortest spelling of each path."""
    folder: str = ""
    """The folder that it runs in, as far as a ``cd`` before it says."""
    usual: bool = False
    """No rule for all programs finds a file of its own among them."""


def options_of(words: tuple[Word, ...]) -> Given:
    """Return the options among the words, read once for all rules."""
    if not words:
        return _NONE
    letters, longs, names = set[str](), list[str](), set[str]()
    for word in words:
        text = word.text
        if text[:1] != "-":
            continue
        name = text.partition("=")[0]
        names.add(name)
        if text[1:2] == "-":
            longs.append(name)
        elif (head := _HEAD.match(text)) is not None:
            letters.update(head[0])
    return Given(letters, longs, names)


def has_flag(given: Given, flag: str) -> bool:
    """Whether an option is given: bundled, abbreviated, or with a value on it."""
    if flag.startswith("--"):
        return any(_is_long(name, flag) for name in given.longs)
    if len(flag) == 2:  # noqa: PLR2004 (a dash and a letter)
        return flag[1] in given.letters
    return flag in given.names


def _is_long(name: str, flag: str) -> bool:
    return name == flag or (len(name) >= _LEAST_LONG and flag.startswith(name))


def sub_commands(program: Program, wanted: Subs, values: set[str]) -> bool:
    """Whether the arguments begin with one of the sequences, whatever options stand between.

    An operand right behind an option may be the option's value: both readings are tried.
    """
    operands = _operands(program, values)
    starts: dict[str, list[int]] = {}
    for at, (text, behind) in enumerate(operands):
        if text in wanted and (not behind or text not in starts):
            starts.setdefault(text, []).append(at)
        if not behind:
            break
    return any(
        _follows(operands, at + 1, rest)
        for text, places in starts.items()
        for rest in wanted[text]
        for at in places
    )


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
    """Whether words follow; of places that are as good as others the first one is tried alone."""
    if not wanted:
        return True
    tried = False
    for place in range(at, len(operands)):
        text, behind = operands[place]
        if wanted[0] in {text, "*"} and not (tried and behind):
            tried = True
            if _follows(operands, place + 1, wanted[1:]):
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


def values_of(word: Word, values: Mapping[str, tuple[Word, ...]]) -> tuple[Word, ...]:
    """Return what a word that is one variable may be, where the line itself says so."""
    name = word.text.strip("${}")
    if word.known or word.text not in {f"${name}", f"${{{name}}}"}:
        return (word,)
    return values.get(name, (word,))


def open_words(program: Program) -> list[Word] | None:
    """Return the words that stand for more than themselves, each once; None for too many."""
    found = [word for word in files_of(program) if not word.known or word.glob]
    if not found:
        return found
    found = [word for word in dict.fromkeys(found) if word is not MORE]
    return found if len(found) <= _MOST_PATTERNS else None


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
