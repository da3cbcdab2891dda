"""Patterns that find a secret whose characters are escaped in any mixture, in linear time (RE2)."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

import re2

_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_SHORT: Final = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r",
                 "\t": "t"}  # fmt: skip
_ZEROS: Final = 4
_ESCAPE: Final = len("&#x;") + _ZEROS + 6
"""Longest form of one character: an HTML entity with its zeros and digits."""

_BREAKS: Final = (b"", b"\r\n", b"\n", rb"\r\n", rb"\n")
_BREAK: Final = r"(?:\r\n|\n|\\r\\n|\\n){0,1}"
_LONGEST_BREAK: Final = 4
_LONGEST: Final = 16
"""Bytes of a place that are compared: more than the longest form of one character has."""

_OVERLAPS: Final = 32
"""How many matches in a row may overlap before most of them are passed over."""

Spans = Sequence[tuple[int, int]]
_NOWHERE: Final = (1 << 62, 1 << 62)
_MAX_MEMORY: Final = 64 << 20
_ASTRAL: Final = 0x10000


class _Match(Protocol):
    def start(self) -> int: ...
    def end(self) -> int: ...


class _Compiled(Protocol):
    def search(self, data: bytes, pos: int = 0, endpos: int = ...) -> _Match | None: ...


@dataclass(frozen=True, slots=True)
class Mixture:
    """One pattern.

    :ivar pattern: over bytes, one character for each.
    :ivar longest: most bytes that it matches.
    :ivar steps: what may stand for each of its characters, for data that ends within it: forms
        to be found as they are, and forms (in lower case) to be found in either case.
    """

    pattern: str
    compiled: _Compiled
    longest: int
    steps: "tuple[Step, ...]"

    def places(self, data: bytes, known: "Spans" = ()) -> Iterator[tuple[int, int]]:
        """Yield places where it matches: with the known ones they cover what all of them cover.

        A secret that overlaps itself, as ``abab`` does, may match at every second byte. Of what
        begins within such a run, after a few, the last one alone is looked for.

        :param known: places that are covered already, in order, none of them overlapping.
        """
        found, overlaps, ahead = self.compiled.search(data), 0, iter(known)
        here = next(ahead, _NOWHERE)
        while found is not None:
            start, end = found.start(), found.end()
            yield start, end
            while here[1] <= start:
                here = next(ahead, _NOWHERE)
            if here[0] <= start:
                end = max(end, here[1])
            found = self.compiled.search(data, start + 1)
            if found is None or found.start() >= end:
                overlaps = 0
                continue
            overlaps += 1
            if overlaps > _OVERLAPS:
                found = self._last(data, found, end)

    def _last(self, data: bytes, found: "_Match", end: int) -> "_Match":
        """Return the last match that begins before the end; one that does is given."""
        low, high, reach = found.start(), end, end + self.longest
        while high - low > 1:
            middle = (low + high) // 2
            later = self.compiled.search(data, middle, reach)
            if later is None or later.start() >= end:
                high = middle
            else:
                found, low = later, later.start()
        return found

    def signs(self) -> set[bytes]:
        """Return the bytes of which a match has one, unless it is the characters as they are."""
        return {form[:1] for step in self.steps for form in (*step.exact[1:], *step.folded)}

    def heads(self) -> set[bytes]:
        """Return the two bytes that it can begin with; its steps are two or more."""
        follow = self.steps[1].firsts()
        return {
            head if len(head) > 1 else head + bytes((byte,))
            for head in self.steps[0].starts()
            for byte in follow
        }

    def begins(self, tail: bytes, lower: bytes, at: int) -> bool:
        """Whether the tail from there on could go on to be a match; a few that could not may pass.

        :param lower: the tail in lower case.
        """
        places = {at}
        for step in self.steps:
            reached: set[int] = set()
            for place in places:
                if place == len(tail) or step.ends_within(tail, lower, place):
                    return True
                reached.update(step.after(tail, lower, place))
            if not reached:
                return False
            places = reached
        return False


@dataclass(frozen=True, slots=True)
class Step:
    """What may stand for one character; first of all itself."""

    exact: tuple[bytes, ...]
    folded: tuple[bytes, ...] = ()

    def firsts(self) -> set[int]:
        """Return the bytes that it can begin with."""
        return {form[0] for form in self.exact} | {
            byte for form in self.folded for byte in (form[0], form[:1].upper()[0])
        }

    def starts(self) -> set[bytes]:
        """Return the first two bytes of each of its forms, or the one that there is."""
        found = {form[:2] for form in self.exact}
        for form in self.folded:
            head = form[:2]
            found |= {head, head.upper(), head[:1].upper() + head[1:], head[:1] + head[1:].upper()}
        return found

    def ends_within(self, tail: bytes, lower: bytes, place: int) -> bool:
        """Whether the data ends inside one of the forms at this place."""
        rest, folded = tail[place : place + _LONGEST], lower[place : place + _LONGEST]
        return any(form.startswith(rest) for form in self.exact) or any(
            form.startswith(folded) for form in self.folded
        )

    def after(self, tail: bytes, lower: bytes, place: int) -> Iterator[int]:
        """Yield the places behind the forms that stand at this place."""
        for form in self.exact:
            if tail.startswith(form, place):
                yield place + len(form)
        for form in self.folded:
            if lower.startswith(form, place):
                yield place + len(form)


def mixtures(secret: str) -> Iterator[Mixture]:
    """Yield the patterns of a secret: its characters escaped in any way, and base64 in lines."""
    text = "".join(_character(char) for char in secret)
    longest = sum(max(_ESCAPE, 3 * len(_bytes(char)), 12) for char in secret)
    steps = tuple(_step(char) for char in secret)
    yield Mixture(text, _compile(text), longest, steps)
    for digits in _digits(_bytes(secret)):
        lines = _BREAK.join(map(re.escape, digits))
        yield Mixture(
            lines, _compile(lines), len(digits) * (1 + _LONGEST_BREAK), _line_steps(digits)
        )


def any_of(forms: Iterable[bytes], mixed: Iterable[Mixture]) -> Callable[..., object | None]:
    """Return what finds the first of all forms and mixtures in one pass over the data."""
    plain = ("".join(f"\\x{byte:02x}" for byte in form) for form in forms)
    try:
        return _compile("|".join([*plain, *(item.pattern for item in mixed)])).search
    except re2.error:  # too large for one pattern: let each be looked for by itself
        return lambda data, *_: data or None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _compile(pattern: str) -> _Compiled:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    return cast("_Compiled", re2.compile(pattern.encode("latin-1"), options))


def _character(char: str) -> str:
    """Return the alternatives of one character, over bytes."""
    code, raw = ord(char), _bytes(char)
    forms = ["".join(f"\\x{byte:02x}" for byte in raw), _percent(raw), _json(code)]
    forms.append(f"&#0{{0,{_ZEROS}}}{code};")
    forms.append(f"&#[xX]0{{0,{_ZEROS}}}(?i:{code:x});")
    if char in _ENTITIES:
        forms.append(f"&{_ENTITIES[char]};")
    if char in _SHORT:
        forms.append(r"\\" + re.escape(_SHORT[char]))
    if char == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


def _step(char: str) -> Step:
    """Return the same alternatives as :func:`_character`, written out."""
    code, raw = ord(char), _bytes(char)
    folded = ["".join(f"%{byte:02x}" for byte in raw), _json_text(code)]
    for zeros in range(_ZEROS + 1):
        folded += [f"&#{'0' * zeros}{code};", f"&#x{'0' * zeros}{code:x};"]
    if char in _ENTITIES:
        folded.append(f"&{_ENTITIES[char]};")
    exact = [raw]
    if char in _SHORT:
        exact.append(b"\\" + _SHORT[char].encode())
    if char == " ":
        exact.append(b"+")
    return Step(tuple(exact), tuple(form.encode() for form in folded))


def _json_text(code: int) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _units(code))


def _line_steps(digits: str) -> tuple[Step, ...]:
    first, *rest = (digit.encode() for digit in digits)
    return (Step((first,)), *(Step(tuple(gap + digit for gap in _BREAKS)) for digit in rest))


def _percent(raw: bytes) -> str:
    return "".join(f"%(?i:{byte:02x})" for byte in raw)


def _json(code: int) -> str:
    return "".join(rf"\\u(?i:{unit:04x})" for unit in _units(code))


def _units(code: int) -> list[int]:
    """Return the UTF-16 units of a character, as JSON's escapes name them."""
    if code < _ASTRAL:
        return [code]
    rest = code - _ASTRAL
    return [0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF)]


def _digits(raw: bytes) -> set[str]:
    """Return the base64 digits that are sure at each alignment, in both alphabets."""
    found: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            digits = encode(bytes(before) + raw).decode()
            found.add(digits[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6])
    return found
