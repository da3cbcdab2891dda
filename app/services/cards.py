"""Approval cards: from what is stored of a request to what every surface outside shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from app.core.action import Kind, Submission
from app.core.approval_card import ApprovalCard, Standing, approval_card
from app.core.bundle import CallStatus, excluded_by
from app.core.card import Card, card_of
from app.core.errors import NotFound
from app.core.instant import SECOND, Instant, to_datetime
from app.core.json_types import JsonObject
from app.core.principals import Person
from app.core.request import Choice, Request, Status, Vote
from app.core.routing import Assurance, placed
from app.services.requests import Detail, detail_of
from app.settings import Settings
from app.store.audit import AuditRecord
from app.store.tx import Tx

_REPEATED: Final = "request.attached"
_SHOWN: Final = 8
"""Most lines of the timeline on a card."""

_STATES: Final = {
    Status.EXECUTING: "Approved; running now",
    Status.SUCCEEDED: "Approved and done",
    Status.FAILED: "Approved, but it failed",
    Status.UNKNOWN: "Approved; whether it ran is unknown, somebody must look",
    Status.EXPIRED: "Expired; it will not run",
}
_UNDECIDED: Final = "Nobody decided it in time"
_APPROVED: Final = frozenset(
    {Status.APPROVED, Status.EXECUTING, Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN}
)
_ENDS: Final = {
    Status.EXECUTING: "it is running", Status.SUCCEEDED: "it ran and succeeded",
    Status.UNKNOWN: "whether it ran is unknown", Status.EXPIRED: "its time was over before it ran",
}  # fmt: skip
_CANCELLED: Final = {"revoked": "revoked by", "superseded": "replaced by a newer request of"}
_PLACES: Final = {
    "link": "by mail link", "dashboard": "on the dashboard", "api": "through the API",
    "cli": "in the terminal", "slack": "in Slack", "discord": "in Discord",
}  # fmt: skip
_ELSEWHERE: Final = (
    "The policy asks to decide this on the dashboard, within 15 minutes of signing in. Press Open; "
    "a decision made here would not count."
)
_DAMAGED: Final = Card(
    "", "This request cannot be shown", "does nothing", (), (), "",
    "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cards:
    """Makes approval cards in a unit of work."""

    settings: Settings

    def of(self, tx: Tx, request_id: str, person: Person | None = None) -> ApprovalCard:
        """Return the card of a request as it stands.

        :param person: who alone gets this copy.
        :raises NotFound: there is no such request.
        """
        request = tx.requests.get(request_id)
        if request is None:
            message = "there is no such request"
            raise NotFound(message)
        detail = detail_of(tx, request, person)
        names = {person.id: person.name for person in tx.people.all()}
        return self.card(detail, names, tx.now)

    def card(self, detail: Detail, names: dict[str, str], now: Instant) -> ApprovalCard:
        """Return the card of a request whose details are at hand."""
        card = _card(detail.submission, detail.injected)
        standing = _standing(detail, names, now, self.url(detail.request.id))
        shown = approval_card(card, standing)
        return shown if detail.submission is not None else replace(shown, pending=False)

    def url(self, request_id: str) -> str:
        """Return the address of a request's page."""
        return f"{self.settings.public_url}/requests/{request_id}"


def _card(submission: Submission | None, added: tuple[str, ...]) -> Card:
    return _DAMAGED if submission is None else card_of(submission, added)


def _standing(detail: Detail, names: dict[str, str], now: Instant, url: str) -> Standing:
    request, verdict = detail.request, detail.verdict
    risk: dict[str, Any] = verdict.get("risk") or {}
    return Standing(
        request_id=request.id,
        digest=request.digest,
        version=request.version,
        status=request.status,
        state=state_of(request, detail.votes, names, _stood_in(detail.trail)),
        urgency=request.urgency.value,
        risk="" if _idle_risk(risk) else str(risk.get("level", "")),
        risk_reasons=tuple(map(str, risk.get("reasons", ()))),
        facts=tuple(_facts(detail)),
        seats=tuple(_seats(detail, names)),
        timeline=tuple(_timeline(detail.trail)),
        pending=request.status is Status.PENDING and now < request.expires_at,
        reason_required=request.require_reason,
        url=url,
        sent=request.sent_at is not None or request.kind is Kind.PLAIN,
        elsewhere=_ELSEWHERE if request.plan.assurance > Assurance.CHAT else "",
        asked_for=_asked_for(detail),
        idle=_idle(detail),
    )


def _asked_for(detail: Detail) -> str:
    """Return in whose place the one who looks decides, in a sentence, or an empty text."""
    if not detail.in_place_of:
        return ""
    return f"You stand in for {' or '.join(who.name for who in detail.in_place_of)}, who is away."


