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
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_RANGES: Final = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Fillers, variation selectors and other characters that Unicode lets a renderer ignore."""

_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
_ALIKE: Final = frozenset(
    "аеорсхуіјѕһԁԛԝӏАВЕКМНОРСТХУІЈЅ" + "ονρυκχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "օոսզԼՍՕհ"
)
"""Cyrillic, Greek and Armenian letters that look like Latin ones (Unicode UTS 39, confusables)."""

_WORD: Final = re.compile(r"\w+")
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
    pieces = tuple(_merged(_pieces(text, hides)))
    hidden = sum(hides(character) for character in text)
    return Visible(pieces, hidden, sum(piece.kind == "mixed" for piece in pieces))


def _reorders(text: str) -> bool:
    """Whether letters written from right to left would carry others along (UAX 9)."""
    found = {unicodedata.bidirectional(character) for character in text}
    return not found.isdisjoint(_RIGHT_TO_LEFT) and not found.isdisjoint(_CARRIED)


def _hides_right_to_left(character: str) -> bool:
    return is_hidden(character) or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def visible_text(text: str) -> str:
    """Return the visible form as one string, for surfaces without marks."""
    return visible(text).text


def _pieces(text: str, hides: Callable[[str], bool]) -> Iterator[Piece]:
    end = 0
    for word in _WORD.finditer(text):
        yield from _characters(text[end : word.start()], hides)
        if _mixes(word[0]):
            yield Piece("".join(escape(c) if hides(c) else c for c in word[0]), "mixed")
        else:
            yield from _characters(word[0], hides)
        end = word.end()
    yield from _characters(text[end:], hides)


def _characters(text: str, hides: Callable[[str], bool]) -> Iterator[Piece]:
    for character in text:
        if hides(character):
            yield Piece(escape(character), "hidden")
        else:
            yield Piece(character)


def _mixes(word: str) -> bool:
    if word.isascii():
        return False
    plain = unicodedata.normalize("NFKC", word)
    if _ALIKE.issuperset(word) or (plain != word and plain.isascii()):
        return True
    found = {
        script
        for character in word
        for script in _SCRIPTS
        if unicodedata.name(character, "").startswith(script)
    }
    return len(found) > 1


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
