"""One-click links: made when a message for one person goes out, good for one decision."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from app.core.approval_card import ApprovalCard
from app.core.ballots import obstacle
from app.core.errors import AssentryError, AssuranceTooLow, LinkUsed, NotFound
from app.core.instant import plus
from app.core.json_types import JsonValue
from app.core.ports import LinkSigner, LinkView, Said
from app.core.presets import DESTRUCTIVE
from app.core.principals import Person
from app.core.request import Ballot, Choice, Request, Status
from app.core.routing import Assurance
from app.services.cards import Cards, moment
from app.services.decisions import Decisions, Kept, counted
from app.services.judging import rules_of
from app.services.refusals import Refusals
from app.settings import Settings
from app.store.engine import Store
from app.store.links import Link
from app.store.tx import Tx

LINK_SECONDS: Final = 86_400
"""Longest life of a link; it never outlives its request."""

_STANDS: Final = {
    Status.PENDING: "it still waits for others", Status.APPROVED: "it is approved",
    Status.EXECUTING: "it is running now", Status.SUCCEEDED: "it succeeded",
    Status.FAILED: "it was approved, but it failed",
    Status.UNKNOWN: "whether it ran is unknown, and somebody must look",
    Status.DENIED: "it is denied and does not run", Status.EXPIRED: "it expired and does not run",
    Status.CANCELLED: "it was withdrawn and does not run",
}  # fmt: skip
_RISKY: Final = ("high", "critical")


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links and takes the votes that are cast through them."""

    store: Store
    cards: Cards
    settings: Settings
    signer: LinkSigner
    form_key: bytes
    decisions: Decisions
    refusals: Refusals = field(default_factory=Refusals)

    def mint(self, tx: Tx, request: Request, person_id: str, delivery_id: str, channel: str) -> str:
        """Return the address of a new link."""
        secret = secrets.token_urlsafe(24)
        until = min(request.expires_at, plus(tx.now, LINK_SECONDS))
        link = Link(
            sha256=_sha(secret), request_id=request.id, digest=request.digest,
            person_id=person_id, channel=channel, delivery_id=delivery_id, created_at=tx.now,
            expires_at=until,
        )  # fmt: skip
        tx.links.put(link)
        return f"{self.settings.public_url}/l/{self.signer.sign(secret)}"

    async def view(self, link_id: str) -> LinkView:
        """Return what the page of a link shows; changes nothing.

        :raises NotFound: there is no such link.
        :raises LinkUsed: it was used, its time is over, or the request is decided.
        """
        return await self.store.read(lambda tx: self._view(tx, link_id))

    def _view(self, tx: Tx, link_id: str) -> LinkView:
        link, person, request = _live(tx, link_id)
        if request.status is not Status.PENDING:
            raise LinkUsed(_stands(tx, request, person, link))
        card = self.cards.of(tx, request.id, person)
        voter = tx.groups.voter(person, request.action)
        against = obstacle(request, voter, rules_of(tx, request))
        why = f"You cannot decide this. {against}" if against else _sign_in(request, card)
        open_ = card.pending and not why
        return LinkView(card, person.name, why, self._form(link, card) if open_ else "")

    async def cast(self, link_id: str, form: str, choice: Choice, comment: str) -> Said:
        """Count a ballot cast on the page of a link, once.

        :raises LinkUsed: it was used, or its time is over.
        :raises AssuranceTooLow: the policy or the risk asks for a sign-in.
        """
        return await self.decisions.write(
            lambda tx: self._cast(tx, link_id, form, choice, comment), order=link_id
        )

    def _cast(self, tx: Tx, link_id: str, form: str, choice: Choice, comment: str) -> Said | Kept:
        link, person, request = _live(tx, link_id)
        card = self.cards.of(tx, request.id)
        if not hmac.compare_digest(self._form(link, card).encode(), form.encode()):
            message = "The form is not the one of this page; open the link again."
            raise LinkUsed(message)
        if why := _sign_in(request, card):
            raise AssuranceTooLow(why)
        ballot = Ballot(choice, link.digest, comment, "link", Assurance.LINK, card.display)
        done = self.decisions.count(tx, person.actor, person.id, request.id, ballot)
        if not isinstance(done, Request):
            return done
        tx.links.use_up(link.sha256)
        tx.links.end_siblings(request.id, person.id)
        return Said(counted(done, choice), self.cards.of(tx, request.id))

    async def turned_away(self, link_id: str, error: AssentryError) -> None:
        """Record that a form was refused, and whose link it was if there is one."""
        link = await self.store.read(lambda tx: tx.links.get(_sha(link_id)))
        details: dict[str, JsonValue] = {
            "channel": "link", "code": error.code,
            "made_for": link.person_id if link else "", "request": link.request_id if link else "",
        }  # fmt: skip
        await self.refusals.note(self.store, "ballot.refused", "link:-", details)

    def _form(self, link: Link, card: ApprovalCard) -> str:
        """Return the token of the page's form, for what it shows and as one-time as the link."""
        said = f"{link.sha256}\0{card.display}"
        return hmac.new(self.form_key, said.encode(), "sha256").hexdigest()


def _live(tx: Tx, link_id: str) -> tuple[Link, Person, Request]:
    link = tx.links.get(_sha(link_id))
    if link is None:
        message = "There is no such link."
        raise NotFound(message)
    person = tx.people.get(link.person_id)
    request = tx.requests.get(link.request_id)
    if person is None or request is None or request.digest != link.digest:
        raise LinkUsed
    if not person.active:
        message = "This link was made for an account that is switched off; it decides nothing."
        raise LinkUsed(message)
    if link.used_at is not None or link.expires_at <= tx.now:
        raise LinkUsed(_stands(tx, request, person, link))
    return link, person, request


def _stands(tx: Tx, request: Request, person: Person, link: Link) -> str:
    """Return what a link's own person did, and what came of it; it decides nothing."""
    own = next(
        (vote for vote in tx.requests.votes(request.id) if vote.person_id == person.id), None
    )
    stands = _STANDS[request.status]
    if own is None:
        over = link.used_at is None and link.expires_at <= tx.now
        why = f"ended at {moment(link.expires_at)}" if over else "is no longer valid"
        return f"This link {why}. You did not decide by it; {stands}."
    did = "approved" if own.ballot.choice is Choice.APPROVE else "denied"
    return f"You {did} this at {moment(own.cast_at)}; {stands}. Nothing more is counted here."


def _sign_in(request: Request, card: ApprovalCard) -> str:
    """Return why this request is not decided by a link alone, or an empty text (T12)."""
    if not card.whole:
        return "A part of it is too large to show here: sign in to review it in full."
    if request.plan.assurance > Assurance.LINK:
        return "The policy asks you to sign in to decide this."
    if DESTRUCTIVE in request.tags or card.deletes:
        return "This deletes or cannot be undone: sign in to decide this."
    if request.risk_level in _RISKY:
        return f"The risk is {request.risk_level}: sign in to decide this."
    return ""


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
