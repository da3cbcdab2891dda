"""Couriers: carry what is due through its channel, and write down what came of it."""

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from app.core.action import Kind
from app.core.approval_card import ApprovalCard
from app.core.delivery import LEASE, Attempt, Delivery, DeliveryKind, DeliveryState, retry_at
from app.core.errors import NotFound
from app.core.instant import Instant
from app.core.json_types import JsonObject
from app.core.ports import Announcer, Channel, DeliveryFailed, Digest, Posted
from app.core.principals import Caller, Person, Scope
from app.core.request import Request, Status
from app.core.strict_json import parse_json
from app.services.access import require
from app.services.announcements import WEBHOOK
from app.services.cards import Cards, moment
from app.services.holding import fell, told
from app.services.links import Links
from app.services.notices import ALARM, NOT_SET_UP, Notices, personal
from app.services.webhooks import Webhooks
from app.store.deliveries import Counted
from app.store.engine import Store
from app.store.tx import Tx

_TOGETHER: Final = 49
_GIVEN: Final = 100
"""Characters of the parameters that a line of a digest shows."""
_RESENT: Final = 1000
UNDELIVERED_SHOWN: Final = 50
"""Most messages that were given up which are shown at once."""
_ONE: Final = "1 request waits for a decision"
_DECIDED: Final = "decided before it was shown"
_GONE: Final = "no longer a person here"
log = structlog.get_logger()


class _Needless(Exception):
    """Nothing has to be sent any more; the text says why."""


