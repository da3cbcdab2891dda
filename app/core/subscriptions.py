"""What subscribers can be told, which of it a subscription wants, and in what words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.core.conditions.glob import any_of, plain_glob
from app.core.instant import Instant, to_iso
from app.core.json_types import JsonObject
from app.core.request import Request

_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "request.submitted": ("request.created",),
    "request.escalated": ("request.escalated",),
    "request.approved": ("request.decided",),
    "request.denied": ("request.decided",),
    "request.expired": ("request.expired",),
    "request.cancelled": ("request.cancelled",),
    "request.succeeded": ("request.executed",),
    "request.failed": ("request.executed",),
    "request.lost": ("request.executed",),
    "request.settled": ("request.settled",),
}
"""From audit events to the types of events that follow from them."""

EVENT_TYPES: Final = tuple(sorted({name for names in _TYPES.values() for name in names}))
"""Everything that can be subscribed to."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a subscription wants; empty means all. Names are globs."""

    events: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def wants(self, event_type: str, agent: str, target: str, action: str) -> bool:
        """Whether an event about a request of this agent, target and action is wanted."""
        if self.events and event_type not in self.events:
            return False
        pairs = ((self.agents, agent), (self.targets, target), (self.actions, action))
        return all(not globs or any_of(globs, plain_glob, "")(text) is True
                   for globs, text in pairs)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscriber's address and what it wants; the secrets are elsewhere, sealed.

    :ivar format: ``standard`` (CloudEvents, signed) or ``wake`` (for agent runtimes).
    :ivar networks: CIDRs of private networks that it opts in to.
    :ivar disabled_reason: why it was switched off by itself, or empty.
    """

    id: str
    name: str
    url: str
    format: str
    filters: Filters
    enabled: bool
    networks: tuple[str, ...]
    created_at: Instant
    updated_at: Instant
    disabled_reason: str = ""
    previous_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class AnnouncedEvent:
    """Something that happened to a request; the id never changes, however often it is told."""

    id: str
    seq: int
    type: str
    request_id: str
    body: str
    created_at: Instant


def types_of(audit_event: str, details: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types of events that follow from an audit entry of a request."""
    types = _TYPES.get(audit_event, ())
    decided = details.get("to") in ("approved", "denied")
    if audit_event == "request.submitted" and decided:
        return (*types, "request.decided")
    if audit_event == "request.escalated" and decided:
        return (*types, "request.decided")
    return types


def cloud_event(
    event_id: str, event_type: str, at: Instant, source: str, request: Request, status: str
) -> JsonObject:
    """Return the event in the structured form of CloudEvents 1.0.

    :param status: the status that the request came to in this step.
    """
    home = f"/api/requests/{request.id}"
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": f"assentry.{event_type}",
        "subject": request.id,
        "time": to_iso(at),
        "datacontenttype": "application/json",
        "data": {
            "request_id": request.id,
            "status": status,
            "agent_id": request.agent_id,
            "kind": request.kind.value,
            "action": request.action,
            "target": request.target_name,
            "urgency": request.urgency.value,
            "digest": request.digest,
            "effect": request.effect.value,
            "approvals": request.approvals,
            "quorum": request.quorum,
            "decided_by": request.decided_by if request.decided_at is not None else None,
            "comment": request.comment,
            "created_at": to_iso(request.created_at),
            "expires_at": to_iso(request.expires_at),
            "links": {"self": home, "result": f"{home}/result"},
        },
    }
