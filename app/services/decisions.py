"""Deciding, withdrawing and settling requests: lock, check, step, record."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core import events as ev
from app.core.action import Kind
from app.core.audit import Actor
from app.core.ballots import Rules, check_ballot, counting, filled, in_own_right, obstacle
from app.core.bundle import CallStatus, become, check_excluded, summary, whole
from app.core.errors import (
    AssentryError,
    AssuranceTooLow,
    Forbidden,
    InvalidField,
    InvalidKey,
    NotFound,
)
from app.core.json_types import JsonObject
from app.core.lifecycle import step
from app.core.policy_route import Route
from app.core.principals import Caller, Person, Role, Scope, at_least
from app.core.request import Ballot, Choice, Request, Status, Vote, evolve
from app.core.routing import Voter, seated, shortage
from app.services.access import require
from app.store.engine import Store
from app.store.tx import Tx

OWNER_MAY_DECIDE = "owner_may_decide"
"""Name of the installation's setting."""

MAX_NOTE = 2000
MAX_SELECTION = 50
"""Most requests that are decided at once."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What people decide, and what requesters take back."""

    store: Store

    async def cast(self, caller: Caller, request_id: str, ballot: Ballot) -> Request:
        """Count a ballot and return the request as it stands then.

        Eligibility, time and status are read in the transaction that decides (T26 to T28).

        :raises NotFound: no such request.
        :raises NotAnApprover: this person may not decide it.
        :raises DigestMismatch: the ballot is about another payload.
        :raises AlreadyDecided: somebody was faster; ``extra`` has the stored outcome.
        :raises RequestExpired: its time is over.
        :raises AssuranceTooLow: the policy asks for a stronger proof; it was kept as a comment.
        """
        person = _human(caller)

        def work(tx: Tx) -> Request | AssuranceTooLow:
            _check_key(tx, caller)
            return cast(tx, caller.actor, person.id, request_id, ballot)

        counted = await self.store.write(work, order=request_id)
        if isinstance(counted, AssuranceTooLow):
            raise counted
        return counted

    async def cast_all(
        self, caller: Caller, selection: Mapping[str, Ballot]
    ) -> dict[str, Request | AssentryError]:
        """Count a ballot on each of a frozen selection (DEC-9): each on its own, all or part.

        What is selected is named with its digest, so that nothing joins the selection later.

        :param selection: ballots by request id.
        :raises InvalidField: nothing is selected, or too much at once.
        """
        _human(caller)
        if not 0 < len(selection) <= MAX_SELECTION:
            message = f"select from 1 to {MAX_SELECTION} requests"
            raise InvalidField(message, pointer="/items")
        done = [self._attempt(caller, name, ballot) for name, ballot in selection.items()]
        return dict(zip(selection, await asyncio.gather(*done), strict=True))

    async def _attempt(
        self, caller: Caller, request_id: str, ballot: Ballot
    ) -> Request | AssentryError:
        try:
            return await self.cast(caller, request_id, ballot)
        except AssentryError as error:
            return error

    async def cancel(self, caller: Caller, request_id: str, note: str = "") -> Request:
        """Withdraw a request: its agent an own one, an administrator any.

        :raises NotFound: no such request, or another agent's.
        :raises IllegalTransition: it is beyond withdrawal.
        """
        if caller.agent is None:
            require(caller, Scope.ADMIN)
        else:
            require(caller, Scope.REQUEST_CREATE)
        _check_note(note)
        agent_id = None if caller.agent is None else caller.agent.id
        code = "revoked" if agent_id is None else "withdrawn"
        event = ev.Cancel(actor=caller.actor, code=code, note=note)
        return await self.store.write(
            lambda tx: tx.record(step(_locked(tx, request_id, agent_id), event, tx.now)),
            order=request_id,
        )

    async def settle(self, caller: Caller, request_id: str, *, ran: bool, note: str) -> Request:
        """Say of a request with unknown outcome whether it ran.

        :raises InvalidField: there is no note that says how one knows.
        """
        person = _human(caller)
        _check_note(note)
        if not note.strip():
            message = "say how you know"
            raise InvalidField(message, pointer="/note")
        event = ev.Settle(actor=caller.actor, ran=ran, note=note)
        return await self.store.write(
            lambda tx: _settle(tx, person.id, request_id, event), order=request_id
        )


def _human(caller: Caller) -> Person:
    """Return the person behind a call that decides; an agent never gets here (T2, T21)."""
    require(caller, Scope.REQUEST_DECIDE)
    if caller.person is None or caller.agent is not None:
        message = "only a person decides"
        raise Forbidden(message)
    return caller.person


def _check_key(tx: Tx, caller: Caller) -> None:
    """Refuse a key that another process revoked since this one saw it."""
    if caller.key is None:
        return
    if not tx.agents.key_stands(caller.key.id):
        raise InvalidKey


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        message = f"a note has at most {MAX_NOTE} characters"
        raise InvalidField(message, pointer="/note")


def _locked(tx: Tx, request_id: str, agent_id: str | None = None) -> Request:
    request = tx.requests.lock(request_id)
    if request is None or agent_id not in (None, request.agent_id):
        message = "there is no such request"
        raise NotFound(message)
    return request