@dataclass(frozen=True, slots=True)
class Couriers:
    """Carries deliveries; each channel on its own, so that none waits for another."""

    store: Store
    cards: Cards
    links: Links
    channels: Mapping[str, Channel]
    webhooks: Webhooks
    announcer: Announcer
    notices: Notices

    async def next_at(self, channel: str) -> Instant | None:
        """Return when the next delivery of a channel is due."""
        return await self.store.read(lambda tx: tx.deliveries.next_at(channel))

    async def claim(self, channel: str, most: int) -> list[Delivery]:
        """Take up to ``most`` due deliveries of a channel under a lease."""
        return await self.store.write(lambda tx: tx.deliveries.claim(channel, most, LEASE))

    async def health(self, caller: Caller) -> list[tuple[Counted, bool]]:
        """Return how each channel does, and whether it is set up in this process."""
        require(caller, Scope.AUDIT_READ)
        found = {
            item.channel: item for item in await self.store.read(lambda tx: tx.deliveries.counted())
        }
        known = {*self.channels, WEBHOOK}
        blank = {name: Counted(name, {}, None, "", None) for name in known}
        return [(item, name in known) for name, item in sorted({**blank, **found}.items())]

    async def undelivered(
        self, caller: Caller, before: str | None = None, limit: int = UNDELIVERED_SHOWN
    ) -> list[Delivery]:
        """Return the messages to people that were given up, newest first."""
        require(caller, Scope.AUDIT_READ)
        return await self.store.read(
            lambda tx: tx.deliveries.find(
                state=DeliveryState.DEAD, before=before, limit=limit, without=WEBHOOK
            )
        )

    async def resend(self, caller: Caller, delivery_id: str | None = None) -> int:
        """Send a message to people that was given up again, or all of them; return how many.

        What belongs to a channel that is not set up here stays as it is.

        :raises NotFound: there is no such message that was given up.
        """
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.write(lambda tx: self._resend(tx, caller, delivery_id))

    def _resend(self, tx: Tx, caller: Caller, delivery_id: str | None) -> int:
        if delivery_id is None:
            dead = tx.deliveries.find(state=DeliveryState.DEAD, limit=_RESENT, without=WEBHOOK)
        else:
            one = tx.deliveries.get(delivery_id)
            dead = [one] if one is not None and one.state is DeliveryState.DEAD else []
        ids = [item.id for item in dead if item.channel in self.channels]
        if delivery_id is not None and not ids:
            message = "there is no such message that was given up in a channel that is set up here"
            raise NotFound(message)
        count = tx.deliveries.resend(ids) if ids else 0
        subject = f"delivery:{delivery_id or '-'}"
        tx.note("delivery.resent", caller.actor, subject, {"deliveries": count})
        return count

    async def carry(self, delivery: Delivery) -> bool:
        """Carry one claimed delivery, and write what came of it; False when it is tried again."""
        together = [delivery, *await self._others(delivery)]
        began = time.monotonic()
        try:
            shown, posted = await self._send(together)
        except _Needless as needless:
            why = str(needless)
            await self.store.write(lambda tx: _skip(tx, delivery, why))
        except DeliveryFailed as failure:
            await self._failed(together, failure, _millis(began))
            return failure.permanent
        except Exception as error:
            log.exception("delivery_failed", delivery=delivery.id, channel=delivery.channel)
            failure = DeliveryFailed(f"{type(error).__name__} in our own code")
            await self._failed(together, failure, _millis(began))
            return False
        else:
            await self._taken(together, shown, posted, _millis(began))
        return True

    async def _others(self, delivery: Delivery) -> Sequence[Delivery]:
        """Take what else an agent runtime missed, to tell it in one message (HOOK-2)."""
        if delivery.kind is not DeliveryKind.EVENT:
            return ()
        return await self.store.write(lambda tx: _joined(tx, delivery), order=delivery.id)

    async def _send(self, together: Sequence[Delivery]) -> tuple[int, Posted]:
        """Return the version that is shown now, and the message.

        :raises _Needless: none was needed.
        """
        delivery = together[0]
        if delivery.kind is DeliveryKind.EVENT:
            parcel = await self.webhooks.parcel(delivery, together[1:])
            status = await self.announcer.send(parcel)
            return delivery.wanted, Posted({"status": status}, complete=True)
        channel = self.channels.get(delivery.channel)
        if channel is None:
            raise DeliveryFailed(NOT_SET_UP, permanent=True)
        if delivery.kind is DeliveryKind.CARD:
            return await self._show(delivery, channel)
        digest = await self.store.read(lambda tx: self._digest(tx, delivery))
        return delivery.wanted, await channel.digest(digest, delivery.recipient)

    async def _show(self, delivery: Delivery, channel: Channel) -> tuple[int, Posted]:
        card = await self._card(delivery, channel)
        if delivery.reference:
            reference = _reference(delivery)
            return card.version, await channel.refresh(card, delivery.recipient, reference)
        if not card.pending and delivery.purpose != ALARM:
            raise _Needless(_DECIDED)
        return card.version, await channel.deliver(card, delivery.recipient)

    async def _card(self, delivery: Delivery, channel: Channel) -> ApprovalCard:
        first = not delivery.reference
        if not (first and channel.wants_link and delivery.person_id):
            return await self.store.read(lambda tx: self._plain(tx, delivery))
        return await self.store.write(lambda tx: self._linked(tx, delivery))

    def _plain(self, tx: Tx, delivery: Delivery) -> ApprovalCard:
        person = _check_person(tx, delivery)
        card = self.cards.of(tx, delivery.request_id or "", person)
        return replace(card, token=delivery.token)

    def _linked(self, tx: Tx, delivery: Delivery) -> ApprovalCard:
        """Return the card with a link made for the one person who gets it."""
        card = self._plain(tx, delivery)
        request = tx.requests.get(card.request_id)
        if request is None or not card.pending or delivery.person_id is None:
            return card
        link = self.links.mint(tx, request, delivery.person_id, delivery.id, delivery.channel)
        return replace(card, link=link)

    def _digest(self, tx: Tx, delivery: Delivery) -> Digest:
        _check_person(tx, delivery)
        public = self.cards.settings.public_url
        if delivery.kind is DeliveryKind.NOTE:
            title, *rest = delivery.body.split("\n")
            kind, _, name = delivery.purpose.partition(":")
            if kind == "target":
                return Digest(title, tuple(rest), f"{public}/targets/{name}", "See the target")
            return Digest(title, tuple(rest), f"{public}/account", "See your accounts")
        lines = self._lines(tx, delivery)
        if not lines:
            raise _Needless(_DECIDED)
        title = f"{len(lines)} requests wait for a decision"
        told, urls = zip(*lines, strict=True)
        return Digest(title if len(lines) > 1 else _ONE, told, f"{public}/", urls=urls)

    def _lines(self, tx: Tx, delivery: Delivery) -> list[tuple[str, str]]:
        """Return a line and a page for each request, each agent in turn, hiding none."""
        found = list[tuple[int, tuple[str, str]]]()
        lines = Counter[str]()
        for name in delivery.body.split(","):
            request = tx.requests.get(name)
            if request is not None and request.status is Status.PENDING:
                card = self.cards.of(tx, name)
                found.append((lines[request.agent_id], (_line(card, request), card.url)))
                lines[request.agent_id] += 1
        return [line for _, line in sorted(found, key=lambda item: item[0])]

    # --- what came of it ---

    async def _taken(
        self, together: Sequence[Delivery], shown: int, posted: Posted, millis: int
    ) -> None:
        def write(tx: Tx) -> None:
            for delivery in together:
                _taken(tx, delivery, shown, posted, millis)

        await self.store.write(write)

    async def _failed(
        self, together: Sequence[Delivery], failure: DeliveryFailed, millis: int
    ) -> None:
        jitter = random.random()  # noqa: S311 - spreads retries, decides nothing

        def write(tx: Tx) -> None:
            for delivery in together:
                self._fail(tx, delivery, failure, millis, jitter)

        await self.store.write(write)

    def _fail(
        self, tx: Tx, delivery: Delivery, failure: DeliveryFailed, millis: int, jitter: float
    ) -> None:
        at = None if failure.permanent else retry_at(delivery, tx.now, jitter, failure.retry_after)
        if tx.deliveries.failed(delivery, failure.detail, at) and at is None:
            if delivery.kind is DeliveryKind.DIGEST:
                fell(tx, delivery)
            elif delivery.kind is DeliveryKind.CARD:
                self.notices.given_up(tx, delivery, failure.detail)
        outcome = "dead" if at is None else "retry"
        tx.deliveries.log(
            Attempt(delivery.id, delivery.fence, tx.now, millis, outcome, failure.detail[:500])
        )


