"""What a profile consists of: for each program its options, their values and its operands."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from app.core.command_parts import MORE, Program, Word

Full: TypeAlias = Callable[[str], bool | None]
"""Whether a text is matched as a whole."""

Subs: TypeAlias = tuple[tuple[str, ...], ...]

_LONG: Final = "--"
_STARRED: Final = re.compile(r"[*\[].*[*\[].*[*\[]")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What one program is permitted to be given.

    :ivar subs: sub-commands, one of which must stand first; empty for a program without.
    :ivar flags: options without value.
    :ivar values: options with one, and what it must be.
    :ivar optional: options whose value may be written on them with ``=``, or left out.
    :ivar denied: options that are refused whatever else permits them.
    :ivar positions: what the first operands must be.
    :ivar rest: what each further operand must be; None when there may be none.
    :ivar numbers: whether ``-5`` is an option.
    :ivar wraps: behind so many operands stands another program, which is judged by itself.
    :ivar more: names of files that find or xargs hands it are as good as written ones.
    """

    name: str
    subs: Subs = ()
    flags: frozenset[str] = frozenset()
    values: dict[str, Full] = field(default_factory=dict[str, Full])
    optional: dict[str, Full] = field(default_factory=dict[str, Full])
    denied: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    positions: tuple[Full, ...] = ()
    rest: Full | None = None
    least: int = 0
    most: int = 64
    numbers: bool = False
    wraps: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class ProfileExample:
    """A command, and whether the profile permits it."""

    command: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, ready to be asked.

    :ivar base: it is there to be extended, and permits nothing by itself.
    :ivar reading: what it permits changes nothing.
    :ivar programs: by name; one of a name's grammars must fit.
    :ivar filters: the same for the programs behind a pipe.
    :ivar redirects: ``2>&1`` and writing to ``/dev/null`` are permitted.
    :ivar allow: whole commands that are permitted beside the programs.
    :ivar deny: whole commands that are refused whatever else permits them.
    """

    name: str
    title: str
    description: str
    base: bool = False
    reading: bool = True
    programs: Mapping[str, tuple[Grammar, ...]] = field(
        default_factory=dict[str, tuple[Grammar, ...]]
    )
    filters: Mapping[str, tuple[Grammar, ...]] = field(
        default_factory=dict[str, tuple[Grammar, ...]]
    )
    redirects: bool = False
    allow: tuple[Full, ...] = ()
    deny: tuple[Full, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    expect: tuple[ProfileExample, ...] = ()


@dataclass(slots=True)
class _Read:
    operands: list[str] = field(default_factory=list[str])
    values: list[str] = field(default_factory=list[str])
    given: set[str] = field(default_factory=set[str])
    end: int | None = None


def objection(grammar: Grammar, program: Program) -> str:
    """Return why a program's arguments are not permitted; empty when they are."""
    if grammar.more and program.words and program.words[-1] is MORE:
        words = tuple(word for word in program.words[:-1] if word.text != "{}")
        program = replace(program, words=words)
    read = _Read()
    if problem := _options(grammar, program.texts, read):
        return problem
    if problem := _words(grammar, program.words[: read.end]):
        return problem
    if grammar.needs and not grammar.needs & read.given:
        return f"{grammar.name} needs an option that keeps it from running on"
    globs = set[str]() if grammar.more else {one.text for one in program.words if one.glob}
    if not globs.isdisjoint(read.values):
        return f"a pattern may become more than the one value of an option of {grammar.name}"
    return _operands(grammar, read.operands, globs)


def _words(grammar: Grammar, words: tuple[Word, ...]) -> str:
    for word in words:
        if not word.known:
            return f"an argument of {grammar.name} is not written out"
        if word.glob and not (grammar.more or _safe_glob(word.text)):
            return f"a pattern for {grammar.name} must begin with / or ./"
        if ".." in word.text and ".." in word.text.replace("=", "/").split("/"):
            return f"a path of {grammar.name} must not go up with .."
    return ""


def _safe_glob(text: str) -> bool:
    """Whether a pattern can't become an option, or ``..``."""
    if text[0].isalnum() and "/." not in text and not _STARRED.search(text):
        return True
    if not text.startswith(("/", "./", "~/")) or text.count("*") > 4:  # noqa: PLR2004
        return False
    parts = text.split("/")
    return not any(part.startswith(".") and set("*?[") & set(part) for part in parts)


