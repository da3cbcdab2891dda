"""Notices: who is told of a request where, one delivery a recipient; quiet hours and caps."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.clock import Ids
from app.core.audit import SYSTEM
from app.core.delivery import Delivery, DeliveryKind, DeliveryState
from app.core.json_types import JsonObject
from app.core.people import Identity
from app.core.principals import Person, Role, at_least
from app.core.request import Request, Status
from app.core.routing import SEATS, Notice
from app.services.decisions import able
from app.services.holding import Address, paced, release, turn
from app.store.engine import Store
from app.store.tx import Tx

EMAIL: Final = "email"
"""The channel whose accounts are people's own addresses, without a link of their own."""

ALARM: Final = "alarm"
"""Purpose of cards that tell of an unknown outcome."""

FELL_BACK: Final = "fallback"
"""Purpose of cards for people whom the way of the route did not reach."""

UNDELIVERED: Final = "request.undelivered"
"""Entry on record that a request could not be shown somewhere."""

NOT_SET_UP: Final = "this channel is not set up here"


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where requests are shown whose route says nothing.

    :ivar channels: names of the channels that are set up.
    :ivar notices: from the settings; without any, everybody who may decide is asked personally.
    """

    channels: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()

    def of(self, request: Request) -> tuple[Notice, ...]:
        """Return where a request at its stage is shown."""
        asked = request.plan.notices_at(request.stage)
        if asked or (request.stage and request.plan.notify):
            return asked or request.plan.notify
        return self.notices or tuple(Notice(channel) for channel in self.channels)


@dataclass(frozen=True, slots=True)
class Notices:
    """Writes deliveries; who carries them is another."""

    store: Store
    ids: Ids
    defaults: Defaults

    async def notify(self, request_id: str) -> None:
        """Ask the people of the present stage, each once; again where the stage reminds."""
        await self.store.write(lambda tx: self._notify(tx, request_id), order=request_id)

    async def refresh(self, request_id: str) -> None:
        """Bring every copy of the card to what the request is now."""
        await self.store.write(lambda tx: _refresh(tx, request_id), order=request_id)

    async def alarm(self, request_id: str) -> None:
        """Tell operators that nobody knows whether a request ran; they settle it.

        Those who were asked see it on their copies; the others get one, also in quiet hours.
        """
        await self.store.write(lambda tx: self._alarm(tx, request_id), order=request_id)

    def _alarm(self, tx: Tx, request_id: str) -> None:
        _refresh(tx, request_id)
        request = tx.requests.get(request_id)
        if request is None or request.status is not Status.UNKNOWN:
            return
        copies = tx.deliveries.of_request(request_id)
        seen = (item for item in copies if item.reference or item.purpose == ALARM)
        known = {(item.channel, item.recipient) for item in seen}
        able = [who for who in tx.people.all() if who.active and at_least(who.role, Role.OPERATOR)]
        for channel in self.defaults.channels:
            for recipient, person_id in personal(tx, channel, able):
                if (channel, recipient) not in known:
                    self._ring(tx, request, Address(channel, recipient, person_id))

    def _ring(self, tx: Tx, request: Request, to: Address) -> None:
        at = paced(tx, to)
        made = self._new(tx, DeliveryKind.CARD, to, ALARM)
        tx.deliveries.add(
            replace(made, request_id=request.id, wanted=request.version, run_at=at, created_at=at)
        )

    def _notify(self, tx: Tx, request_id: str) -> None:
        request = tx.requests.get(request_id)
        if request is None or request.status is not Status.PENDING:
            return
        copies = tx.deliveries.of_request(request_id)
        purpose = "escalated" if request.stage else "asked"
        tx.deliveries.want(request_id, request.version)
        asked = self.defaults.of(request)
        there = [notice for notice in asked if notice.channel in self.defaults.channels]
        reached = [
            Address(notice.channel, recipient, person_id)
            for notice in there
            for recipient, person_id in _recipients(tx, request, notice)
        ]
        self._tell(tx, request, reached, copies, purpose)
        for notice in asked:
            if notice not in there:
                _mark(tx, request, notice.channel, ", ".join(notice.to), NOT_SET_UP)
        if len(there) < len(asked) or not reached:
            self._fall_back(tx, request, None)

    def _tell(
        self,
        tx: Tx,
        request: Request,
        addresses: Sequence[Address],
        copies: Sequence[Delivery],
        purpose: str,
    ) -> None:
        known = {(item.channel, item.recipient) for item in copies if _is_told(item, request)}
        for at in addresses:
            if (at.channel, at.recipient) not in known:
                known.add((at.channel, at.recipient))
                self._add(tx, request, at, purpose)

    def given_up(self, tx: Tx, delivery: Delivery, error: str) -> None:
        """Say on a request that a card reached nobody, and ask by the other ways of people.

        Who was asked on an account of their own is asked by their other ways; where a place of
        several people was not reached, everybody who may decide is asked by theirs.
        """
        request = tx.requests.get(delivery.request_id or "")
        if request is None or request.status is not Status.PENDING or delivery.reference:
            return
        own = None if delivery.person_id is None else tx.people.get(delivery.person_id)
        _mark(tx, request, delivery.channel, own.name if own else delivery.recipient, error)
        self._fall_back(tx, request, delivery.person_id)

    def _fall_back(self, tx: Tx, request: Request, person_id: str | None) -> None:
        people = [voter.person for voter in able(tx, request)]
        wanted = [who for who in people if person_id in (None, who.id)]
        addresses = [
            Address(channel, *found)
            for channel in self.defaults.channels
            for found in personal(tx, channel, wanted)
        ]
        self._tell(tx, request, addresses, tx.deliveries.of_request(request.id), FELL_BACK)

    def _add(self, tx: Tx, request: Request, to: Address, purpose: str) -> None:
        goes = turn(tx, request, to, purpose)
        made = self._new(tx, DeliveryKind.CARD, to, goes.purpose)
        tx.deliveries.add(
            replace(made, request_id=request.id, wanted=request.version, state=goes.state,
                    run_at=goes.at, body=str(request.stage))
        )  # fmt: skip

    # --- people's own accounts ---

    def tell(
        self,
        tx: Tx,
        person: Person,
        *lines: str,
        apart: tuple[str, str] | None = None,
        purpose: str = "account",
    ) -> None:
        """Tell a person something about their account, wherever they can be reached but apart.

        :param purpose: ``target:`` and an id where it is about a target instead.
        """
        for channel in self.defaults.channels:
            for recipient, person_id in personal(tx, channel, [person]):
                if (channel, recipient) != apart:
                    to = Address(channel, recipient, person_id)
                    note = self._new(tx, DeliveryKind.NOTE, to, purpose)
                    tx.deliveries.add(replace(note, body="\n".join(lines)))

    def _new(self, tx: Tx, kind: DeliveryKind, to: Address, purpose: str) -> Delivery:
        return Delivery(
            id=self.ids.new("dlv"), kind=kind, channel=to.channel, recipient=to.recipient,
            person_id=to.person_id, request_id=None, event_id=None, purpose=purpose,
            token=secrets.token_urlsafe(16), body="", reference="", display="", complete=False,
            wanted=1, shown=0, state=DeliveryState.DUE, tries=0, fence=0, run_at=tx.now,
            lease_until=None, last_error="", created_at=tx.now, updated_at=tx.now,
            delivered_at=None,
        )  # fmt: skip

    # --- held ---

    async def release(self) -> int:
        """Let held cards go whose time has come: one alone, several as one message."""
        now = self.store.clock.now()
        if not await self.store.read(lambda tx: tx.deliveries.any_held(now)):
            return 0
        return await self.store.write(
            lambda tx: release(tx, lambda to, items: self._digest(tx, to, items))
        )

    def _digest(self, tx: Tx, to: Address, items: Sequence[Delivery]) -> Delivery:
        names = ",".join(dict.fromkeys(item.request_id or "" for item in items))
        return replace(self._new(tx, DeliveryKind.DIGEST, to, "digest"), body=names)


def _is_told(copy: Delivery, request: Request) -> bool:
    """Whether its recipient needs no other copy at the present stage."""
    waits = copy.state in (DeliveryState.HELD, DeliveryState.DUE) and not copy.reference
    return waits or not request.plan.reminds_at(request.stage) or copy.body == str(request.stage)


def _mark(tx: Tx, request: Request, channel: str, to: str, error: str) -> None:
    """Say on the record of a request that it was not shown somewhere; once a stage."""
    details: JsonObject = {"channel": channel, "to": to, "note": error, "stage": request.stage}
    trail = tx.audit.of_request(request.id)
    if not any(item.event == UNDELIVERED and item.details == details for item in trail):
        tx.note(UNDELIVERED, SYSTEM, f"request:{request.id}", details, request.id)


def _refresh(tx: Tx, request_id: str) -> None:
    request = tx.requests.get(request_id)
    if request is not None:
        tx.deliveries.want(request_id, request.version)


def _recipients(tx: Tx, request: Request, notice: Notice) -> Iterator[tuple[str, str | None]]:
    """Yield addresses and, where they are one person's own, whose."""
    for address in notice.to:
        if address != SEATS:
            yield address, _owner(tx, notice.channel, address)
            continue
        people = [voter.person for voter in able(tx, request)]
        yield from personal(tx, notice.channel, people)


def _owner(tx: Tx, channel: str, address: str) -> str | None:
    if channel == EMAIL:
        person = tx.people.by_email(address.lower())
        return None if person is None else person.id
    identity = tx.groups.owner_of(channel, address)
    return None if identity is None else identity.person_id


def personal(tx: Tx, channel: str, people: Sequence[Person]) -> Iterator[tuple[str, str | None]]:
    """Yield the addresses that people have of their own in a channel, and whose each is."""
    if channel == EMAIL:
        yield from ((person.email, person.id) for person in people)
        return
    linked: list[Identity] = tx.groups.identities([person.id for person in people])
    yield from ((item.account, item.person_id) for item in linked if item.channel == channel)
