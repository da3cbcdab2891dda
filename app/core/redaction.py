"""Takes known secrets out of what came back, in the encodings an echo may wear (T47).

Found are: the value itself, also in UTF-16 and Latin-1; base64 (standard and URL alphabet, padded
or not, at each of the three alignments inside a longer text, also broken into lines); hexadecimal;
and any mixture, character by character, of plain text, percent-encoding, JSON escapes and HTML
entities. Not found: encodings of encodings, compression and encryption. Overlapping finds become
one ``[redacted]``. Text that is already ``[redacted]`` is never searched, so redacting twice
changes nothing.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from app.core.mixtures import Mixture, any_of, mixtures
from app.core.sieve import Sieve, sieve_of
from app.core.spellings import forms_of

MIN_SECRET_LENGTH: Final = 6
"""Secrets below this many characters are ignored here and refused when a credential is made:
they would turn ordinary words into holes."""

MARK: Final = "[redacted]"
"""What stands in for a secret."""

_MARK: Final = MARK.encode()
_PART: Final = 4
"""Bytes at the end of an answer that are taken for the beginning of a secret."""

_FEW: Final = 1024
"""Bytes up to which a text is looked at by itself before the pattern is asked."""

_TWO_WAYS: Final = re.compile(rb"[^0-9A-Za-z_.~-]")
"""Bytes that may begin an escape, or stand in base64 that is broken into lines."""

_HELD_AT_MOST: Final = 1 << 20
_AT_ONCE: Final = _HELD_AT_MOST // 2
"""Bytes of a piece that are taken in one step: what is held of it stays below the bound above."""

_Bytes = bytes  # the class below has a method of that name


class Redactor:
    """Replaces a fixed set of secrets; build one per call and drop it with the secrets.

    :ivar longest: bytes of the longest encoding (or of the mark); 0 without secrets.
    """

    __slots__ = (
        *("_alone", "_any", "_begin", "_firsts", "_forms", "_halves", "_mixed", "_mixed_begin"),
        *("_sieve", "_sieved", "_sought", "longest"),
    )

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare every encoding of every secret of at least :data:`MIN_SECRET_LENGTH`."""
        forms: set[_Bytes] = set()
        mixed: list[Mixture] = []
        for secret in {text for text in secrets if len(text) >= MIN_SECRET_LENGTH}:
            forms.update(forms_of(secret))
            mixed.extend(mixtures(secret))
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._sought = tuple(_sought(forms, mixed))
        self._alone = tuple(_alone(forms))
        self._halves = tuple((form[: _least(form)], form) for form in self._forms)
        self._mixed = tuple(mixed)
        lengths = [*map(len, self._forms), *(item.longest for item in mixed)]
        self.longest = max(*lengths, len(_MARK)) if lengths else 0
        self._any = any_of((*self._forms, _MARK), mixed) if lengths else None
        self._begin: dict[int, tuple[_Bytes, ...]] = {}
        self._mixed_begin: dict[int, tuple[Mixture, ...]] = {}
        self._firsts: re.Pattern[_Bytes] | None = None
        self._sieve: Sieve | None = None
        self._sieved = False

    def bytes(self, data: _Bytes) -> tuple[_Bytes, int]:
        """Return the data without secrets and how many places were replaced."""
        if not self._may_change(data):
            return data, 0
        pieces = data.split(_MARK)
        cleaned = [self._clean(piece) for piece in pieces]
        return _MARK.join(piece for piece, _ in cleaned), sum(count for _, count in cleaned)

    def finds(self, text: str) -> bool:
        """Whether a secret may be in the text; where it says no, none is in any part of it."""
        return self._may_change(text.encode("utf-8", "surrogatepass"))

    def _may_change(self, data: _Bytes) -> bool:
        """Whether there is a secret, or a mark: one search for all of them."""
        if self._any is None or (len(data) <= _FEW and not self._perhaps(data)):
            return False
        return not self._sifted(data) and self._any(data) is not None

    def clear(self, data: _Bytes) -> bool:
        """Whether there is no secret and no mark, where that is told in a moment."""
        if self._any is not None and not self._sieved:
            self._sieve = sieve_of((*self._forms, _MARK), self._mixed, self.longest)
            self._sieved = True
        return self._any is None or self._sifted(data)

    def _sifted(self, data: _Bytes) -> bool:
        """Whether nothing is there, by the sieve; there is none before large data came."""
        if self._any is None or self._sieve is None or len(data) <= _FEW:
            return False
        return self._sieve.passes(data, self._any)

    def _perhaps(self, data: _Bytes) -> bool:
        """Whether a short text holds a form as it is, or anything that forms are written with.

        Asking the pattern lets go of the interpreter, which then is somebody else's for a while.
        """
        return any(sought in data for sought in self._sought)

    def text(self, text: str) -> tuple[str, int]:
        """Return the text without secrets and how many places were replaced."""
        data, count = self.bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return data.decode("utf-8", "surrogatepass"), count
        except UnicodeDecodeError:  # a secret in Latin-1 began within a character
            return data.decode("utf-8", "replace"), count

    def end(self, data: _Bytes) -> tuple[_Bytes, int]:
        """Return the data without the beginning of a secret at its end, and 1 if there was one.

        An answer that ends in mid-air, by the upstream's doing or its agent's, would show it.
        """
        cut = self.overlap(data)
        return (data[:-cut] + _MARK, 1) if cut else (data, 0)

    def overlap(self, data: _Bytes) -> int:
        """Return how many bytes at the end of the data are the beginning of a secret, if half."""
        if len(data) < _PART:
            return 0
        tail = data[-self.longest :]
        return max((_overlap(tail, form) for half, form in self._halves if half in tail), default=0)

    def stream(self) -> "RedactionStream":
        """Return a form for data that comes in pieces."""
        return RedactionStream(self)

    def certain(self, data: _Bytes) -> int:
        """Return how much of the data is before all that could be the beginning of a secret.

        It may go on in the next piece; so may a mark.
        """
        if self._firsts is None:
            self._prepare()
        assert self._firsts is not None
        begin = max(0, len(data) - self.longest + 1)
        tail = data[begin:]
        lower, last = tail.lower(), len(tail) - 1
        for found in self._firsts.finditer(tail):
            at = found.start()
            if not tail.startswith(self._alone, at, last) and self._begins(tail, lower, at):
                return begin + at
        return len(data)

    def _prepare(self) -> None:
        """Sort the forms by their first byte; streams alone need that."""
        begin: dict[int, tuple[_Bytes, ...]] = {}
        heads = set[_Bytes]()
        for form in (*self._forms, _MARK):
            begin[form[0]] = (*begin.get(form[0], ()), form)
            heads.add(form[:2])
        mixed: dict[int, tuple[Mixture, ...]] = {}
        for mixture in self._mixed:
            for byte in mixture.steps[0].firsts():
                mixed[byte] = (*mixed.get(byte, ()), mixture)
            heads |= mixture.heads()
        self._begin, self._mixed_begin = begin, mixed
        self._firsts = _headed(heads)

    def _begins(self, tail: _Bytes, lower: _Bytes, at: int) -> bool:
        """Whether what is there from this place on could go on to be a secret or a mark."""
        size, first = len(tail) - at, tail[at]
        for form in self._begin.get(first, ()):
            if len(form) > size and tail.endswith(form[:size]):
                return True
        return any(item.begins(tail, lower, at) for item in self._mixed_begin.get(first, ()))

    def _clean(self, piece: _Bytes) -> tuple[_Bytes, int]:
        spans = self.spans(piece)
        if not spans:
            return piece, 0
        parts: list[_Bytes] = []
        done = 0
        for start, end in spans:
            parts.append(piece[done:start])
            done = end
        parts.append(piece[done:])
        return _MARK.join(parts), len(spans)

    def spans(self, piece: _Bytes) -> list[tuple[int, int]]:
        """Return the places of secrets, in order, overlapping ones merged."""
        if not self._may_change(piece):
            return []
        exact = merged(place for form in self._forms for place in _places(piece, form))
        mixed = (place for mixture in self._mixed for place in mixture.places(piece, exact))
        return merged([*exact, *mixed])


