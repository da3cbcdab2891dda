"""One-click links; the id in a link is a secret, of which only the digest is kept."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from app.core.instant import Instant
from app.store.sql import table_of
from app.store.tables_notices import LinkRow

if TYPE_CHECKING:
    from app.store.tx import Tx

L = table_of(LinkRow)


@dataclass(frozen=True, slots=True)
class Link:
    """A link, bound to a request, its digest, a person and a channel; it works once."""

    sha256: str
    request_id: str
    digest: str
    person_id: str
    channel: str
    delivery_id: str
    created_at: Instant
    expires_at: Instant
    used_at: Instant | None = None


class Links:
    """The links of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def put(self, link: Link) -> None:
        """Add a link; one sent before, in a try that seemed to fail, goes on working."""
        self._tx.query(insert(L).values(**asdict(link)))

    def get(self, sha256: str) -> Link | None:
        """Return a link, or None."""
        row = self._tx.query(select(L).where(L.c.sha256 == sha256)).first()
        return None if row is None else Link(*row)

    def use_up(self, sha256: str) -> bool:
        """Mark a live link as used; False when it was used or is over."""
        now = self._tx.now
        statement = (
            update(L)
            .where(L.c.sha256 == sha256, L.c.used_at.is_(None), L.c.expires_at > now)
            .values(used_at=now)
        )
        return self._tx.query(statement).rowcount == 1

    def end_siblings(self, request_id: str, person_id: str) -> None:
        """End every link of a person for a request."""
        self._tx.query(
            update(L)
            .where(L.c.request_id == request_id, L.c.person_id == person_id, L.c.used_at.is_(None))
            .values(used_at=self._tx.now)
        )

    def forget(self, before: Instant) -> None:
        """Remove links that were over before an instant."""
        self._tx.query(delete(L).where(L.c.expires_at < before))
