"""Failed authentications in the record, bounded so that a flood of them cannot fill it (AUD-1).

In any minute a process writes one entry for each address and reason, and at most ``MOST``; what
is left out is counted, and the count is written with the first failure after that minute.
"""

from dataclasses import dataclass, field
from typing import Final

from app.core.instant import SECOND, Instant
from app.core.json_types import JsonValue

MOST: Final = 20
"""Entries that one process writes in a minute."""

_WINDOW: Final = 60 * SECOND
_NEVER: Final = Instant(-_WINDOW)


@dataclass(slots=True)
class Refusals:
    """What was written in the present minute, and how much was left out."""

    since: Instant = _NEVER
    written: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    left_out: int = 0

    def admit(self, code: str, address: str, now: Instant) -> dict[str, JsonValue] | None:
        """Return the details of an entry to write, or None when the failure is only counted."""
        left_out = 0
        if now - self.since >= _WINDOW:
            left_out, self.left_out = self.left_out, 0
            self.since = now
            self.written.clear()
        if (code, address) in self.written or len(self.written) >= MOST:
            self.left_out += 1
            return None
        self.written.add((code, address))
        return {"code": code, "from": address, "left_out_before": left_out}
