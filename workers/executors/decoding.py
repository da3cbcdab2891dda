"""Reads a body under a cap, decompressed piece by piece, so that a bomb stays small (T48)."""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

_GZIP: Final = zlib.MAX_WBITS | 16
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_DEFLATE_METHOD: Final = 8
_CODINGS: Final = {"gzip", "x-gzip", "deflate"}
_SLACK: Final = 65_536
_PART: Final = 16_384
_FREE: Final = 1 << 20
RATIO: Final = 100
"""How many bytes one byte of a body that is passed on may become, after the first MiB."""


class _Engine(Protocol):
    """The little that is used of zlib's decompressor."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


class CappedBody:
    """Collects a body up to a number of decoded bytes.

    Knows gzip and deflate (RFC 9110, section 8.4.1); of any other coding it keeps nothing,
    because what cannot be read cannot be redacted.

    :ivar decoded: the coding was taken off (there was one, and it is known).
    :ivar truncated: the body was cut, broken, or in an unknown coding.
    """

    __slots__ = (
        *("_cap", "_coding", "_engine", "_parts", "_room", "_wire"),
        *("decoded", "truncated"),
    )

    def __init__(self, coding: str, cap: int) -> None:
        """Start empty.

        :param coding: the Content-Encoding as sent; empty for none.
        :param cap: bytes to keep after decoding; a bit more may come over the wire.
        """
        self._coding = coding.strip().lower()
        self._engine: _Engine | None = None
        self._parts: list[bytes] = []
        self._room = self._cap = cap
        self._wire = 0
        self.decoded = self._coding in _CODINGS
        self.truncated = not (self._plain or self.decoded)

    @property
    def _plain(self) -> bool:
        return self._coding in {"", "identity"}

    def feed(self, piece: bytes) -> bool:
        """Take a piece from the wire and tell whether more is wanted."""
        self._wire += len(piece)
        if self._plain:
            self._keep(piece)
        elif self.decoded:
            self._inflate(piece)
        if self._wire > self._cap + _SLACK:
            self.truncated = True
        return not self.truncated

    def finish(self) -> bytes:
        """Return what was kept, after the last piece."""
        if self._engine is not None and not self._engine.eof:
            self.truncated = True
        return b"".join(self._parts)

    def _keep(self, piece: bytes) -> None:
        if len(piece) > self._room:
            self.truncated = True
            piece = piece[: self._room]
        self._room -= len(piece)
        self._parts.append(piece)

    def _inflate(self, piece: bytes) -> None:
        try:
            for part in _parts(piece):
                left = part
                while left and not self.truncated:
                    left = self._step(left)
        except zlib.error:
            self.truncated = True

    def _step(self, piece: bytes) -> bytes:
        """Decode at most one byte more than there is room for; return what is left to decode."""
        engine = self._engine
        if engine is None or engine.eof:
            engine = self._engine = zlib.decompressobj(_window(self._coding, piece))
        self._keep(engine.decompress(piece, self._room + 1))
        return engine.unconsumed_tail or engine.unused_data


class Unreadable(Exception):
    """The body is not what its coding says, or it grows out of all proportion."""


class Decoder:
    """Takes the coding off a body that is passed on piece by piece.

    :ivar decoded: the coding was taken off (there was one, and it is known).
    :ivar readable: the coding is known, or there is none.
    """

    __slots__ = ("_coding", "_engine", "_out", "_wire", "decoded", "readable")

    def __init__(self, coding: str) -> None:
        """Start; ``coding`` is the Content-Encoding as sent, empty for none."""
        self._coding = coding.strip().lower()
        self._engine: _Engine | None = None
        self._wire = self._out = 0
        self.decoded = self._coding in _CODINGS
        self.readable = self.decoded or self._coding in {"", "identity"}

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what a piece from the wire says, in pieces of a bounded size.

        :raises Unreadable: the data is broken, or a bomb.
        """
        if not self.decoded:
            yield piece
            return
        try:
            for part in _parts(piece):
                yield from self._decoded(part)
        except zlib.error as error:
            raise Unreadable from error

    def _decoded(self, left: bytes) -> Iterator[bytes]:
        while left:
            left, out = self._step(left)
            if out:
                yield out

    def finish(self) -> None:
        """Check that the coding's own end was seen.

        :raises Unreadable: it was not.
        """
        if self._engine is not None and not self._engine.eof:
            raise Unreadable

    def _step(self, piece: bytes) -> tuple[bytes, bytes]:
        engine = self._engine
        if engine is None or engine.eof:
            engine = self._engine = zlib.decompressobj(_window(self._coding, piece))
        out = engine.decompress(piece, _SLACK)
        rest = engine.unconsumed_tail or engine.unused_data
        self._out += len(out)
        self._wire += len(piece) - len(rest)
        if self._out > RATIO * self._wire + _FREE:
            raise Unreadable
        return rest, out


def _parts(piece: bytes) -> Iterator[bytes]:
    """Yield parts of a piece: what follows each of many small members is copied."""
    for at in range(0, len(piece), _PART):
        yield piece[at : at + _PART]


def _window(coding: str, first: bytes) -> int:
    """Return zlib's name of the format; deflate comes with and without its wrapper."""
    if coding != "deflate":
        return _GZIP
    return _ZLIB if first[0] & 0x0F == _DEFLATE_METHOD else _RAW
