"""A plain pipeline, read without the parser: words, plain quotes, pipes, harmless redirections.

It knows only what every shell reads in the same way, fish and csh too, and gives up at everything
else. Most commands are that plain, and are taken apart in a tenth of the parser's time; the tests
hold the two readings beside each other. What a profile permits must be readable here.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from app.core.command_parts import Redirect, Word

_TOKEN: Final = re.compile(
    r"[ \t]+(?P<word>[A-Za-z0-9_./:@%+,\-][A-Za-z0-9_./:=@%+,\-]*)(?=[ \t]|$)"
    r"|(?P<blank>[ \t]+)"
    r"|(?P<redirect>(?P<number>[12]?)(?P<operator>>|<) ?/dev/null(?=[ \t|]|$)"
    r"|2>&1(?=[ \t|]|$))"
    r"|(?P<bare>[A-Za-z0-9_./:=@%+,\-*?\[\]^~]+)"
    r"|'(?P<single>(?:[^'\\!\n]|\\[^'\\!\n])*)'"
    r'|"(?P<double>[^"\\$`!\n]*)"'
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|(?P<braces>\{\})"
    r"|(?P<pipe>\|)(?![|&])"
)
_SIMPLE: Final = re.compile(
    r"[A-Za-z0-9_./:@%+,\-]+(?:[ \t]+[A-Za-z0-9_./:@%+,\-][A-Za-z0-9_./:@%+,=\-]*)*"
)
_GLOBS: Final = frozenset("*?[")
_NAME: Final = re.compile(r"[A-Za-z0-9_./+-]+")
_SHELLS_OWN: Final = frozenset({
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "select", "function", "time", "coproc", "in", "export", "declare", "typeset", "readonly",
    "local", "unset", "unsetenv", "alias", "eval", "test", "exec", "let", "[",
})  # fmt: skip
"""First words that mean more than a program, or that the parser takes in its own way."""


_PARTS: Final = frozenset({"bare", "single", "double", "escaped", "braces"})
_AFTER_REDIRECT: Final = frozenset({"redirect", "pipe"})


class Plain(NamedTuple):
    """One program of a plain pipeline."""

    path: str
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


def plain_pipeline(text: str) -> list[Plain] | None:
    """Return the programs of a plain pipeline; None for anything else."""
    text = text.strip(" \t\n")
    if "\n" in text or not text.isascii():
        return None
    if _SIMPLE.fullmatch(text):
        return _simple(text.split())
    reading, at = _Reading(), 0
    for token in _TOKEN.finditer(text):
        if token.start() != at or not reading.take(token):
            return None
        at = token.end()
    reading.end_word()
    return reading.programs if at == len(text) and reading.end_program() else None


def _simple(words: list[str]) -> list[Plain] | None:
    """Return the one program of a text without quotes, patterns and operators."""
    path = words[0]
    if path in _SHELLS_OWN or not _NAME.fullmatch(path):
        return None
    return [Plain(path, tuple(map(Word, words[1:])), ())]


@dataclass(slots=True)
class _Reading:
    programs: list[Plain] = field(default_factory=list[Plain])
    words: list[Word] = field(default_factory=list[Word])
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    current: str | None = None
    glob: bool = False

    def take(self, token: re.Match[str]) -> bool:
        """Take one token in; False where it does not fit."""
        kind = token.lastgroup
        if self.redirects and kind != "blank" and kind not in _AFTER_REDIRECT:
            return False  # the parser cannot tell whose word it is
        if kind == "word":
            self.end_word()
            self.words.append(Word(token["word"]))
            return True
        if kind in _PARTS:
            return self._take_part(token, token[kind], bare=kind == "bare")
        inside = self.current is not None
        self.end_word()
        if kind == "blank":
            return True
        if kind == "pipe":
            return self.end_program()
        self.redirects.append(_redirect(token))
        return not inside

    def _take_part(self, token: re.Match[str], part: str, *, bare: bool) -> bool:
        begins = self.current is None
        if begins and token[0][0] in "=^":
            return False
        quoted = token.string[token.start() - 1] in "'\""
        if token["escaped"] and quoted:
            return False  # the parser takes it for the begin of another word
        if (token["braces"] and not begins) or self.current == "{}":
            return False  # the parser takes it for an expansion
        if bare and part.count("[") != part.count("]"):
            return False
        if bare and (not _GLOBS.isdisjoint(part) or (part[0] == "~" and (begins or quoted))):
            self.glob = True
        self.current = part if begins else f"{self.current}{part}"
        return True

    def end_word(self) -> None:
        """Enter the word that was begun."""
        if self.current is not None:
            self.words.append(Word(self.current, glob=self.glob))
            self.current, self.glob = None, False

    def end_program(self) -> bool:
        """Enter a program; False for what is more than one."""
        if not self.words:
            return False
        path = self.words[0].text
        if self.words[0].glob or path in _SHELLS_OWN or not _NAME.fullmatch(path):
            return False
        self.programs.append(Plain(path, tuple(self.words[1:]), tuple(self.redirects)))
        self.words, self.redirects = [], []
        return True


def _redirect(token: re.Match[str]) -> Redirect:
    if token["operator"] is None:
        return Redirect(">&", Word("1"), "2")
    return Redirect(token["operator"], Word("/dev/null"), token["number"])
