"""The desk: what people press in channels becomes ballots. It knows who may; channels do not."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from app.core.approval_card import ApprovalCard
from app.core.audit import NOBODY, Actor
from app.core.ballots import obstacle
from app.core.errors import (
    AccountRefused,
    AssentryError,
    AssuranceTooLow,
    Forbidden,
    NotFound,
    NotLinked,
    NotShownInFull,
)
from app.core.instant import SECOND, Instant, plus
from app.core.json_types import JsonValue
from app.core.ports import Account, Said
from app.core.principals import Caller, Person, Role, Scope, at_least
from app.core.request import Ballot, Choice, Request, Status
from app.core.routing import Assurance
from app.services.access import require
from app.services.cards import Cards
from app.services.decisions import Decisions, Kept, counted
from app.services.judging import rules_of
from app.services.refusals import Refusals
from app.services.requests import RequestFilter
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

T = TypeVar("T")

OFFER_SECONDS: Final = 900
"""How long a link works by which somebody links an account."""

VOTED: Final = "ballot.refused"
LOOKED: Final = "account.refused"
"""Entries on record of who was turned away: from voting, and from looking."""

_INBOX: Final = 20
_LOOKED_AT: Final = 200
_SAME: Final = 60 * SECOND
_KEPT: Final = 1000


@dataclass(slots=True)
class Offers:
    """The links that were given out in the last minute, in this process."""

    given: OrderedDict[tuple[str, str], tuple[Instant, str]] = field(
        default_factory=OrderedDict[tuple[str, str], tuple[Instant, str]]
    )

    def again(self, account: Account, now: Instant) -> str | None:
        """Return the link that an account was given a moment ago, or None."""
        at, url = self.given.get((account.channel, account.id), (-_SAME, ""))
        return url if 0 <= now - at < _SAME else None

    def keep(self, account: Account, url: str, now: Instant) -> None:
        """Remember a link."""
        key = (account.channel, account.id)
        self.given[key] = (now, url)
        self.given.move_to_end(key)
        if len(self.given) > _KEPT:
            self.given.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes ballots from channels; the port of the same name."""

    store: Store
    cards: Cards
    settings: Settings
    decisions: Decisions
    offers: Offers = field(default_factory=Offers)
    strangers: Refusals = field(default_factory=Refusals)
    lookers: Refusals = field(default_factory=Refusals)
    doors: Refusals = field(default_factory=Refusals)

    async def cast(self, account: Account, token: str, choice: Choice, comment: str = "") -> Said:
        """Count a ballot on the card with this token.

        :raises NotLinked: the account belongs to nobody here; ``extra["url"]`` links it.
        :raises NotFound: there is no such card in this channel.
        :raises NotShownInFull: the message did not show all that would run.
        """
        try:
            return await self.decisions.write(
                lambda tx: self._cast(tx, account, token, choice, comment), order=token
            )
        except NotLinked as error:
            raise await self._stranger(account, error) from None
        except AssentryError as error:
            if not isinstance(error, AssuranceTooLow):
                await self.turned_away(account, error)
            raise

    def _cast(
        self, tx: Tx, account: Account, token: str, choice: Choice, comment: str
    ) -> Said | Kept:
        person = _person(tx, account)
        delivery = tx.deliveries.by_token(token)
        request = _request(tx, delivery.request_id if delivery else None)
        if delivery is None or delivery.channel != account.channel:
            message = "there is no such card here"
            raise NotFound(message)
        if choice is Choice.APPROVE and not delivery.complete:
            raise NotShownInFull
        ballot = Ballot(choice, request.digest, comment, account.channel, Assurance.CHAT,
                        delivery.display)  # fmt: skip
        done = self.decisions.count(tx, person.actor, person.id, request.id, ballot)
        if not isinstance(done, Request):
            return done
        card = self.cards.of(tx, request.id, person if delivery.person_id == person.id else None)
        return Said(counted(done, choice), replace(card, token=token))

    async def card(self, account: Account, token: str) -> ApprovalCard:
        """Return the card with this token as it stands now."""
        return await self._read(account, lambda tx: self._card(tx, account, token))

    def _card(self, tx: Tx, account: Account, token: str) -> ApprovalCard:
        person = _person(tx, account)
        delivery = tx.deliveries.by_token(token)
        if delivery is None or delivery.channel != account.channel:
            message = "there is no such card here"
            raise NotFound(message)
        return replace(self.cards.of(tx, delivery.request_id or "", person), token=token)

    async def show(self, account: Account, request_id: str) -> ApprovalCard:
        """Return the card of a request, to be read, not to be decided on."""
        return await self._read(account, lambda tx: self._show(tx, account, request_id))

    def _show(self, tx: Tx, account: Account, request_id: str) -> ApprovalCard:
        return self.cards.of(tx, request_id, _person(tx, account))

    async def inbox(self, account: Account) -> tuple[ApprovalCard, ...]:
        """Return the cards of what waits for this person, newest first."""
        return await self._read(account, lambda tx: self._inbox(tx, account))

    def _inbox(self, tx: Tx, account: Account) -> tuple[ApprovalCard, ...]:
        person = _person(tx, account)
        wanted = RequestFilter(statuses=(Status.PENDING,))
        mine: list[ApprovalCard] = []
        for request in tx.requests.find(wanted, _LOOKED_AT):
            voter = tx.groups.voter(person, request.action)
            some = request.approvals + request.denials > 0
            if some and tx.requests.has_voted(request.id, person.id):
                continue
            if obstacle(request, voter, rules_of(tx, request)) is None:
                mine.append(self.cards.of(tx, request.id))
            if len(mine) == _INBOX:
                break
        return tuple(mine)

    async def read(self, caller: Caller, request_id: str) -> ApprovalCard:
        """Return the card of a request to a person with a key or session of ours.

        :raises NotFound: there is no such request.
        :raises Forbidden: the caller is no person; agents are not shown what people see.
        """
        require(caller, Scope.REQUEST_READ)
        if caller.person is None:
            message = (
                "This is an agent's key; seeing what people see, and deciding, need a key of your "
                "own, from the page Account."
            )
            raise Forbidden(message)
        return await self.store.read(lambda tx: self.cards.of(tx, request_id))

    async def _read(self, account: Account, work: Callable[[Tx], T]) -> T:
        try:
            return await self.store.read(work)
        except NotLinked as error:
            raise await self._stranger(account, error, LOOKED) from None

    # --- who is not known ---

    async def _stranger(self, account: Account, error: NotLinked, event: str = VOTED) -> NotLinked:
        """Return the refusal with a one-time link to a page where the account can be linked.

        Who asks again within a minute gets the same link.
        """
        await self.turned_away(account, error, event)
        now = self.store.clock.now()
        url = self.offers.again(account, now)
        if url is None:
            url = await self._offer(account)
            self.offers.keep(account, url, now)
        return NotLinked(error.detail, extra={"url": url})

    async def _offer(self, account: Account) -> str:
        secret = secrets.token_urlsafe(24)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        await self.store.write(
            lambda tx: tx.groups.add_offer(
                digest, account.channel, account.id, account.name[:100],
                plus(tx.now, OFFER_SECONDS),
            )
        )  # fmt: skip
        return f"{self.settings.public_url}/account/link/{secret}"

    async def turned_away(self, account: Account, error: AssentryError, event: str = VOTED) -> None:
        """Record who was refused, and why (T17); of those whom nobody vouches for not all."""
        details: dict[str, JsonValue] = {
            "channel": account.channel, "account": account.id, "code": error.code,
        }  # fmt: skip
        subject = f"identity:{account.channel}:{account.id}"
        unknown = isinstance(error, NotLinked | AccountRefused)
        known = self.lookers if event == LOOKED else self.strangers
        refusals = known if unknown else Refusals()
        actor = NOBODY if unknown else await self.store.read(lambda tx: _actor(tx, account))
        await refusals.note(self.store, event, subject, details, actor)

    async def unproven(self, channel: str, address: str) -> None:
        """Record that something came to a channel's door without proof that the product sent it."""
        details: dict[str, JsonValue] = {
            "code": "bad_signature", "channel": channel, "from": address,
        }  # fmt: skip
        await self.doors.note(self.store, "authentication.failed", "authentication:-", details)


def _actor(tx: Tx, account: Account) -> Actor:
    """Return whose account it is, as the record names them."""
    identity = tx.groups.owner_of(account.channel, account.id)
    person = None if identity is None else tx.people.get(identity.person_id)
    return NOBODY if person is None else person.actor


def _person(tx: Tx, account: Account) -> Person:
    identity = tx.groups.owner_of(account.channel, account.id)
    person = None if identity is None else tx.people.hold(identity.person_id)
    if person is None or not person.active or not at_least(person.role, Role.VIEWER):
        raise NotLinked
    return person


def _request(tx: Tx, request_id: str | None) -> Request:
    request = tx.requests.get(request_id or "")
    if request is None:
        message = "there is no such card here"
        raise NotFound(message)
    return request
