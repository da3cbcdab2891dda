"""Subscriptions and the events that they are told of."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from app.core.instant import Instant
from app.core.subscriptions import AnnouncedEvent, Filters, Subscription
from app.store.sql import table_of
from app.store.tables_notices import EventRow, WebhookRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

W = table_of(WebhookRow)
E = table_of(EventRow)


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """The sealed signing secrets of a subscription.

    :ivar previous: the ones before, a line each, with the microsecond until which it is live; a
        line without one is live until ``previous_until``.
    """

    secret: bytes
    previous: bytes | None = None
    previous_until: Instant | None = None


class Webhooks:
    """The subscriptions of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def all(self) -> list[Subscription]:
        """Return all subscriptions by name."""
        return [_subscription(row) for row in self._tx.query(select(W).order_by(W.c.name))]

    def get(self, webhook_id: str) -> Subscription | None:
        """Return a subscription, or None."""
        row = self._tx.query(select(W).where(W.c.id == webhook_id)).first()
        return None if row is None else _subscription(row)

    def lock(self, webhook_id: str) -> Subscription | None:
        """Return a subscription that nobody else changes until this transaction ends, or None."""
        row = self._tx.query(select(W).where(W.c.id == webhook_id).with_for_update()).first()
        return None if row is None else _subscription(row)

    def secrets(self, webhook_id: str) -> SealedSecrets | None:
        """Return a subscription's sealed secrets, or None."""
        columns = select(W.c.secret, W.c.previous, W.c.previous_until)
        row = self._tx.query(columns.where(W.c.id == webhook_id)).first()
        if row is None:
            return None
        previous = None if row.previous is None else bytes(row.previous)
        return SealedSecrets(bytes(row.secret), previous, row.previous_until)

    def add(self, subscription: Subscription, secrets: SealedSecrets) -> None:
        """Add a subscription.

        :raises NameTaken: another one has the name.
        """
        with unique("/name"):
            self._tx.query(insert(W).values(**_values(subscription), **asdict(secrets)))

    def put(self, subscription: Subscription) -> None:
        """Write the changed subscription, who must be locked; its secrets stay."""
        values = _values(subscription)
        with unique("/name"):
            self._tx.query(update(W).where(W.c.id == subscription.id).values(**values))

    def put_secrets(self, webhook_id: str, secrets: SealedSecrets) -> None:
        """Replace a subscription's secrets."""
        self._tx.query(update(W).where(W.c.id == webhook_id).values(**asdict(secrets)))

    def drop(self, webhook_id: str) -> None:
        """Remove a subscription."""
        self._tx.query(delete(W).where(W.c.id == webhook_id))

    # --- events ---

    def last_event(self, request_id: str) -> int:
        """Return the audit number up to which a request's events were made; 0 for none."""
        statement = select(func.max(E.c.seq)).where(E.c.request_id == request_id)
        return int(self._tx.query(statement).scalar() or 0)

    def add_event(self, event: AnnouncedEvent) -> None:
        """Keep an event."""
        self._tx.query(insert(E).values(**asdict(event)))

    def event(self, event_id: str) -> AnnouncedEvent | None:
        """Return an event, or None."""
        row = self._tx.query(select(E).where(E.c.id == event_id)).first()
        return None if row is None else AnnouncedEvent(*row)

    def forget_events(self, before: Instant) -> None:
        """Remove events made before an instant."""
        self._tx.query(delete(E).where(E.c.created_at < before))


def _values(subscription: Subscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "name": subscription.name,
        "url": subscription.url,
        "format": subscription.format,
        "filters": json.dumps(asdict(subscription.filters)),
        "enabled": subscription.enabled,
        "networks": json.dumps(subscription.networks),
        "created_at": subscription.created_at,
        "updated_at": subscription.updated_at,
        "disabled_reason": subscription.disabled_reason,
    }


def _subscription(row: Any) -> Subscription:
    filters: dict[str, Sequence[str]] = json.loads(row.filters)
    return Subscription(
        id=row.id,
        name=row.name,
        url=row.url,
        format=row.format,
        filters=Filters(**{name: tuple(found) for name, found in filters.items()}),
        enabled=bool(row.enabled),
        networks=tuple(json.loads(row.networks)),
        created_at=Instant(row.created_at),
        updated_at=Instant(row.updated_at),
        disabled_reason=row.disabled_reason,
        previous_until=row.previous_until,
    )