def _stood_in(trail: Sequence[AuditRecord]) -> dict[str, str]:
    """Return by references of voters whose place their vote took, as it was recorded then."""
    found: dict[str, str] = {}
    for record in trail:
        for voter, name in _standing_in(record):
            found[voter or record.actor] = name
    return found


def _standing_in(record: AuditRecord) -> list[tuple[str, str]]:
    """Return references of voters and in whose place they count with this entry.

    An empty reference is that of the entry's own voter.
    """
    found: list[tuple[str, str]] = []
    if record.details.get("for_name"):
        found.append(("", str(record.details["for_name"])))
    found.extend((f"person:{one['by']}", str(one["for_name"])) for one in _others(record))
    return found


def _others(record: AuditRecord) -> list[JsonObject]:
    others = record.details.get("others")
    return [one for one in others if isinstance(one, dict)] if isinstance(others, list) else []


def _idle_risk(risk: Mapping[str, Any]) -> bool:
    """Whether a risk says nothing: no declared factor applied, and nothing was raised."""
    return risk.get("level") == "low" and not risk.get("reasons")


def _idle(detail: Detail) -> frozenset[int]:
    """Return the numbers of the calls of a bundle that do not run though it was approved."""
    request = detail.request
    if request.status not in _APPROVED:
        return frozenset()
    states = [call.state for call in detail.calls if request.sent_at is not None]
    skipped = {state.number for state in states if state.status is CallStatus.SKIPPED}
    return excluded_by(detail.votes) | skipped


def state_of(
    request: Request, votes: Sequence[Vote], names: dict[str, str], stood_in: dict[str, str]
) -> str:
    """Return where a request stands, in one line.

    :param stood_in: names of those whose place a voter took, by the voter's reference.
    """
    if request.status is Status.PENDING:
        count = f"{request.approvals} of {request.quorum} approvals"
        against = f", {request.denials} against" if request.denials else ""
        return f"Waiting: {count}{against}"
    if request.status in (Status.APPROVED, Status.DENIED):
        word = "Approved" if request.status is Status.APPROVED else "Denied"
        return f"{word} {_by(request, votes, names, stood_in)}"
    if request.status is Status.CANCELLED:
        return "Withdrawn; it will not run"
    return _STATES[request.status]


def happened(detail: Detail, names: dict[str, str]) -> str:
    """Return who decided a request and how it ended, in one line; nothing while it waits."""
    request = detail.request
    if request.status is Status.PENDING:
        return ""
    if request.decided_at is None:
        word = _withdrawn(detail) if request.status is Status.CANCELLED else _UNDECIDED
        return word[:1].upper() + word[1:]
    word = "Denied" if request.status is Status.DENIED else "Approved"
    stood_in = _stood_in(detail.trail)
    said = f"{word} {_by(request, detail.votes, names, stood_in)}{_policy(detail)}"
    return "; ".join(filter(None, (said, _ended(detail))))


def _policy(detail: Detail) -> str:
    """Return the name of the policy that decided, with a space before, or nothing."""
    policy: dict[str, Any] = detail.verdict.get("policy") or {}
    alone = (detail.request.decided_by or "").startswith("policy:")
    return f" {policy.get('name', '')}" if alone and policy else ""


def _ended(detail: Detail) -> str:
    """Return how a decided request ended, or nothing where the decision was the end."""
    request = detail.request
    settled = [record for record in detail.trail if record.event == "request.settled"]
    if settled and request.status is not Status.UNKNOWN:
        found = "it ran" if settled[-1].details.get("ran") else "it did not run"
        return f"{settled[-1].actor_name or settled[-1].actor} found that {found}"
    if request.status is Status.CANCELLED:
        return f"{_withdrawn(detail)} before it ran"
    if request.status is Status.FAILED:
        return "it failed" if request.sent_at else "it failed before anything was sent"
    waits = request.status is Status.APPROVED and request.kind is not Kind.PLAIN
    return "it has not run yet" if waits else _ENDS.get(request.status, "")


def _withdrawn(detail: Detail) -> str:
    for record in detail.trail:
        if record.event == "request.cancelled":
            word = _CANCELLED.get(str(record.details.get("code")), "withdrawn by")
            return f"{word} {record.actor_name or record.actor}"
    return "withdrawn"