def _sought(forms: Iterable[bytes], mixed: Iterable[Mixture]) -> Iterator[bytes]:
    """Yield what one of must be in a text with a secret: its forms, or what writes others."""
    signs = {sign for mixture in mixed for sign in mixture.signs()}
    yield from signs
    yield from (form for form in (*forms, _MARK) if not any(sign in form for sign in signs))


def _alone(forms: Iterable[bytes]) -> Iterator[bytes]:
    """Yield forms that are read in one way and begin no other: where one stands, none goes on."""
    ordered = [*sorted(forms), b""]
    for form, following in pairwise(ordered):
        if not _TWO_WAYS.search(form) and not following.startswith(form):
            yield form


def _places(piece: bytes, form: bytes) -> Iterator[tuple[int, int]]:
    """Yield places of a form that together cover what all of its places cover.

    Of those that overlap one, the last is enough: each two steps are longer than the form, also
    where it begins at every byte.
    """
    start, size = piece.find(form), len(form)
    while start >= 0:
        yield start, start + size
        last = piece.rfind(form, start + 1, start + 2 * size - 1)
        start = piece.find(form, start + size) if last < 0 else last


def merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the places in order, overlapping ones as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _headed(heads: set[bytes]) -> re.Pattern[bytes]:
    """Return what finds the places where one of these begins, or may: the last byte.

    A place is one byte long, so that one does not hide the next.
    """
    follow: dict[int, set[int]] = {}
    for head in heads:
        follow.setdefault(head[0], set()).add(head[1])
    pairs = (_one_of({first}) + b"(?=" + _one_of(second) + b")" for first, second in follow.items())
    return re.compile(b"|".join([*pairs, _one_of(follow) + rb"\Z"]), re.DOTALL)


