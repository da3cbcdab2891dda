"""The request: an action under decision, the one aggregate. A frozen value; change is a new one."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Final, cast

from app.core.action import Kind, Urgency
from app.core.instant import Instant
from app.core.policy import Effect
from app.core.routing import Assurance, Plan, thaw


class Status(StrEnum):
    """Where a request stands; the table of ``lifecycle`` has the only ways between them."""

    PENDING = "pending"
    APPROVED = "approved"
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.DENIED, Status.EXPIRED, Status.CANCELLED}
)
"""Statuses that nothing leaves."""

OPEN: Final = frozenset({Status.PENDING, Status.APPROVED, Status.EXECUTING})
"""Statuses that count against an agent's cap on open requests."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as stored.

    ``payload`` is the canonical envelope and ``digest`` its SHA-256; the fields up to
    ``verdict`` never change after submission.

    :ivar effect: the pipeline's effect at submission.
    :ivar verdict: canonical JSON text of the whole verdict as recorded.
    :ivar quorum: approvals that are needed.
    :ivar owner_may_decide: None means the installation's setting at the time of the vote.
    :ivar route: who is asked and what their votes need, frozen (``core.routing``).
    :ivar valid_for: seconds that an approval stays usable.
    :ivar valid_until: when the grant is over; set by approval.
    :ivar decided_by: reference of who decided (``person:…``, ``policy:…``).
    :ivar approvals: seats that are filled.
    :ivar attempt: how often execution was claimed.
    :ivar fence: grows with every claim; a stale holder's number no longer fits.
    :ivar sent_at: set just before the first byte of this attempt left.
    :ivar outcome: canonical JSON text of the outcome's summary, once there is one.
    :ivar denials: votes against so far.
    :ivar stage: steps of the ladder taken so far.
    :ivar escalate_at: when the next one is taken.
    """

    id: str
    agent_id: str
    key_id: str
    owner_id: str | None
    kind: Kind
    action: str
    target_id: str | None
    target_name: str | None
    urgency: Urgency
    reason: str
    payload: bytes
    digest: str
    effect: Effect
    verdict: str
    quorum: int
    owner_may_decide: bool | None
    route: str
    require_reason: bool
    valid_for: int
    created_at: Instant
    expires_at: Instant
    status: Status
    version: int = 1
    approvals: int = 0
    decided_at: Instant | None = None
    decided_by: str | None = None
    comment: str = ""
    valid_until: Instant | None = None
    attempt: int = 0
    fence: int = 0
    worker: str | None = None
    lease_until: Instant | None = None
    sent_at: Instant | None = None
    finished_at: Instant | None = None
    outcome: str | None = None
    denials: int = 0
    stage: int = 0
    escalate_at: Instant | None = None

    @property
    def plan(self) -> Plan:
        """Who is asked, and what their votes need."""
        return thaw(self.route, self.quorum)

    @property
    def plan_is_special(self) -> bool:
        """Whether it asks for more than one vote of anybody."""
        return bool(self.route) or self.quorum > 1

    @property
    def risk_level(self) -> str:
        """The level of the assessed risk, or an empty text where nothing was declared."""
        risk = json.loads(self.verdict).get("risk") or {}
        return str(risk.get("level", ""))

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the rule that decided."""
        return tuple(map(str, json.loads(self.verdict).get("tags", ())))

    @property
    def by_people(self) -> bool:
        """Whether people decide it, so that it runs because somebody said so."""
        return self.effect is Effect.REVIEW

    @property
    def final(self) -> bool:
        """Whether nothing more will happen without a human: the end of an agent's wait."""
        if self.status in TERMINAL or self.status is Status.UNKNOWN:
            return True
        return self.kind is Kind.PLAIN and self.status is Status.APPROVED


_FIELDS: Final = tuple(item.name for item in fields(Request))
_VALUES: Final = attrgetter(*_FIELDS)
_PLACES: Final = {name: place for place, name in enumerate(_FIELDS)}


_Draft: Final = make_dataclass(
    "_Draft", [(f.name, object, field(default=f.default)) for f in fields(Request)], slots=True
)
draft: Final = cast("type[Request]", _Draft)
"""Makes a request in the making: a frozen class sets its fields eight times as slowly."""


def freeze(made: Request) -> Request:
    """Return the request that a draft has become."""
    cast("object", made).__class__ = Request
    return made


def assembled(values: Iterable[object]) -> Request:
    """Return the request that has these values in the order of its fields."""
    return freeze(cast("Request", _Draft(*values)))


def evolve(request: Request, changes: Mapping[str, object]) -> Request:
    """Return the request with other values in some fields; ``dataclasses.replace``, but faster."""
    values = list(_VALUES(request))
    for name, value in changes.items():
        values[_PLACES[name]] = value
    return assembled(values)


class Choice(StrEnum):
    """What a person pressed."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Ballot:
    """A person's choice about exactly the payload with this digest.

    :ivar digest: the digest that the surface showed; a click on a stale one decides nothing.
    :ivar channel: where it was cast (``dashboard``, ``api``, ...).
    :ivar assurance: how sure that place makes us of who cast it.
    :ivar display: digest of what the surface showed; empty where a program cast it.
    :ivar excluded: numbers of the calls of a bundle that an approval leaves out, ascending.
    """

    choice: Choice
    digest: str
    comment: str
    channel: str
    assurance: Assurance = Assurance.CHAT
    display: str = ""
    excluded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """A ballot that was counted."""

    request_id: str
    person_id: str
    ballot: Ballot
    cast_at: Instant
