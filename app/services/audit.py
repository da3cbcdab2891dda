"""Reading the record."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Unpack

from app.core.principals import Caller, Scope
from app.services.access import require
from app.store.audit import AuditFilter, AuditRecord
from app.store.engine import Store
from app.store.tx import Tx

WINDOW: Final = 20_000
"""Lines that one read looks at for what has no index; others are served in between."""

_AT_ONCE: Final = frozenset({"before", "after"})
"""What one read finds by the record's own order."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What callers may read of the append-only record."""

    store: Store

    async def page(
        self, caller: Caller, *, limit: int = 50, **wanted: Unpack[AuditFilter]
    ) -> list[AuditRecord]:
        """Return the entries that are wanted, newest first.

        :raises MissingScope: the caller may not read the record.
        """
        require(caller, Scope.AUDIT_READ)
        if wanted.keys() <= _AT_ONCE:
            return await self.store.read(lambda tx: tx.audit.page(limit, **wanted))
        found: list[AuditRecord] = []
        last = await self.store.read(lambda tx: tx.audit.last())
        for window in _windows(wanted, last):
            part = await self.store.read(partial(_page, limit - len(found), window))
            found = [*part, *found] if "after" in wanted else [*found, *part]
            if len(found) == limit:
                break
            await asyncio.sleep(0)
        return found


def _page(limit: int, wanted: AuditFilter, tx: Tx) -> list[AuditRecord]:
    return tx.audit.page(limit, **wanted)


def _windows(wanted: AuditFilter, last: int) -> Iterator[AuditFilter]:
    """Yield what is wanted for one part of the record after the other, the nearest first."""
    end = min(wanted.get("before", last + 1), last + 1)
    if "after" in wanted:
        for low in range(wanted["after"], end - 1, WINDOW):
            yield {**wanted, "after": low, "before": min(low + WINDOW + 1, end)}
        return
    for high in range(end, 1, -WINDOW):
        yield {**wanted, "lowest": max(1, high - WINDOW), "before": high}
