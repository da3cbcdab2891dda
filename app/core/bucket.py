"""Arithmetic of the limits: the sliding window of a key, and the token bucket of all others.

The window counts calls in any sixty seconds, in slots of five. A slot that lies partly in the
window counts in full, so no sixty seconds ever see more calls than the limit; at worst a call
waits five seconds longer than it had to.

The bucket of ``60/minute`` holds 60 calls and fills evenly, one a second. It is counted in whole
numbers, so that nothing is lost or gained by rounding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.core.errors import InvalidField
from app.core.instant import SECOND, Instant

SLOT_SECONDS: Final = 5
"""Length of a slot."""

SLOTS: Final = 60 // SLOT_SECONDS
"""Whole slots of a window."""

_SLOT: Final = SLOT_SECONDS * SECOND


@dataclass(frozen=True, slots=True)
class Window:
    """How a limit stands after a call.

    :ivar used: calls that count now, this one included.
    :ivar reset_seconds: seconds until counted calls leave the window: some after a call that
        passed; as many as the next call needs after one that was one too many.
    """

    limit: int
    used: int
    reset_seconds: int

    @property
    def remaining(self) -> int:
        """Calls that are left."""
        return max(0, self.limit - self.used)

    @property
    def exceeded(self) -> bool:
        """Whether the call was one too many."""
        return self.used > self.limit


def slot_of(now: Instant) -> int:
    """Return the number of the slot since the epoch."""
    return now // _SLOT


def oldest_slot(now: Instant) -> int:
    """Return the oldest slot that reaches into the window that ends now."""
    return slot_of(now) - SLOTS


def window(limit: int, calls: Mapping[int, int], now: Instant) -> Window:
    """Return how the limit stands with one more call now.

    :param calls: the calls that were let through by slot; slots before the window don't count.
    """
    oldest = oldest_slot(now)
    counted = {slot: count for slot, count in calls.items() if slot >= oldest and count > 0}
    used = sum(counted.values()) + 1
    room = limit - 1 if used > limit else used - 1
    if used <= limit:
        counted[slot_of(now)] = counted.get(slot_of(now), 0) + 1
    return Window(limit, used, _seconds_until(room, counted, now))


def _seconds_until(most: int, counted: Mapping[int, int], now: Instant) -> int:
    """Return the whole seconds, at least one, until no more than ``most`` calls are counted."""
    left, gone = sum(counted.values()), slot_of(now)
    for slot in sorted(counted):
        if left <= most:
            break
        left -= counted[slot]
        gone = slot
    return max(1, -(-((gone + SLOTS + 1) * _SLOT - now) // SECOND))


# --- token buckets ---

UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""Seconds of the units in which a rate is written."""

MOST_SECONDS: Final = 86_400
"""The longest time of a rate: a bucket that nobody touched for so long is full again."""

_RATE: Final = re.compile(r"([1-9][0-9]{0,5})/(second|minute|hour|day|[1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds; as many at once, then one each time its share is over."""

    limit: int
    seconds: int

    def __str__(self) -> str:
        """Return the text that :func:`parse_rate` reads."""
        names = {seconds: name for name, seconds in UNITS.items()}
        return f"{self.limit}/{names.get(self.seconds, self.seconds)}"


@dataclass(frozen=True, slots=True)
class Level:
    """What was taken out of a bucket and has not flowed back yet, as of an instant.

    :ivar used: in microseconds times the rate's limit; one call is the rate's seconds of these.
    """

    used: int
    at: Instant


def parse_rate(text: str) -> Rate:
    """Return the rate of a text such as ``60/minute`` or ``5/90`` (five in ninety seconds).

    :raises ValueError: it is none, with a message that says what to write.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        message = (
            "write a rate as 60/minute: a number up to 999999, a slash, and second, minute, hour, "
            "day or a number of seconds up to 9999"
        )
        raise ValueError(message)
    unit = found[2]
    return Rate(int(found[1]), UNITS[unit] if unit in UNITS else int(unit))


def check_rate(text: str, pointer: str) -> None:
    """Refuse a text that is neither a rate nor empty.

    :raises InvalidField: with the pointer.
    """
    try:
        if text:
            parse_rate(text)
    except ValueError as error:
        raise InvalidField(str(error), pointer=pointer) from error


def take(rate: Rate, level: Level | None, now: Instant) -> tuple[Level, int]:
    """Take one call out of a bucket; None is a full one.

    :returns: the level after it and 0, or the level as it is and the whole seconds to wait.
    """
    present = _filled(rate, level, now)
    one = rate.seconds * SECOND
    short = present.used + one - rate.limit * one
    if short <= 0:
        return Level(present.used + one, present.at), 0
    wait = -(-short // rate.limit) + max(0, present.at - now)
    return present, max(1, -(-wait // SECOND))


def _filled(rate: Rate, level: Level | None, now: Instant) -> Level:
    """Return the level after what flowed back; a clock that goes back fills nothing.

    A small step back is two servers at one moment, and the later of their times stands. After
    one that is longer than the bucket needs to fill, the clock itself was set: it counts from
    its new time on, or nothing would pass until the old one comes again.
    """
    if level is None:
        return Level(0, now)
    elapsed = now - level.at
    if elapsed >= 0:
        return Level(max(0, level.used - elapsed * rate.limit), now)
    return level if elapsed >= -rate.seconds * SECOND else Level(level.used, now)
