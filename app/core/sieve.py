"""Tells in a moment where no secret is, so that the rest alone is searched (ADR 0022).

Looked for are *needles*: a few bytes of which every place of a secret has some, however it is
spelled. Of a mixture they are taken from a few characters in a row. Those stand there as they are,
which is one needle; or there is a first one among them that is written otherwise, and each way of
writing it is a needle, with the character before it where there is one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from typing import Final

from app.core.mixtures import Mixture, Step

_IN_A_ROW: Final = 4
"""Characters of a mixture that are looked at."""

_WINDOWS: Final = 32
_LEAST: Final = 3
"""Bytes of a needle, or one less: what is shorter is found everywhere."""

_FORM: Final = 7
"""Bytes of a form; odd, so that one from UTF-16 is in both of its orders."""

_AT_ONCE: Final = 16
"""Needles that are looked for together: of more, the library takes too much for one of them."""

_MOST: Final = 128
_STRIDE: Final = 32_768
_CLOSELY: Final = 65_536
"""Bytes around needles that are searched at once; where there are more, all is searched."""

_SIGN: Final = re.compile(rb"[^0-9A-Za-z]")
_EITHER_CASE: Final = b"abcdefx"
"""Letters that the digits of an escape are written with, small or large."""

Search = Callable[[bytes, int, int], object | None]
"""Finds a secret in a part of the data."""


class Sieve:
    """The needles of some secrets, looked for in one pass or a few."""

    __slots__ = ("_groups", "_longest", "_reach")

    def __init__(self, needles: Iterable[bytes], reach: int) -> None:
        """Prepare to look for needles.

        :param reach: most bytes that a place of a secret has.
        """
        from ahocorasick_rs import BytesAhoCorasick, MatchKind  # noqa: PLC0415 - few need it

        ordered = sorted(needles)
        self._longest = max(map(len, ordered))
        self._reach = reach
        groups = -(-len(ordered) // _AT_ONCE)
        self._groups = [
            BytesAhoCorasick(ordered[at::groups], MatchKind.LeftmostFirst) for at in range(groups)
        ]

    def passes(self, data: bytes, search: Search) -> bool:
        """Whether there is no secret in the data; where it is not clear soon, it does not pass.

        Around each needle that is found the search is asked.
        """
        left = _CLOSELY
        for start, end in self._finds(data):
            begin, over = max(0, start - self._reach), end + self._reach
            left -= over - begin
            if left < 0 or search(data, begin, over):
                return False
        return True

    def _finds(self, data: bytes) -> Iterator[tuple[int, int]]:
        whole = memoryview(data)
        for at in range(0, len(data), _STRIDE):
            part = whole[at : at + _STRIDE + self._longest - 1]
            for group in self._groups:
                for _, start, end in group.find_matches_as_indexes(part):
                    yield at + start, at + end


def sieve_of(forms: Iterable[bytes], mixed: Iterable[Mixture], reach: int) -> Sieve | None:
    """Return the sieve of all forms and mixtures; none where they have no needles worth it."""
    needles = {needle for mixture in mixed for needle in _telling(mixture.steps)}
    for form in sorted(forms):
        if not any(needle in form for needle in needles):
            needles.add(_part(form))
    if len(needles) > _MOST or min(map(len, needles)) < _LEAST - 1:
        return None
    return Sieve(needles, reach)


def _telling(steps: tuple[Step, ...]) -> set[bytes]:
    """Return the needles of those steps in a row that are the rarest in other data."""
    size = min(len(steps), _IN_A_ROW)
    last = len(steps) - size
    windows = [steps[at : at + size] for at in range(last, max(-1, last - _WINDOWS), -1)]
    return set(_needles(max(windows, key=_rarity)))


def _part(form: bytes) -> bytes:
    """Return some bytes of a form, first of all none that begin with what files are padded with."""
    last = max(0, len(form) - _FORM)
    parts = [form[at : at + _FORM] for at in range(last, max(-1, last - _WINDOWS), -1)]
    return max(parts, key=lambda part: (part[0] > ord(" "), len(set(part))))


def _rarity(steps: tuple[Step, ...]) -> tuple[int, int, int]:
    """Rank steps: letters and digits, changes between their kinds, then how many there are."""
    raw = [step.exact[0] for step in steps]
    kinds = [(one.islower(), one.isupper(), one.isdigit()) for one in raw]
    changes = sum(one != other for one, other in pairwise(kinds))
    return sum(one.isalnum() for one in raw), changes, len(set(raw))


def _needles(steps: tuple[Step, ...]) -> Iterator[bytes]:
    yield b"".join(step.exact[0] for step in steps)
    before = b""
    for step in steps:
        if before or not _in_lines(step):
            for form in step.exact[1:]:
                yield before + form if _in_lines(step) else _end(before + form)
            for form in step.folded:
                yield from _cased(_end(form))
        before = step.exact[0][-1:]


def _in_lines(step: Step) -> bool:
    """Whether it is a digit of base64: all that stands for it ends with itself, after a break."""
    return not step.folded


def _end(text: bytes) -> bytes:
    """Return the end of an escape: the least that has a byte that is no letter and no digit."""
    sign = max((found.start() for found in _SIGN.finditer(text)), default=0)
    return text[max(0, min(sign, len(text) - _LEAST)) :]


def _cased(text: bytes) -> Iterator[bytes]:
    """Yield the text with its digits' letters in either case."""
    ways = [{byte, byte & ~0x20} if byte in _EITHER_CASE else {byte} for byte in text]
    yield from map(bytes, product(*ways))
