"""The only places that read a clock or draw randomness for ids."""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from app.core.instant import SECOND, Instant

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_NANOS: Final = 1000
_CHUNK: Final = 10
_STEP: Final = 32
"""An id of the same millisecond lies up to 2^48 above the one before: it cannot be guessed."""

_AT_A_TIME: Final = 256
_POOL: Final[list[bytes]] = []
os.register_at_fork(after_in_child=_POOL.clear)
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]


class SystemClock:
    """The host's clock, corrected by what the database's clock was found to differ.

    On SQLite the database's clock is the host's; for PostgreSQL ``store`` sets ``offset``.
    """

    def __init__(self) -> None:
        """Start without correction."""
        self.offset = 0

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.time_ns() // _NANOS + self.offset)


def since(instant: Instant) -> Callable[[], Instant]:
    """Return a clock that goes on from an instant, whatever happens to the host's."""
    began = time.monotonic_ns()
    return lambda: Instant(instant + (time.monotonic_ns() - began) // _NANOS)


class Ids:
    """Makes ids: a prefix, 48 bits of milliseconds, 80 random bits, in Crockford's base 32.

    Ids of one maker sort by the time of their making, those of one millisecond too.
    """

    def __init__(self, clock: SystemClock | None = None) -> None:
        """Use the given clock for the time part."""
        self._clock = clock or SystemClock()
        self._millis = -1
        self._bits = 0

    def new(self, prefix: str, at: Instant | None = None) -> str:
        """Return a new id such as ``req_01kq…``, with the given or the present instant."""
        instant = self._clock.now() if at is None else at
        millis = instant * 1000 // SECOND
        if millis == self._millis:
            bits = self._bits + 1 + (_random_bits() >> _STEP)
        else:
            bits = _random_bits() >> 1
        # Another thread may do the same at this moment: what it writes is not read again here.
        self._millis, self._bits = millis, bits
        return f"{prefix}_{time_part(instant)}{_spelled(bits)}"


def time_part(instant: Instant) -> str:
    """Return the ten digits that ids made at this instant begin with, after their prefix."""
    ms, pairs = instant * 1000 // SECOND, _PAIRS
    return _early(ms >> 20) + pairs[ms >> 10 & 1023] + pairs[ms & 1023]


@lru_cache(4)
def _early(ms: int) -> str:
    """Return the six digits that change every seventeen minutes."""
    return "".join([_PAIRS[ms >> shift & 1023] for shift in (20, 10, 0)])


def _random() -> bytes:
    """Return ten random bytes; the system is asked for many at a time."""
    try:
        return _POOL.pop()
    except IndexError:
        data = os.urandom(_CHUNK * _AT_A_TIME)
        fresh = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        _POOL.extend(fresh[1:])
        return fresh[0]


def random_hex() -> str:
    """Return 80 random bits as 20 hexadecimal digits."""
    return _random().hex()


def _random_bits() -> int:
    return int.from_bytes(_random())


def _spelled(bits: int) -> str:
    high, low, pairs = bits >> 40, bits & 0xFF_FFFF_FFFF, _PAIRS
    return (
        f"{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}"
        f"{pairs[high & 1023]}{pairs[low >> 30]}{pairs[low >> 20 & 1023]}"
        f"{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )
