"""Announcements: what happened to a request becomes events, and deliveries to subscribers."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.clock import Ids
from app.core.canonical import canonical
from app.core.delivery import Delivery, DeliveryKind, DeliveryState
from app.core.jobs import JobKind
from app.core.request import Request
from app.core.subscriptions import AnnouncedEvent, Subscription, cloud_event, types_of
from app.settings import Settings
from app.store.audit import AuditRecord
from app.store.engine import Store
from app.store.tx import Change, Tx

WEBHOOK: Final = "webhook"
"""The channel of what goes to subscribers instead of people."""

_CHANGES: Final = frozenset({"webhook", "store"})


@dataclass(frozen=True, slots=True)
class Announcements:
    """Makes events from the record, each once, however often a job comes."""

    store: Store
    ids: Ids
    settings: Settings

    async def look(self) -> None:
        """Let transitions leave announcements only where somebody subscribes."""
        found = await self.store.read(lambda tx: tx.webhooks.all())
        self.store.want(JobKind.ANNOUNCE, wanted=any(item.enabled for item in found))

    async def forget(self, change: Change | None) -> None:
        """Look again when subscriptions may have changed."""
        if change is None or change[0] in _CHANGES:
            await self.look()

    async def announce(self, request_id: str) -> None:
        """Make the events of a request that were not made yet."""
        await self.store.write(lambda tx: self._announce(tx, request_id), order=request_id)

    def _announce(self, tx: Tx, request_id: str) -> None:
        request = tx.requests.lock(request_id)
        if request is None:
            return
        done = tx.webhooks.last_event(request_id)
        subscribers = [item for item in tx.webhooks.all() if item.enabled]
        agent = tx.agents.get(request.agent_id)
        name = agent.name if agent else ""
        for record in tx.audit.of_request(request_id):
            if record.seq > done:
                for event in self._events(record, request):
                    tx.webhooks.add_event(event)
                    self._fan_out(tx, event, request, name, subscribers)

    def _events(self, record: AuditRecord, request: Request) -> list[AnnouncedEvent]:
        made: list[AnnouncedEvent] = []
        place = f"{request.id.removeprefix('req_')}_{record.seq}"  # no other installation's
        for kind in types_of(record.event, record.details):
            name = f"evt_{place}_{kind.removeprefix('request.')}"
            status = str(record.details.get("to", request.status.value))
            body = cloud_event(name, kind, record.at, self.settings.public_url, request, status)
            text = canonical(body).decode()
            made.append(AnnouncedEvent(name, record.seq, kind, request.id, text, record.at))
        return made

    def _fan_out(
        self,
        tx: Tx,
        event: AnnouncedEvent,
        request: Request,
        agent: str,
        subscribers: Sequence[Subscription],
    ) -> None:
        target = request.target_name or ""
        for item in subscribers:
            if item.filters.wants(event.type, agent, target, request.action):
                tx.deliveries.add(self._delivery(tx, event, item.id))

    def _delivery(self, tx: Tx, event: AnnouncedEvent, webhook_id: str) -> Delivery:
        return Delivery(
            id=self.ids.new("dlv"), kind=DeliveryKind.EVENT, channel=WEBHOOK,
            recipient=webhook_id, person_id=None, request_id=event.request_id, event_id=event.id,
            purpose=event.type, token=secrets.token_urlsafe(16), body="", reference="",
            display="", complete=False, wanted=1, shown=0, state=DeliveryState.DUE, tries=0,
            fence=0, run_at=tx.now, lease_until=None, last_error="", created_at=tx.now,
            updated_at=tx.now, delivered_at=None,
        )  # fmt: skip
