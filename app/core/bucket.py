"""Arithmetic of the sliding window: calls in any sixty seconds, counted in slots of five.

A slot that lies partly in the window counts in full, so no sixty seconds ever see more calls than
the limit; at worst a call waits five seconds longer than it had to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
