r"""One renderer for text that people must not be deceived by (threats T5, T8).

Everything that a reader would not see, or that would reorder what they see, is written out as
``\u{202E}``: controls, format and bidirectional characters, surrogates, private use, unassigned,
odd spaces, fillers, variation selectors and tags; and letters that run from right to left where
they would carry digits or other letters along. Words that mix scripts are marked, as are words
of another script alone that read like Latin ones, and letters in disguise such as full-width ones.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_KEPT: Final = frozenset("\n\t ")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs", "Me"})
_RANGES: Final = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF), (0x0334, 0x0338), (0x20D2, 0x20D3), (0x20D8, 0x20DA), (0x20E5, 0x20E6),
    (0x20EA, 0x20EB), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159),
)  # fmt: skip
"""Fillers, variation selectors, what draws nothing, and what strikes other letters through."""

_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
_ALIKE: Final = frozenset("аеорсхуіјѕһԁԛԝӏАВЕКМНОРСТХУІЈЅ" + "ονρυκχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "օոսզԼՍՕհ")
"""Cyrillic, Greek and Armenian letters that look like Latin ones (Unicode UTS 39, confusables)."""

_DISGUISED: Final = (
    (0x2010, 0x2011), (0x2024, 0x2024), (0x2044, 0x2044), (0x2100, 0x211F), (0x2124, 0x2138),
    (0x2160, 0x2188), (0x2212, 0x2212), (0x2215, 0x2215), (0x2236, 0x2236), (0x24B6, 0x24E9),
    (0x2571, 0x2571), (0x29F8, 0x29F8), (0xA4D0, 0xA4FF), (0xA789, 0xA789), (0xFB00, 0xFB06),
    (0xFE50, 0xFE6B), (0xFF05, 0xFF05), (0xFF0D, 0xFF19), (0xFF20, 0xFF5A), (0x1D400, 0x1D7FF),
)  # fmt: skip
"""Letters in other forms, and marks that look like those of addresses."""

_STACKED: Final = 2
"""Marks on one letter that are drawn; more would draw over the lines above and below."""

_PARTS: Final = re.compile(r"\w+|\W+")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_CARRIED: Final = frozenset({"L", "EN", "AN"})
_PLAIN: Final = re.compile(r"[\x20-\x7e\n\t]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text; ``kind`` is ``text``, ``hidden`` (an escape of ours) or ``mixed``."""

    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Visible:
    """A text as it may be shown.

    :ivar hidden: how many characters had to be written out.
    :ivar mixed: how many words mix scripts, or read like words that they are not.
    """

    pieces: tuple[Piece, ...]
    hidden: int
    mixed: int

    @property
    def text(self) -> str:
        """The whole as one string."""
        return "".join(piece.text for piece in self.pieces)


@lru_cache(maxsize=4096)
def is_hidden(character: str) -> bool:
    """Whether a character is written out instead of shown."""
    if character in _KEPT:
        return False
    code = ord(character)
    if unicodedata.category(character) in _HIDDEN:
        return True
    return any(first <= code <= last for first, last in _RANGES)


def escape(character: str) -> str:
    """Return the visible form of a hidden character."""
    return f"\\u{{{ord(character):04X}}}"


def visible(text: str) -> Visible:
    """Return a text with everything hidden written out and mixed-script words marked."""
    if _PLAIN.fullmatch(text):
        return Visible((Piece(text),), 0, 0)
    hides = _hides_right_to_left if _reorders(text) else is_hidden
    found = list(_pieces(text, hides))
    pieces = tuple(_merged(piece for piece, _ in found))
    hidden = sum(count for _, count in found)
    return Visible(pieces, hidden, sum(piece.kind == "mixed" for piece in pieces))


def _reorders(text: str) -> bool:
    """Whether letters written from right to left would carry others along (UAX 9)."""
    found = set(map(unicodedata.bidirectional, set(text)))
    return not found.isdisjoint(_RIGHT_TO_LEFT) and not found.isdisjoint(_CARRIED)


def _hides_right_to_left(character: str) -> bool:
    return is_hidden(character) or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def visible_text(text: str) -> str:
    """Return the visible form as one string, for surfaces without marks."""
    return visible(text).text


def _pieces(text: str, hides: Callable[[str], bool]) -> Iterator[tuple[Piece, int]]:
    """Yield the pieces of a text, each with the number of characters written out in it."""
    for part in _PARTS.findall(text):
        if _PLAIN.fullmatch(part):
            yield Piece(part), 0
        elif _deceives(part):
            shown = [escape(c) if hides(c) else c for c in part]
            yield Piece("".join(shown), "mixed"), sum(map(hides, part))
        else:
            yield from _characters(part, hides)


def _characters(part: str, hides: Callable[[str], bool]) -> Iterator[tuple[Piece, int]]:
    letters = set(part)
    if not any(map(hides, letters)) and not any(map(_is_mark, letters)):
        yield Piece(part), 0
        return
    marks = 0
    for character in part:
        marks = marks + 1 if _is_mark(character) else 0
        if hides(character) or marks > _STACKED:
            yield Piece(escape(character), "hidden"), 1
        else:
            yield Piece(character), 0


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


def _deceives(part: str) -> bool:
    """Whether a part reads like something that it is not."""
    letters = set(part)
    if any(map(_is_disguised, letters)) or _ALIKE.issuperset(letters):
        return True
    return len({_script(letter) for letter in letters} - {""}) > 1


@lru_cache(maxsize=4096)
def _is_disguised(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _DISGUISED)


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    kind, run = "text", list[str]()
    for piece in pieces:
        if piece.kind != kind or piece.kind == "mixed":
            if run:
                yield Piece("".join(run), kind)
            kind, run = piece.kind, []
        run.append(piece.text)
    if run:
        yield Piece("".join(run), kind)
