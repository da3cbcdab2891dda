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
    written: dict[bytes, tuple[object, int]] = field(
        default_factory=dict[bytes, tuple[object, int]]
    )
    left_out: int = 0

    def admit(
        self, details: Mapping[str, JsonValue], now: Instant, by: object = None
    ) -> dict[str, JsonValue] | None:
        """Return the details of an entry to write, or None when the refusal is only counted.

        :param by: who writes it in a unit of work; the same one, run again, gets the same answer.
        """
        left_out, key = 0, canonical(dict(details))
        writer, told = self.written.get(key, (None, 0))
        if by is not None and writer is by:
            return {**details, "left_out_before": told}
        if now - self.since >= _WINDOW:
            left_out, self.left_out = self.left_out, 0
            self.since = now
            self.written.clear()
        if key in self.written or len(self.written) >= MOST:
            self.left_out += 1
            return None
        self.written[key] = by, left_out
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
