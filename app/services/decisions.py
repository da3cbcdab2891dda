"""Deciding, withdrawing and settling requests: lock, check, step, record."""

from dataclasses import dataclass

from app.core import events as ev
from app.core.audit import Actor
from app.core.ballots import check_ballot
from app.core.errors import Forbidden, InvalidField, NotFound
from app.core.lifecycle import step
from app.core.principals import Caller, Person, Role, Scope, at_least
from app.core.request import Ballot, Choice, Request
from app.services.access import require
from app.store.engine import Store
from app.store.tx import Tx

OWNER_MAY_DECIDE = "owner_may_decide"
"""Name of the installation's setting."""

MAX_NOTE = 2000


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
        """
        person = _human(caller)
        return await self.store.write(
            lambda tx: _cast(tx, caller.actor, person.id, request_id, ballot), order=request_id
        )

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


def _cast(tx: Tx, actor: Actor, person_id: str, request_id: str, ballot: Ballot) -> Request:
    request = _locked(tx, request_id)
    check_ballot(
        request,
        ballot,
        _held(tx, person_id),
        owner_may_decide=tx.people.setting(OWNER_MAY_DECIDE) == "true",
        voted=request.approvals > 0 and tx.requests.has_voted(request_id, person_id),
    )
    event = (ev.Approve if ballot.choice is Choice.APPROVE else ev.Deny)(actor, ballot)
    return tx.record(step(request, event, tx.now))


def _settle(tx: Tx, person_id: str, request_id: str, event: ev.Settle) -> Request:
    request = _locked(tx, request_id)
    person = _held(tx, person_id)
    if not person.active or not at_least(person.role, Role.OPERATOR):
        message = "settling needs the role operator"
        raise Forbidden(message)
    return tx.record(step(request, event, tx.now))