def _options(grammar: Grammar, texts: tuple[str, ...], read: _Read) -> str:
    at, last = 0, len(texts)
    while at < last:
        text = texts[at]
        at += 1
        if text == _LONG:
            end = at + grammar.wraps - len(read.operands) if grammar.wraps else last
            read.operands += texts[at:end]
            read.end = end
            return ""
        if len(text) < 2 or text[0] != "-":  # noqa: PLR2004 (a dash alone is an operand)
            read.operands.append(text)
            if len(read.operands) == grammar.wraps:
                last = read.end = at
            continue
        name, problem = _option(grammar, text, read)
        if problem:
            return problem
        if name:
            if problem := _value(grammar, name, texts[at:last]):
                return problem
            read.values.append(texts[at])
            at += 1
    return ""


def _value(grammar: Grammar, name: str, following: tuple[str, ...]) -> str:
    if not following:
        return f"{grammar.name} {name} needs a value"
    fine = grammar.values[name](following[0])
    return "" if fine else f"the value of {grammar.name} {name} is not permitted"


def _option(grammar: Grammar, text: str, read: _Read) -> tuple[str, str]:
    """Return the option whose value is the next word, and why the option is not permitted."""
    name, equals, value = text.partition("=")
    if name in grammar.denied:
        return "", f"{grammar.name} {name} is not permitted"
    if text in grammar.flags:
        read.given.add(text)
        return "", ""
    permitted = grammar.values.get(name) or grammar.optional.get(name)
    if permitted is not None:
        read.given.add(name)
        if not equals:
            return (name if name in grammar.values else ""), ""
        fine = permitted(value)
        return "", "" if fine else f"the value of {grammar.name} {name} is not permitted"
    return _short(grammar, text, read)


def _short(grammar: Grammar, text: str, read: _Read) -> tuple[str, str]:
    if grammar.numbers and text[1:].isascii() and text[1:].isdigit():
        read.given.add("-n")
        return "", ""
    if text.startswith(_LONG):
        return "", f"{grammar.name} {text.partition('=')[0]} is not permitted"
    return _bundle(grammar, text, read)


def _bundle(grammar: Grammar, text: str, read: _Read) -> tuple[str, str]:
    for at, letter in enumerate(text[1:], 2):
        option = f"-{letter}"
        if option in grammar.denied:
            break
        if option in grammar.values:
            read.given.add(option)
            if not text[at:]:
                return option, ""
            if grammar.values[option](text[at:]):
                return "", ""
            return "", f"the value of {grammar.name} {option} is not permitted"
        if option not in grammar.flags:
            break
        read.given.add(option)
    else:
        return "", ""
    return "", f"{grammar.name} {text[:40]} is not permitted"


def _operands(grammar: Grammar, operands: list[str], globs: set[str]) -> str:
    if grammar.subs:
        sub = next((one for one in grammar.subs if tuple(operands[: len(one)]) == one), None)
        if sub is None:
            what = operands[0][:40] if operands else "without a sub-command"
            return f"{grammar.name} {what} is not permitted"
        operands = operands[len(sub) :]
    if len(operands) < grammar.least:
        return f"{grammar.name} needs more operands"
    if len(operands) > grammar.most:
        return f"{grammar.name} has more operands than are permitted"
    first = operands[: len(grammar.positions)]
    if any(one in globs and not (grammar.rest and grammar.rest(one)) for one in first):
        return f"a pattern may become more than one operand of {grammar.name}"
    found = (_operand(grammar, at, text) for at, text in enumerate(operands))
    return next((reason for reason in found if reason), "")


def _operand(grammar: Grammar, at: int, text: str) -> str:
    permitted = grammar.positions[at] if at < len(grammar.positions) else grammar.rest
    if text[:1] == "-" and text != "-":
        return f"{text[:60]!r} looks like an option of {grammar.name}"
    if permitted is None:
        return f"{grammar.name} has more operands than are permitted"
    return "" if permitted(text) else f"{text[:60]!r} is not permitted for {grammar.name}"
