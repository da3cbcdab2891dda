"""Arithmetic of the sliding window: calls in any sixty seconds, counted by minute.

The minute before counts by the part of it that still lies in the window. For evenly spread calls
this is exact; at worst it errs by what was crowded into one end of that minute.
"""

from dataclasses import dataclass
from typing import Final

from app.core.instant import SECOND, Instant

MINUTE: Final = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Window:
    """How a limit stands after a call.

    :ivar used: calls that count now, this one included.
    :ivar reset_seconds: seconds until the present minute is over.
    """

    limit: int
    used: float
    reset_seconds: int

    @property
    def remaining(self) -> int:
        """Calls that are left."""
        return max(0, int(self.limit - self.used))

    @property
    def exceeded(self) -> bool:
        """Whether the call was one too many."""
        return self.used > self.limit


def minute_of(now: Instant) -> int:
    """Return the number of the minute since the epoch."""
    return now // MINUTE


def window(limit: int, before: int, current: int, now: Instant) -> Window:
    """Return how the limit stands.

    :param before: calls counted in the minute before.
    :param current: calls counted in this minute, this one included.
    """
    into = now % MINUTE
    weight = (MINUTE - into) / MINUTE
    return Window(limit, current + before * weight, max(1, -(-(MINUTE - into) // SECOND)))
