"""Deciding, withdrawing and settling requests: lock, check, step, record."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from app.core import events as ev
from app.core.action import Kind, Submission, unseal
from app.core.audit import SYSTEM, Actor
from app.core.ballots import (
    Rules,
    check_ballot,
    filled,
    in_own_right,
    obstacle,
    place_of,
    standing_in,
)
from app.core.bundle import CallStatus, become, check_excluded, summary, whole
from app.core.errors import (
    AlreadyDecided,
    AssentryError,
    AssuranceTooLow,
    Forbidden,
    InvalidField,
    InvalidKey,
    NotFound,
)
from app.core.execution import Refusal, verify_parties
from app.core.json_types import JsonObject
from app.core.lifecycle import step
from app.core.pipeline import PoliciesChanged
from app.core.principals import Agent, ApiKey, Caller, Person, Role, Scope, at_least
from app.core.request import Ballot, Choice, Request, Status, Vote
from app.core.routing import ANY_PLACE, Place, Voter, shortage
from app.services.access import require
from app.services.judging import (
    foreseen,
    judged_by,
    rules_from,
    rules_of,
    verify_policies,
    votes_so_far,
)
from app.services.policies import Policies
from app.store.engine import Store
from app.store.tx import Tx

T = TypeVar("T")
Kept: TypeAlias = AssuranceTooLow | AlreadyDecided
"""What was written instead of a vote, as the voter hears it."""

MAX_NOTE = 2000
MAX_SELECTION = 50
"""Most requests that are decided at once."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What people decide, and what requesters take back."""

    store: Store
    policies: Policies

    async def foreseen(self, request: Request, submission: Submission | None) -> list[str]:
        """Return why an approval would not let a waiting request run, as policies are now."""
        await self.policies.refresh()
        return await self.store.read(lambda tx: foreseen(tx, self.policies, request, submission))

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

        def work(tx: Tx) -> Request | Kept:
            _check_key(tx, caller)
            return self.count(tx, caller.actor, person.id, request_id, ballot)

        return await self.write(work, order=request_id)

    async def write(self, work: Callable[[Tx], T | Kept], *, order: str) -> T:
        """Run a unit that counts a ballot; raise what was written instead of a vote.

        The unit is run again where the policies were changed at this moment.
        """
        done = await self.policies.with_newest(lambda: self.store.write(work, order=order))
        if isinstance(done, AssuranceTooLow | AlreadyDecided):
            raise done
        return done

    def count(
        self, tx: Tx, actor: Actor, person_id: str, request_id: str, ballot: Ballot
    ) -> Request | Kept:
        """Count a ballot in a unit of work.

        One that is too weak is kept as a comment. One that would grant what may not be granted any
        more ends the request instead.
        """
        request = _locked(tx, request_id)
        voter = tx.groups.voter(_held(tx, person_id), request.action)
        asker = tx.agents.asker(request.agent_id, request.key_id)
        facts = tx.people.facts()
        rules = rules_from(facts, asker[0])
        some = request.approvals + request.denials > 0
        voted = some and tx.requests.has_voted(request_id, person_id)
        try:
            check_ballot(request, ballot, voter, rules, voted=voted)
            check_excluded(
                request, ballot, tx.requests.votes(request_id) if ballot.excluded else ()
            )
        except AssuranceTooLow as error:
            _comment(tx, actor, request, ballot)
            return error
        place = _place(tx, request, voter, rules, ballot.choice)
        if ballot.choice is Choice.DENY:
            event: ev.Event = ev.Deny(actor, ballot, place, needed=request.plan.denials)
            return tx.record(step(request, event, tx.now))
        seats = _seats(tx, request, voter, rules)
        transition = step(request, ev.Approve(actor, ballot, place, filled=seats), tx.now)
        if transition.after.status is Status.APPROVED and request.kind is Kind.PLAIN:
            vote = (Vote(request.id, person_id, ballot, tx.now), voter)
            if refused := self._stopped(tx, request, asker, facts, vote):
                return refused
        return tx.record(transition)

    def _stopped(
        self,
        tx: Tx,
        request: Request,
        asker: tuple[Agent | None, ApiKey | None],
        facts: Mapping[str, str],
        vote: tuple[Vote, Voter],
    ) -> AlreadyDecided | None:
        """End a request that no claim looks at again, where it may not be granted any more (T40).

        :raises PoliciesChanged: the compiled policies are not those in force.
        """
        revision, (agent, key) = self.policies.snapshot.revision, asker
        if int(facts.get("policy_revision", 0)) > revision:
            raise PoliciesChanged(retry_after=1)
        try:
            verify_parties(agent, key, tx.now)
            if agent is not None and judged_by(request.verdict) != revision:
                submission = unseal(request.payload)
                verify_policies(tx, self.policies, request, submission, agent, vote=vote)
        except Refusal as refusal:
            event = ev.Cancel(actor=SYSTEM, code=refusal.code, note=refusal.note)
            tx.record(step(request, event, tx.now))
            message = f"The request was cancelled: {refusal.note}"
            extra = {"status": Status.CANCELLED.value, "decided_by": None}
            return AlreadyDecided(message, extra=extra)
        return None

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

        def work(tx: Tx) -> Request:
            _check_key(tx, caller)
            return tx.record(step(_locked(tx, request_id, agent_id), event, tx.now))

        return await self.store.write(work, order=request_id)

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

        def work(tx: Tx) -> Request:
            _check_key(tx, caller)
            return _settle(tx, person.id, request_id, event)

        return await self.store.write(work, order=request_id)


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


def _seats(tx: Tx, request: Request, voter: Voter, rules: Rules) -> int:
    """Return how many seats are filled with the approval of somebody who may decide."""
    if request.status is not Status.PENDING:
        return 0  # the step refuses it and says why
    if not request.plan_is_special:
        return 1
    return filled(request, voter, votes_so_far(tx, request), rules)


def _place(tx: Tx, request: Request, voter: Voter, rules: Rules, choice: Choice) -> Place:
    """Return the place that a vote takes; nothing is asked where there is but one kind."""
    if not request.plan_is_special:
        return ANY_PLACE
    if choice is Choice.DENY:
        return Place((), next(iter(standing_in(request, voter, rules)), None))
    return place_of(request, voter, votes_so_far(tx, request), rules)


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
