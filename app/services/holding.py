"""Holding: what waits for the end of quiet hours, of a gathering or of a flood (T9).

Held cards of a recipient go out together, as one digest. They stay held until the digest was
taken, and come back one by one when it is a dead letter: nobody is left untold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from app.core.action import Urgency
from app.core.delivery import Delivery, DeliveryState
from app.core.instant import Instant, plus
from app.core.preferences import Preference, read_preference
from app.core.request import Request, Status
from app.store.tx import Tx

CAP: Final = 20
"""Most messages that one recipient gets in a minute, however urgent; the rest comes as one."""

AGENTS_CAP: Final = 60
"""Most messages of one agent that a recipient gets in an hour one by one, however urgent."""

OWN_WORD: Final = 3
"""How often in an hour an agent's own word that it is critical gets through to a recipient."""

URGENT: Final = "urgent"
"""Purpose of cards that got through on the agent's own word."""

MINUTE: Final = 60
_HOUR: Final = 3600
_PARKED: Final = _HOUR
_GATHER: Final = 10 * MINUTE
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where something goes; ``person_id`` is set where that is one person's own account."""

    channel: str
    recipient: str
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """When a card goes out, and as what."""

    state: DeliveryState
    at: Instant
    purpose: str


def turn(tx: Tx, request: Request, to: Address, purpose: str) -> Turn:
    """Return when a card goes out: now, or after quiet hours, a gathering or a flood.

    What the policy's own factors make critical passes all but the cap. The agent's own word
    passes quiet hours and gathering a few times an hour, and never what is muted.
    """
    wish, certain = _preference(tx, to), request.risk_level == "critical"
    if wish.muted and not certain:
        return Turn(DeliveryState.SKIPPED, tx.now, purpose)
    recent, waiting = tx.deliveries.load(to.channel, to.recipient, plus(tx.now, -MINUTE))
    rest = None if certain else _rest(wish, tx.now, waiting)
    if rest is not None and not (recent < CAP and _may_call(tx, request, to)):
        return Turn(DeliveryState.HELD, rest, purpose)
    soon = plus(tx.now, MINUTE)
    behind = waiting is not None and waiting <= soon and not certain and rest is None
    if recent >= CAP or behind:
        return Turn(DeliveryState.HELD, min(soon, waiting or soon), purpose)
    if _sent(tx, request, to) >= AGENTS_CAP:
        later = plus(tx.now, _GATHER)
        return Turn(DeliveryState.HELD, min(later, waiting or later), purpose)
    return Turn(DeliveryState.DUE, tx.now, purpose if rest is None else URGENT)


def paced(tx: Tx, to: Address) -> Instant:
    """Return when something that nothing holds back goes out: now, but for the cap."""
    recent, _ = tx.deliveries.load(to.channel, to.recipient, plus(tx.now, -MINUTE))
    return plus(tx.now, recent // CAP * MINUTE)


def release(tx: Tx, digest: Callable[[Address, Sequence[Delivery]], Delivery]) -> int:
    """Let held cards go whose time has come: one alone, several as one message."""
    found = tx.deliveries.held(tx.now, _BATCH)
    for _, items in groupby(found, key=lambda item: (item.channel, item.recipient)):
        _release(tx, list(items), digest)
    return len(found)


def _release(
    tx: Tx, items: list[Delivery], digest: Callable[[Address, Sequence[Delivery]], Delivery]
) -> None:
    waiting = _open(tx, items)
    if not waiting:
        return
    to = Address(waiting[0].channel, waiting[0].recipient, waiting[0].person_id)
    if paced(tx, to) > tx.now:
        tx.deliveries.hold(waiting, plus(tx.now, MINUTE))
    elif len(waiting) == 1:
        tx.deliveries.release(waiting, DeliveryState.DUE, tx.now)
    else:
        tx.deliveries.hold(waiting, plus(tx.now, _PARKED))
        tx.deliveries.add(digest(to, waiting))


def told(tx: Tx, digest: Delivery) -> None:
    """Put the cards of a digest aside, now that it was taken, or that nobody needs it."""
    tx.deliveries.release(_cards(tx, digest), DeliveryState.SKIPPED, tx.now)


def fell(tx: Tx, digest: Delivery) -> None:
    """Let the cards of a digest that is a dead letter go one by one, no faster than the cap."""
    waiting = _open(tx, _cards(tx, digest))
    for place in range(0, len(waiting), CAP):
        at = plus(tx.now, place // CAP * MINUTE)
        tx.deliveries.release(waiting[place : place + CAP], DeliveryState.DUE, at)


def _cards(tx: Tx, digest: Delivery) -> list[Delivery]:
    return tx.deliveries.gathered(digest, digest.body.split(","))


def _open(tx: Tx, items: Sequence[Delivery]) -> list[Delivery]:
    """Return the cards of what still waits for a decision; the others are put aside."""
    waiting = [item for item in items if _is_open(tx, item)]
    over = [item for item in items if item not in waiting]
    tx.deliveries.release(over, DeliveryState.SKIPPED, tx.now)
    return waiting


def _is_open(tx: Tx, item: Delivery) -> bool:
    request = tx.requests.get(item.request_id or "")
    return request is not None and request.status is Status.PENDING


def _rest(wish: Preference, now: Instant, waiting: Instant | None) -> Instant | None:
    """Return when a person's quiet hours or gathering end; a gathering is not begun twice."""
    quiet = wish.quiet_until(now)
    if quiet is not None or not wish.digest_seconds:
        return quiet
    end = plus(now, wish.digest_seconds)
    return min(end, waiting or end)


def _may_call(tx: Tx, request: Request, to: Address) -> bool:
    """Whether an agent's own word gets through once more."""
    if request.urgency is not Urgency.CRITICAL:
        return False
    return _sent(tx, request, to, URGENT) < OWN_WORD


def _sent(tx: Tx, request: Request, to: Address, purpose: str | None = None) -> int:
    """Return how many cards of the request's agent went to a recipient within the hour."""
    since = plus(tx.now, -_HOUR)
    return tx.deliveries.sent(to.channel, to.recipient, request.agent_id, since, purpose)


def _preference(tx: Tx, to: Address) -> Preference:
    if to.person_id is None:
        return Preference()
    found = tx.groups.preferences([to.person_id])
    return read_preference(found.get((to.person_id, to.channel), {}))
