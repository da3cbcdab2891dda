"""What a shell command consists of, as values (glossary: see ``command_line``)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from app.core.command_escapes import bare, resolved

SAFE_TARGETS: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})
"""Files that a redirection may name without writing anything that stays."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command.

    :ivar text: what the program gets, as far as that is known.
    :ivar known: whether every shell gives the program exactly this text.
    :ivar glob: the text is a pattern that the shell replaces by names of files.
    :ivar pieces: what is known of an unknown word, between its holes.
    """

    text: str
    known: bool = True
    glob: bool = False
    pieces: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the word stands for exactly itself."""
        return self.known and not self.glob


_GLOBS: Final = frozenset("*?[")


def bare_word(raw: str) -> Word:
    """Return the word that an unquoted text stands for."""
    text = bare(raw)
    if raw[:1] == "~":
        return Word(text, glob=True)
    if text is raw:
        return Word(text, glob=not _GLOBS.isdisjoint(raw))
    stripped = raw.replace("\\\\", "")
    return Word(text, glob=any(sign in stripped.replace(f"\\{sign}", "") for sign in _GLOBS))


Bound: TypeAlias = tuple[str, tuple[Word, ...]]
"""A loop's variable, and what it stands for in turn."""

MORE: Final = Word("", known=False, pieces=("", ""))
"""Stands for the words that a wrapper such as xargs adds."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection.

    :ivar operator: as written, without the number before it.
    :ivar target: None for a closed descriptor.
    :ivar body: what a here-document or here-string holds.
    """

    operator: str
    target: Word | None = None
    descriptor: str = ""
    body: Word | None = None

    @property
    def writes(self) -> bool:
        """Whether it opens a file for writing."""
        if ">" not in self.operator or self.target is None:
            return False
        number = self.target.text.rstrip("-").isdigit() or self.target.text == "-"
        return not (self.operator.endswith("&") and number)

    @property
    def harmless(self) -> bool:
        """Whether it only joins descriptors, or writes where nothing stays."""
        if self.target is None:
            return self.body is None
        if self.writes:
            return self.target.plain and self.target.text in SAFE_TARGETS
        return ">" in self.operator


@dataclass(frozen=True, slots=True)
class Assignment:
    """``NAME=value``, before a program or alone."""

    name: str
    value: Word


@dataclass(frozen=True, slots=True)
class Program:
    """One program that would run.

    :ivar name: the last part of its path, in the name's usual spelling; empty when not known.
        Names in parentheses stand for code in another language: ``(sql)``, ``(python)``.
    :ivar path: as the shell gets it.
    :ivar words: its arguments.
    :ivar via: the wrappers that it runs in, the outermost first.
    :ivar fed: it reads what another program writes, or a here-document.
    :ivar substituted: its output becomes part of another command.
    :ivar bound: variables of the loops that it stands in, where their values are written out.
    """

    name: str
    path: str
    words: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    via: tuple[str, ...] = ()
    fed: bool = False
    substituted: bool = False
    bound: tuple[Bound, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments as texts, as far as they are known."""
        return tuple(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A shell command, taken apart.

    :ivar text: as it was given, and as it would run.
    :ivar programs: all programs that would run, in order, those inside wrappers too.
    :ivar pipeline: the programs of the one pipeline that the text is; empty when it is more.
    :ivar redirects: all redirections, in order.
    :ivar loose: words of loops, cases and tests.
    :ivar features: what the text uses of the shell's language, such as ``chaining``.
    :ivar opaque: why it can't be explained in full; empty when it can.
    :ivar plain: every shell reads it in the same way.
    """

    text: str
    programs: tuple[Program, ...] = ()
    pipeline: tuple[Program, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    loose: tuple[Word, ...] = ()
    features: frozenset[str] = field(default_factory=frozenset[str])
    opaque: tuple[str, ...] = ()
    plain: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all programs, each once, in order; ``?`` for one that isn't known."""
        return tuple(dict.fromkeys(program.name or "?" for program in self.programs))

    def words(self) -> Iterator[Word]:
        """Yield every word: of arguments, redirections and assignments."""
        for program in self.programs:
            yield from program.words
        for redirect in self.redirects:
            if redirect.target is not None:
                yield redirect.target
        for assignment in self.assignments:
            yield assignment.value
        yield from self.loose


def program_name(path: str) -> str:
    """Return the name by which rules know a program: ``/usr/bin/python3.11`` is ``python``."""
    return resolved(path.rsplit("/", 1)[-1])
