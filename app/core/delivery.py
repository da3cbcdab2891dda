"""A message to one recipient, and when it is tried again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.instant import SECOND, Instant, plus

MAX_AGE: Final = 3 * 86_400
"""Seconds after which a message that was never taken is a dead letter."""

DIGEST_AGE: Final = 900
"""The same for a digest; what it stands for then goes out one by one."""

LEASE: Final = 60.0
"""Seconds after which a delivery that was not reported is tried by another worker."""

_FIRST: Final = 2.0
_LONGEST: Final = 6 * 3600.0
_MOST_DOUBLINGS: Final = 20
_LONGEST_UNSEEN: Final = 240.0
"""Longest wait, in seconds, with what no person has seen yet: after an outage it is told soon."""


class DeliveryKind(StrEnum):
    """What is delivered; a note tells a person something about their own account."""

    CARD = "card"
    DIGEST = "digest"
    NOTE = "note"
    EVENT = "event"


class DeliveryState(StrEnum):
    """How far it came.

    ``held`` waits for the end of quiet hours or of a cap, and until its digest was taken;
    ``skipped`` was overtaken (decided before it was shown, told in a digest, or its recipient is
    not a person here any more); ``dead`` is a dead letter, which can be resent.
    """

    DUE = "due"
    DONE = "done"
    HELD = "held"
    DEAD = "dead"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one recipient; the fields stand in the order of the table's columns.

    :ivar purpose: why it is sent: ``asked``, ``escalated``, ``urgent`` (in quiet hours, on the
        agent's word), ``alarm``, ``fallback`` (the way of the route reached nobody), ``digest``,
        ``linked``, or an event's type.
    :ivar token: opaque name of this copy; what a button carries.
    :ivar body: of a card the stage that it was made in, of a digest the requests' ids, of a note
        its lines.
    :ivar reference: where the message stands, JSON text; empty before it was taken.
    :ivar display: digest of what it showed, and ``complete`` whether that was everything.
    :ivar wanted: the request's version that it should show, and ``shown`` the one that it does.
    :ivar fence: grows with every claim.
    """

    id: str
    kind: DeliveryKind
    channel: str
    recipient: str
    person_id: str | None
    request_id: str | None
    event_id: str | None
    purpose: str
    token: str
    body: str
    reference: str
    display: str
    complete: bool
    wanted: int
    shown: int
    state: DeliveryState
    tries: int
    fence: int
    run_at: Instant
    lease_until: Instant | None
    last_error: str
    created_at: Instant
    updated_at: Instant
    delivered_at: Instant | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery.

    :ivar outcome: ``taken``, ``retry`` or ``dead``.
    """

    delivery_id: str
    fence: int
    at: Instant
    milliseconds: int
    outcome: str
    detail: str


def retry_at(
    delivery: Delivery, now: Instant, jitter: float, retry_after: float | None
) -> Instant | None:
    """Return when a failed delivery is tried again; None when it is a dead letter.

    :param jitter: a random number from 0 to 1; the wait is between half of it and all of it.
    :param retry_after: seconds that the other side asked for; never less is waited.
    """
    doubled = _FIRST * 2 ** min(delivery.tries - 1, _MOST_DOUBLINGS)
    seen = delivery.kind is DeliveryKind.EVENT or delivery.reference
    wait = min(doubled, _LONGEST if seen else _LONGEST_UNSEEN) * (0.5 + jitter / 2)
    at = plus(now, max(wait, retry_after or 0.0))
    oldest = DIGEST_AGE if delivery.kind is DeliveryKind.DIGEST else MAX_AGE
    return at if at - delivery.created_at <= oldest * SECOND else None
