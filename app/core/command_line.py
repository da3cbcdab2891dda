"""A shell command as a person would explain it: which programs run, with which words.

``parse_command`` never raises and never skips: what it can't explain makes the line *opaque*,
with reasons, and nothing that is opaque is ever allowed by itself (threat T41).
"""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.command_found import Parts
from app.core.command_lexer import Plain, plain_pipeline
from app.core.command_parts import (
    MORE,
    Assignment,
    Bound,
    CommandLine,
    Program,
    Redirect,
    Word,
    program_name,
)
from app.core.command_special import special
from app.core.command_sql import without_strings
from app.core.command_wrappers import Argv, Code, Doubt, Inner, Script, inside

__all__ = ("Assignment", "CommandLine", "Program", "Redirect", "Word", "parse_command")

MAX_COMMAND: Final = 16_384
"""Longest command that is taken apart, in UTF-8 bytes."""

MAX_PROGRAMS: Final = 64
"""Most programs in one command."""

MOST_ENTERED: Final = 256
"""Programs after which a command is taken apart no further, and is refused."""

MAX_DEPTH: Final = 6
"""Most wrappers around a program."""

_PLAIN: Final = re.compile(r"[\x20-\x7e\n\t]*")
_SPLIT: Final = re.compile(r"\S\\\n\S")
_READS_AGAIN: Final = frozenset(
    {"[", "[[", "declare", "export", "getopts", "let", "local", "mapfile", "printf", "read",
     "readarray", "readonly", "test", "typeset", "unset", "wait"}
)  # fmt: skip
"""Builtins that take names of variables, whose subscripts bash evaluates."""

