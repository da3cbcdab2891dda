"""Patterns that find a secret whose characters are escaped in any mixture, in linear time (RE2)."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, cast

import re2

_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_SHORT: Final = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r",
                 "\t": "t"}  # fmt: skip
_ZEROS: Final = 4
_ESCAPE: Final = len("&#x;") + _ZEROS + 6
"""Longest form of one character: an HTML entity with its zeros and digits."""

_BREAK: Final = r"(?:\r\n|\n|\\r\\n|\\n){0,1}"
_LONGEST_BREAK: Final = 4
_MAX_MEMORY: Final = 64 << 20
_ASTRAL: Final = 0x10000


class _Match(Protocol):
    def start(self) -> int: ...
    def end(self) -> int: ...


class _Compiled(Protocol):
    def search(self, data: bytes, pos: int = 0) -> _Match | None: ...


@dataclass(frozen=True, slots=True)
class Mixture:
    """One pattern.

    :ivar longest: most bytes that it matches.
    """

    compiled: _Compiled
    longest: int

    def places(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield every place where it matches, overlapping ones too."""
        found = self.compiled.search(data)
        while found is not None:
            yield found.start(), found.end()
            found = self.compiled.search(data, found.start() + 1)


def mixtures(secret: str) -> Iterator[Mixture]:
    """Yield the patterns of a secret: its characters escaped in any way, and base64 in lines."""
    text = "".join(_character(char) for char in secret)
    longest = sum(max(_ESCAPE, 3 * len(_bytes(char)), 12) for char in secret)
    yield Mixture(_compile(text), longest)
    for digits in _digits(_bytes(secret)):
        lines = _BREAK.join(map(re.escape, digits))
        yield Mixture(_compile(lines), len(digits) * (1 + _LONGEST_BREAK))


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


def _percent(raw: bytes) -> str:
    return "".join(f"%(?i:{byte:02x})" for byte in raw)


def _json(code: int) -> str:
    units = [code]
    if code >= _ASTRAL:
        rest = code - _ASTRAL
        units = [0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF)]
    return "".join(rf"\\u(?i:{unit:04x})" for unit in units)


def _digits(raw: bytes) -> set[str]:
    """Return the base64 digits that are sure at each alignment, in both alphabets."""
    found: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            digits = encode(bytes(before) + raw).decode()
            found.add(digits[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6])
    return found
