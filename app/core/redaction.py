"""Takes known secrets out of what came back, in the encodings an echo may wear (T47).

Found are: the value itself, also in UTF-16; base64 (standard and URL alphabet, padded or not, at
each of the three alignments inside a longer text, also broken into lines); hexadecimal; and any
mixture, character by character, of plain text, percent-encoding, JSON escapes and HTML entities.
Not found: encodings of encodings, compression and encryption. Overlapping finds become one
``[redacted]``. Text that is already ``[redacted]`` is never searched, so redacting twice changes
nothing.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from app.core.mixtures import Mixture, any_of, mixtures

MIN_SECRET_LENGTH: Final = 6
"""Secrets below this many characters are ignored here and refused when a credential is made:
they would turn ordinary words into holes."""

MARK: Final = "[redacted]"
"""What stands in for a secret."""

_MARK: Final = MARK.encode()
_PART: Final = 4
"""Bytes at the end of an answer that are taken for the beginning of a secret."""

_HELD_AT_MOST: Final = 1 << 20
_Bytes = bytes  # the class below has a method of that name


class Redactor:
    """Replaces a fixed set of secrets; build one per call and drop it with the secrets.

    :ivar longest: bytes of the longest encoding (or of the mark); 0 without secrets.
    """

    __slots__ = (
        *("_any", "_begin", "_firsts", "_forms", "_halves", "_mixed", "_mixed_begin"),
        "longest",
    )

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare every encoding of every secret of at least :data:`MIN_SECRET_LENGTH`."""
        forms: set[_Bytes] = set()
        mixed: list[Mixture] = []
        for secret in {text for text in secrets if len(text) >= MIN_SECRET_LENGTH}:
            forms.update(_forms(secret))
            mixed.extend(mixtures(secret))
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._halves = tuple((form[: _least(form)], form) for form in self._forms)
        self._mixed = tuple(mixed)
        lengths = [*map(len, self._forms), *(item.longest for item in mixed)]
        self.longest = max(*lengths, len(_MARK)) if lengths else 0
        self._any = any_of((*self._forms, _MARK), mixed) if lengths else None
        self._begin: dict[int, tuple[_Bytes, ...]] = {}
        self._mixed_begin: dict[int, tuple[Mixture, ...]] = {}
        self._firsts: re.Pattern[_Bytes] | None = None

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
        return self._any is not None and self._any(data) is not None

    def text(self, text: str) -> tuple[str, int]:
        """Return the text without secrets and how many places were replaced."""
        data, count = self.bytes(text.encode("utf-8", "surrogatepass"))
        return data.decode("utf-8", "surrogatepass"), count

    def end(self, data: _Bytes) -> tuple[_Bytes, int]:
        """Return the data without the beginning of a secret at its end, and 1 if there was one.

        An answer that ends in mid-air, by the upstream's doing or its agent's, would show it.
        """
        if len(data) < _PART:
            return data, 0
        tail = data[-self.longest :]
        cut = max((_overlap(tail, form) for half, form in self._halves if half in tail), default=0)
        return (data[:-cut] + _MARK, 1) if cut else (data, 0)

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
        for found in self._firsts.finditer(data, max(0, len(data) - self.longest + 1)):
            if self._begins(data[found.start() :]):
                return found.start()
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

    def _begins(self, tail: _Bytes) -> bool:
        forms = self._begin.get(tail[0], ())
        if any(form.startswith(tail) and form != tail for form in forms):
            return True
        mixed = self._mixed_begin.get(tail[0])
        if mixed is None:
            return False
        lower = tail.lower()
        return any(mixture.begins(tail, lower) for mixture in mixed)

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
        merged: list[tuple[int, int]] = []
        if not self._may_change(piece):
            return merged
        for start, end in sorted(self._places(piece)):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _places(self, piece: _Bytes) -> Iterator[tuple[int, int]]:
        for form in self._forms:
            start = piece.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = piece.find(form, start + 1)
        for mixture in self._mixed:
            yield from mixture.places(piece)


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

    __slots__ = ("_held", "_redactor", "count")

    def __init__(self, redactor: Redactor) -> None:
        """Start with nothing held back."""
        self._redactor = redactor
        self._held = b""
        self.count = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece and return what is certain by now."""
        held = self._held + piece
        cut = self._certain(held)
        self._held = held[cut:]
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
        begin = max(0, cut - 2 * reach)
        found = self._before(held[begin:], cut - begin)
        if begin and found < reach:  # it may overlap something that begins before
            return self._before(held, cut)
        return begin + found

    def _before(self, held: bytes, cut: int) -> int:
        """Return a place that is in no secret or mark, the given one or before it."""
        places = [*self._redactor.spans(held), *_marks(held)]
        for start, end in sorted(places, reverse=True):
            if start < cut < end:
                cut = start
        return cut


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    start = data.find(_MARK)
    while start >= 0:
        yield start, start + len(_MARK)
        start = data.find(_MARK, start + len(_MARK))


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for wide in ("utf-16-le", "utf-16-be"):
        yield secret.encode(wide, "surrogatepass")
    for text in _escaped(secret, raw):
        yield text.encode("utf-8", "surrogatepass")
    yield from _base64_forms(raw)


def _escaped(secret: str, raw: bytes) -> Iterator[str]:
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    every_byte = "".join(f"%{byte:02X}" for byte in raw)
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw), every_byte):
        yield encoded
        yield _lower_escapes(encoded)


def _lower_escapes(encoded: str) -> str:
    """Lower the hexadecimal digits of percent-escapes and nothing else."""
    first, *rest = encoded.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Give the value encoded alone, and the digits that are sure at each alignment in a text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        alone = encode(raw)
        yield alone
        yield alone.rstrip(b"=")
        for before in range(3):
            digits = encode(bytes(before) + raw)
            first = (before * 8 + 5) // 6
            last = (before + len(raw)) * 8 // 6
            yield digits[first:last]
