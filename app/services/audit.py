"""Reading the record."""

from dataclasses import dataclass

from app.core.principals import Caller, Scope
from app.services.access import require
from app.store.audit import AuditRecord
from app.store.engine import Store


@dataclass(frozen=True, slots=True)
class Audit:
    """What callers may read of the append-only record."""

    store: Store

    async def page(
        self,
        caller: Caller,
        *,
        before: int | None = None,
        limit: int = 50,
        event: str | None = None,
        actor: str | None = None,
    ) -> list[AuditRecord]:
        """Return entries, newest first, below the given sequence number.

        :raises MissingScope: the caller may not read the record.
        """
        require(caller, Scope.AUDIT_READ)
        return await self.store.read(
            lambda tx: tx.audit.page(before=before, limit=limit, event=event, actor=actor)
        )