def _one_of(values: Iterable[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % byte for byte in values) + b"]"


def _overlap(data: bytes, form: bytes) -> int:
    """Return how many bytes at the end of the data are the beginning of a form; few are none.

    Half of a form is the least: what fewer bytes did would tell an agent that writes the end of an
    answer itself whether its guess was right, one character after the other.
    """
    longest = min(len(data), len(form) - 1)
    return next((n for n in range(longest, _least(form) - 1, -1) if data.endswith(form[:n])), 0)


def _least(form: bytes) -> int:
    return max(_PART, (len(form) + 1) // 2)


class RedactionStream:
    """Redacts data in pieces; holds back nothing but what could be the beginning of a secret.

    What it gives out in all equals :meth:`Redactor.bytes` of the whole. It holds fewer bytes than
    the longest encoding (and the mark), more only while overlapping secrets go on, 1 MiB at most.
    """

    __slots__ = ("_held", "_redactor", "_run", "count")

    def __init__(self, redactor: Redactor) -> None:
        """Start with nothing held back."""
        self._redactor = redactor
        self._held = b""
        self._run = 0  # how far what is held is one place, as far as was looked
        self.count = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece, of any length, and return what is certain by now."""
        if len(piece) <= _AT_ONCE:
            return self._take(piece)
        steps = range(0, len(piece), _AT_ONCE)
        return b"".join([self._take(piece[at : at + _AT_ONCE]) for at in steps])

    def pass_clear(self, piece: bytes) -> "tuple[bytes | memoryview, ...] | None":
        """Return what is certain with the next piece, where in a moment nothing is found in it.

        It comes in parts, of which a large one is not copied. Without an answer the piece was not
        taken, and is to be fed.
        """
        held, reach = self._held, self._redactor.longest
        seam = held and held + piece[: reach + _FEW]
        if len(piece) < reach or not self._redactor.clear(piece):
            return None
        if seam and not self._redactor.clear(seam):
            return None
        cut = self._redactor.certain(piece) if reach else len(piece)
        self._held, self._run = piece[cut:], 0
        part = memoryview(piece)[:cut] if cut < len(piece) else piece
        return (held, part) if held else (part,)

    def _take(self, piece: bytes) -> bytes:
        held = self._held + piece
        cut = self._certain(held)
        self._held = held[cut:]
        self._run = 0 if cut else self._run
        return self._give(held[:cut])

    def finish(self) -> bytes:
        """Return the rest; leave this out where the data was cut, or a part of a secret shows."""
        rest, self._held = self._held, b""
        return self._give(rest)

    def _give(self, data: bytes) -> bytes:
        clean, count = self._redactor.bytes(data)
        self.count += count
        return clean

    def _certain(self, held: bytes) -> int:
        """Return how far no secret or mark can reach from here into later pieces."""
        if not self._redactor.longest or len(held) > _HELD_AT_MOST:
            return len(held)
        cut = self._redactor.certain(held)
        if cut == len(held):
            return cut
        reach = self._redactor.longest
        begin = max(0, (self._run or cut - reach) - reach)
        if self._goes_on(held, begin, cut):
            return 0
        found = self._before(held[begin:], cut - begin)
        if begin and found < reach and not self._run:  # it may overlap what begins before
            begin, found = 0, self._before(held, cut)
        if begin + found == 0:
            self._run = cut
        return begin + found

    def _goes_on(self, held: bytes, begin: int, cut: int) -> bool:
        """Whether one place reaches from the very start beyond the cut; only its end is read."""
        if self._run:
            for start, end in sorted(self._places(held[begin:])):
                if begin + start < self._run:
                    self._run = max(self._run, begin + end)
        return cut < self._run

    def _before(self, held: bytes, cut: int) -> int:
        """Return a place that is in no secret or mark, the given one or before it."""
        for start, end in sorted(self._places(held), reverse=True):
            if start < cut < end:
                cut = start
        return cut

    def _places(self, held: bytes) -> list[tuple[int, int]]:
        return [*self._redactor.spans(held), *_marks(held)]


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    start = data.find(_MARK)
    while start >= 0:
        yield start, start + len(_MARK)
        start = data.find(_MARK, start + len(_MARK))
