"""Refusals in the record, bounded so that a flood of them cannot fill it (AUD-1).

In any minute a process writes one entry for what is refused to the same one for the same reason,
and at most ``MOST``; what is left out is counted, and the count is written with the first refusal
after that minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.core.audit import NOBODY, Actor
from app.core.canonical import canonical
from app.core.errors import AssentryError
from app.core.instant import SECOND, Instant
from app.core.json_types import JsonValue
from app.store.engine import Store

MOST: Final = 20
"""Entries that one process writes in a minute."""

_WINDOW: Final = 60 * SECOND
_NEVER: Final = Instant(-_WINDOW)
log = structlog.get_logger()


@dataclass(slots=True)
class Refusals:
    """What was written in the present minute, and how much was left out."""

    since: Instant = _NEVER
    written: set[bytes] = field(default_factory=set[bytes])
    left_out: int = 0

    def admit(self, details: Mapping[str, JsonValue], now: Instant) -> dict[str, JsonValue] | None:
        """Return the details of an entry to write, or None when the refusal is only counted."""
        left_out, key = 0, canonical(dict(details))
        if now - self.since >= _WINDOW:
            left_out, self.left_out = self.left_out, 0
            self.since = now
            self.written.clear()
        if key in self.written or len(self.written) >= MOST:
            self.left_out += 1
            return None
        self.written.add(key)
        return {**details, "left_out_before": left_out}

    async def note(
        self, store: Store, event: str, subject: str, details: Mapping[str, JsonValue],
        actor: Actor = NOBODY,
    ) -> None:  # fmt: skip
        """Record a refusal unless there were too many; who is refused is so in any case."""
        entry = self.admit(details, store.clock.now())
        if entry is None:
            return
        try:
            await store.write(lambda tx: tx.note(event, actor, subject, entry))
        except AssentryError as failure:
            log.warning("refusal_not_recorded", error=failure.code)