def _line(card: ApprovalCard, request: Request) -> str:
    """Return what a digest says of a request: what it does, with what, who asks, until when."""
    agent = next((value for label, value in card.facts if label == "Agent"), request.agent_id)
    first = card.blocks[0].whole if request.kind is Kind.PLAIN and card.blocks else ""
    text = " ".join(first.split())
    short = text if len(text) <= _GIVEN else f"{text[:_GIVEN]}…"
    given = "" if text in ("", "{}") else f" {short}"
    return f"{card.headline}{given}, asked by {agent}: expires {moment(request.expires_at)}"


def _joined(tx: Tx, delivery: Delivery) -> Sequence[Delivery]:
    found = tx.webhooks.get(delivery.recipient)
    if found is None or found.format != "wake":
        return ()
    return tx.deliveries.join(delivery, _TOGETHER, LEASE)


def _check_person(tx: Tx, delivery: Delivery) -> Person | None:
    """Return whose own account a message goes to, or None where it is nobody's.

    Nothing is sent to the account of somebody who was switched off, or that is not theirs now.
    """
    if delivery.person_id is None:
        return None
    person = tx.people.get(delivery.person_id)
    if person is None or not person.active:
        raise _Needless(_GONE)
    own = (address for address, _ in personal(tx, delivery.channel, [person]))
    if delivery.recipient.lower() not in map(str.lower, own):
        raise _Needless(_GONE)
    return person


def _skip(tx: Tx, delivery: Delivery, why: str) -> None:
    if tx.deliveries.skip(delivery, why) and delivery.kind is DeliveryKind.DIGEST:
        told(tx, delivery)


def _taken(tx: Tx, delivery: Delivery, shown: int, posted: Posted, millis: int) -> None:
    written = tx.deliveries.taken(
        delivery, shown, posted.reference, posted.display, complete=posted.complete
    )
    if written and delivery.kind is DeliveryKind.DIGEST:
        told(tx, delivery)
    tx.deliveries.log(Attempt(delivery.id, delivery.fence, tx.now, millis, "taken", ""))


def _reference(delivery: Delivery) -> JsonObject:
    found = parse_json(delivery.reference.encode())
    return found if isinstance(found, dict) else {}


def _millis(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