_DECLARES: Final = frozenset({"export", "declare", "typeset", "readonly", "local"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs", "Me"})


def _apart(data: bytes) -> Parts:
    from app.core.command_tree import take_apart  # noqa: PLC0415 - 5 MB, for those who use SSH

    return take_apart(data)


def parse_command(text: str, *, fed: bool = False) -> CommandLine:
    """Return the programs that a command would run; opaque where that is not certain.

    :param fed: it is given input, which a shell or an interpreter would run.
    """
    if len(text) <= MAX_COMMAND and (plain := plain_pipeline(text)):
        return _line(text, _parts(plain), fed=fed)
    return _parsed(text, fed=fed)


def _parts(plain: list[Plain]) -> Parts:
    parts = Parts(b"", plain=True)
    for at, (path, words, redirects) in enumerate(plain):
        fed = at > 0 or any("<" in one.operator for one in redirects)
        parts.programs.append(Program(program_name(path), path, words, redirects, (), (), fed))
        if redirects:
            parts.redirects += redirects
            parts.features.add("redirect")
    return parts


def _parsed(text: str, *, fed: bool) -> CommandLine:
    """Return what the parser makes of a command."""
    reasons = [] if _PLAIN.fullmatch(text) else _odd(text)
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_COMMAND:
        return CommandLine(text, opaque=("it is longer than 16 KiB",))
    if reasons and "\ud800" <= max(text) <= "\udfff":
        return CommandLine(text, opaque=tuple(reasons))
    parts = _apart(text.encode("utf-8", "replace"))
    for reason in reasons:
        parts.doubt(reason)
    if "\\\n" in text and _SPLIT.search(text):
        parts.doubt("a line goes on in the middle of a word")
    return _line(text, parts, fed=fed)


def _odd(text: str) -> list[str]:
    categories = {(unicodedata.category(sign), sign) for sign in set(text) - set("\n\t ")}
    if any(category in _HIDDEN for category, _ in categories):
        return ["it has characters that a reader would not see, or spaces that are none"]
    return []


def _line(text: str, parts: Parts, *, fed: bool) -> CommandLine:
    unfolded = _Unfolded(parts)
    if fed:
        parts.programs = [replace(program, fed=True) for program in parts.programs]
    for program in parts.programs[: MOST_ENTERED + 1]:
        unfolded.enter(program, 0)
    if ("$(" in text or "`" in text) and _read_again(parts, unfolded.programs):
        parts.doubt("a shell may read a text of it a second time, and run what is in it")
    if len(unfolded.programs) > MAX_PROGRAMS:
        parts.doubt(f"it runs more than {MAX_PROGRAMS} programs")
    simple = parts.features <= {"redirect"} and not parts.opaque
    return CommandLine(
        text,
        tuple(unfolded.programs),
        tuple(parts.programs) if simple else (),
        tuple(parts.redirects),
        tuple(parts.assignments),
        tuple(parts.loose),
        frozenset(parts.features),
        tuple(parts.opaque),
        parts.plain,
    )


def _read_again(parts: Parts, programs: list[Program]) -> bool:
    """Whether a quoted substitution stands where bash evaluates texts: names, values, numbers."""
    words = [one.value for one in parts.assignments]
    for program in programs:
        words += [one.value for one in program.assignments]
        if program.name in _READS_AGAIN:
            words += program.words
    return any(word.known and ("$(" in word.text or "`" in word.text) for word in words)


@dataclass(slots=True)
class _Unfolded:
    """The programs of a line with those inside wrappers, each behind its wrapper."""

    parts: Parts
    programs: list[Program] = field(default_factory=list[Program])

    def enter(self, program: Program, depth: int) -> None:
        """Enter a program and what it runs."""
        if len(self.programs) >= MOST_ENTERED:
            self.parts.features.add("crowd")
            return
        self.programs.append(program)
        if program.name in _DECLARES:
            self._declare(program)
        if depth > MAX_DEPTH or len(self.programs) > MAX_PROGRAMS:
            self.parts.doubt(f"wrappers are nested deeper than {MAX_DEPTH}, or too many")
            return
        inner = special(program)
        wrapped = None if program.name == "env" and inner else inside(program)
        for one in (*inner, *(wrapped or ())):
            self._inner(program, one, depth + 1)

    def _declare(self, program: Program) -> None:
        """Enter what ``"export" A=b`` assigns; written plainly the parser knows it."""
        for word in program.words:
            name, equals, value = word.text.partition("=")
            if equals:
                self.parts.features.add("assignment")
                self.parts.assignments.append(Assignment(name, Word(value, word.known)))

    def _inner(self, outer: Program, inner: Inner, depth: int) -> None:
        via = (*outer.via, outer.name)
        match inner:
            case Doubt(reason):
                self.parts.doubt(reason)
            case Code(language, word):
                self._code(outer, language, word, via)
            case Script(word):
                self._script(word, via, depth, fed=outer.fed)
            case Argv():
                self._argv(inner, via, depth, outer.bound)

    def _argv(
        self, inner: Argv, via: tuple[str, ...], depth: int, bound: tuple[Bound, ...]
    ) -> None:
        head = inner.words[0]
        if not head.plain or not head.text or "=" in head.text:
            self.parts.doubt("the program's name is not written out")
        words = (*inner.words[1:], MORE) if inner.more else inner.words[1:]
        name = program_name(head.text)
        self.parts.assignments.extend(inner.assignments)
        if inner.assignments:
            self.parts.features.add("assignment")
        made = Program(name, head.text, words, (), inner.assignments, via, inner.fed, bound=bound)
        self.enter(made, depth)

    def _code(self, outer: Program, language: str, word: Word, via: tuple[str, ...]) -> None:
        if not word.known:
            self.parts.doubt(f"{outer.name} is given code that is not written out")
        text = without_strings(word.text) if language == "sql" else word.text
        self.programs.append(Program(f"({language})", "", (replace(word, text=text),), via=via))

    def _script(self, word: Word, via: tuple[str, ...], depth: int, *, fed: bool) -> None:
        if not word.known:
            self.parts.doubt("a shell's command is not written out")
        data = word.text.encode("utf-8", "replace")
        if depth > MAX_DEPTH or len(data) > MAX_COMMAND:
            self.parts.doubt(f"wrappers are nested deeper than {MAX_DEPTH}, or too many")
            return
        below = _apart(data)
        self.parts.join(below)
        for program in below.programs:
            inner = replace(program, via=(*via, *program.via), fed=program.fed or fed)
            self.enter(inner, depth)
