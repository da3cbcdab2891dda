"""Reading the record."""

from dataclasses import dataclass
from typing import Unpack

from app.core.principals import Caller, Scope
from app.services.access import require
from app.store.audit import AuditFilter, AuditRecord
from app.store.engine import Store


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
        return await self.store.read(lambda tx: tx.audit.page(limit, **wanted))
