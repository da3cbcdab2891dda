"""Time as the core counts it: whole microseconds since 1970-01-01 UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NewType

Instant = NewType("Instant", int)
"""Microseconds since the Unix epoch, UTC."""

SECOND: Final = 1_000_000
"""One second in the unit of :data:`Instant`."""

_SECONDS: Final = 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of an instant, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=instant)


def to_iso(instant: Instant) -> str:
    """Return the RFC 3339 text of an instant, with microseconds and ``Z``."""
    seconds, micros = divmod(instant, SECOND)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(_SECONDS)
def _second(seconds: int) -> str:
    """Return the text of a whole second: many instants are of the same few."""
    return to_datetime(Instant(seconds * SECOND)).isoformat().removesuffix("+00:00")


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime.

    :raises ValueError: when the datetime has no time zone.
    """
    if moment.tzinfo is None:
        message = "a datetime without time zone is not an instant"
        raise ValueError(message)
    return Instant((moment - _EPOCH) // timedelta(microseconds=1))


def plus(instant: Instant, seconds: float) -> Instant:
    """Return the instant that many seconds later (earlier when negative)."""
    return Instant(instant + round(seconds * SECOND))