def _held(tx: Tx, person_id: str) -> Person:
    person = tx.people.hold(person_id)
    if person is None:
        message = "the account is gone"
        raise Forbidden(message)
    return person


def rules_of(tx: Tx, request: Request) -> Rules:
    """Return what the installation and the agent say about who decides, as of now."""
    agent = tx.agents.get(request.agent_id)
    return Rules(
        owner_may_decide=tx.people.setting(OWNER_MAY_DECIDE) == "true",
        owner_id=None if agent is None else agent.owner_id,
    )


def able(tx: Tx, request: Request) -> list[Voter]:
    """Return everybody who may decide a request as things are, with the places they may take."""
    rules = rules_of(tx, request)
    voters = [tx.groups.voter(person, request.action) for person in tx.people.all()]
    return [
        in_own_right(request, voter, rules)
        for voter in voters
        if obstacle(request, voter, rules) is None
    ]


def shortage_of(tx: Tx, request: Request) -> str:
    """Return why the people there are can never decide a request, or an empty text."""
    return shortage(request.plan, request.quorum, request.stage, able(tx, request))


def cast(
    tx: Tx, actor: Actor, person_id: str, request_id: str, ballot: Ballot
) -> Request | AssuranceTooLow:
    """Count a ballot in a unit of work; one that is too weak is kept as a comment."""
    request = _locked(tx, request_id)
    voter = tx.groups.voter(_held(tx, person_id), request.action)
    rules = rules_of(tx, request)
    voted = request.approvals + request.denials > 0 and tx.requests.has_voted(request_id, person_id)
    try:
        check_ballot(request, ballot, voter, rules, voted=voted)
        check_excluded(request, ballot, tx.requests.votes(request_id) if ballot.excluded else ())
    except AssuranceTooLow as error:
        _comment(tx, actor, request, ballot)
        return error
    if ballot.choice is Choice.DENY:
        event: ev.Event = ev.Deny(actor, ballot, needed=request.plan.denials)
    else:
        seats = _seats(tx, request, voter, rules)
        event = ev.Approve(actor, ballot, filled=seats)
    return tx.record(step(request, event, tx.now))


def _seats(tx: Tx, request: Request, voter: Voter, rules: Rules) -> int:
    if request.status is not Status.PENDING:
        return 0  # the step refuses it and says why
    return filled(request, voter, _earlier(tx, request), rules)


def satisfied(tx: Tx, request: Request, route: Route) -> bool:
    """Whether the approvals of a request are enough for the route that it would have today."""
    same = (route.frozen, route.quorum, route.owner_may_decide)
    if same == (request.route, request.quorum, request.owner_may_decide):
        return True
    stage = min(request.stage, len(route.plan.steps))
    today = evolve(
        request,
        {"route": route.frozen, "owner_may_decide": route.owner_may_decide, "stage": stage},
    )
    rules = rules_of(tx, request)
    said = counting(today, _earlier(tx, request), rules, route.plan.assurance)
    return len(seated(route.plan.seats_at(stage), said)) >= route.quorum


def _earlier(tx: Tx, request: Request) -> list[tuple[Vote, Voter]]:
    """Return the votes so far with who cast them, as they are now."""
    if not request.approvals:
        return []
    return [
        (vote, tx.groups.voter(person, request.action))
        for vote in tx.requests.votes(request.id)
        if (person := tx.people.hold(vote.person_id)) is not None
    ]


def _comment(tx: Tx, actor: Actor, request: Request, ballot: Ballot) -> None:
    step(request, ev.Approve(actor, ballot), tx.now)  # refuses what is decided or over
    details: JsonObject = {
        "choice": ballot.choice.value,
        "comment": ballot.comment,
        "channel": ballot.channel,
        "assurance": int(ballot.assurance),
        "shown": ballot.digest,
        "display": ballot.display,
        **({"except": list(ballot.excluded)} if ballot.excluded else {}),
    }
    tx.note("request.commented", actor, f"request:{request.id}", details, request.id)


def _settle(tx: Tx, person_id: str, request_id: str, event: ev.Settle) -> Request:
    request = _locked(tx, request_id)
    person = _held(tx, person_id)
    if not person.active or not at_least(person.role, Role.OPERATOR):
        message = "settling needs the role operator"
        raise Forbidden(message)
    if request.kind is Kind.BUNDLE and request.status is Status.UNKNOWN:
        event = settled(tx, request, event)
    return tx.record(step(request, event, tx.now))


def settled(tx: Tx, request: Request, event: ev.Settle) -> ev.Settle:
    """Write of a bundle's call in doubt whether it ran, and return the event that says the rest."""
    became = CallStatus.SUCCEEDED if event.ran else CallStatus.FAILED
    for state in tx.bundles.of(request.id):
        if state.status is CallStatus.UNKNOWN:
            tx.bundles.put(become(state, became, finished_at=tx.now))
    after = tx.bundles.of(request.id)
    return replace(event, outcome=summary(after), complete=whole(after))


def counted(request: Request, choice: Choice) -> str:
    """Return what somebody is told whose ballot was counted."""
    word = "approval" if choice is Choice.APPROVE else "denial"
    if request.status is Status.PENDING:
        return f"Your {word} is counted; {request.approvals} of {request.quorum} are there."
    return f"Your {word} is counted; the request is {request.status.value}."