def _by(
    request: Request, votes: Sequence[Vote], names: dict[str, str], stood_in: dict[str, str]
) -> str:
    kind, _, name = (request.decided_by or "").partition(":")
    if kind != "person":
        return "by policy" if kind == "policy" else "since nobody decided in time"
    wanted = Choice.DENY if request.status is Status.DENIED else Choice.APPROVE
    said = [vote for vote in votes if vote.ballot.choice is wanted]
    people = ", ".join(
        f"{names.get(vote.person_id, '?')}{_for(stood_in.get(f'person:{vote.person_id}'))} "
        f"{place_of(vote.ballot.channel)}"
        for vote in said
    )
    return f"by {people or names.get(name, '?')}"


def _for(name: object) -> str:
    return f" in place of {name}" if name else ""


def _facts(detail: Detail) -> list[tuple[str, str]]:
    request, policy = detail.request, detail.verdict.get("policy") or {}
    rule = f"{policy.get('name')} › {detail.verdict.get('rule')}" if policy else "no policy matched"
    reasons = "; ".join(
        str(reason) for reason in detail.verdict.get("reasons", ()) if policy or reason != rule
    )
    facts = [
        ("Agent", detail.agent.name if detail.agent else request.agent_id),
        ("Owner", detail.owner.name if detail.owner else "nobody"),
        ("Target", request.target_name or ""),
        ("Rule", rule),
        ("Why", reasons),
        ("Warning", "; ".join(map(str, detail.verdict.get("warnings", ())))),
        ("Marked", ", ".join(request.tags)),
        ("Asked", moment(request.created_at)),
        ("Expires", f"{moment(request.expires_at)}, {_span(request)} after it was asked"),
    ]
    return [(label, value) for label, value in facts if value]


def moment(instant: Instant) -> str:
    """Return an instant as cards write it."""
    return to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(request: Request) -> str:
    """Return how long a request waits at most, in words that stay true however late one reads."""
    minutes = (request.expires_at - request.created_at) // SECOND // 60
    return f"{minutes} min" if minutes < 120 or minutes % 60 else f"{minutes // 60} h"  # noqa: PLR2004


def _seats(detail: Detail, names: dict[str, str]) -> list[str]:
    request = detail.request
    if detail.shortage and request.status is Status.PENDING:
        return [
            *_named_seats(detail, names),
            f"Nobody can decide this as things are: {detail.shortage}",
        ]
    return _named_seats(detail, names)


def _named_seats(detail: Detail, names: dict[str, str]) -> list[str]:
    seats = detail.request.plan.seats_at(detail.request.stage)
    taken = placed(seats, detail.seated)
    lines: list[str] = []
    for number, seat in enumerate(seats):
        who, place = taken.get(number, ("", ""))
        whose = names.get(place, "") if place != who else ""
        who = f"{names.get(who, 'open')}{_for(whose)}"
        lines.append(f"{' or '.join(seat) or 'any approver'}: {who}")
    return lines


def _timeline(trail: Sequence[AuditRecord]) -> list[str]:
    """Return the last lines; what people said stays, however often an agent repeats itself."""
    told = [record for record in trail if record.event != _REPEATED]
    said = [record for record in told if record.details.get("comment")][-_SHOWN:]
    others = [record for record in told if record not in said]
    kept = [*said, *others[max(0, len(others) - _SHOWN + len(said)) :]]
    again = len(trail) - len(told)
    more = [f"asked again {again} times or more"] if again else []
    return [*(_line(record) for record in sorted(kept, key=lambda record: record.seq)), *more]


def place_of(channel: str) -> str:
    """Return where somebody pressed a button, in words."""
    return _PLACES.get(channel, f"in {channel}")


def told(event: str, details: Mapping[str, object]) -> str:
    """Return what an event of a request is called; a vote that decided nothing yet, which way."""
    name = event.removeprefix("request.")
    which = {"approve": " to approve", "deny": " to deny"}.get(str(details.get("choice")), "")
    return f"{name}{which}" if name == "voted" else name


def _line(record: AuditRecord) -> str:
    what = told(record.event, record.details)
    channel = record.details.get("channel")
    where = f" {place_of(str(channel))}" if channel else ""
    said = record.details.get("comment") or record.details.get("note")
    words = f": {json.dumps(said, ensure_ascii=False)}" if said else ""
    out = record.details.get("except")
    without = f", without {', '.join(map(str, out))}" if isinstance(out, list) else ""
    who = record.actor_name or record.actor
    stood_in = _for(record.details.get("for_name"))
    return (
        f"{moment(record.at)} {what} by {who}{stood_in}{where}{_others_of(record)}{without}{words}"
    )


def _others_of(record: AuditRecord) -> str:
    """Return which earlier voters count in whose place with this entry, in words, or nothing."""
    return "".join(
        f"; {one['by_name']} counts in place of {one['for_name']}" for one in _others(record)
    )
