"""Who may decide a request, and what makes a ballot count. Read at commit, never before."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.errors import (
    AlreadyVoted,
    AssuranceTooLow,
    DigestMismatch,
    InvalidField,
    MissingRole,
    NotAnApprover,
)
from app.core.principals import Role, at_least
from app.core.request import Ballot, Choice, Request, Vote
from app.core.routing import Voter, may_fill, seated

MAX_COMMENT = 2000
"""Most characters of a comment."""

_NEEDED = {1: "a one-click link", 2: "chat, a key or the dashboard",
           3: "the dashboard, shortly after signing in"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What is read about the installation and the agent in the transaction that counts.

    :ivar owner_may_decide: the installation's setting; the request's own rule wins over it.
    :ivar owner_id: the agent's present owner; the one at submission is with the request.
    """

    owner_may_decide: bool = False
    owner_id: str | None = None


def obstacle(request: Request, voter: Voter, rules: Rules) -> str | None:
    """Return why this person may not decide the request, in a sentence, or None."""
    person = voter.person
    if not person.active:
        return "The account is not active."
    if not at_least(person.role, Role.APPROVER):
        return f"The role {person.role} may not decide; approver is needed."
    if not any(may_fill(voter, seat) for seat in request.plan.seats_at(request.stage)):
        return "The policy names other approvers for this request."
    return _ownership(request, voter, rules)


def _ownership(request: Request, voter: Voter, rules: Rules) -> str | None:
    own = request.owner_may_decide
    if rules.owner_may_decide if own is None else own:
        return None
    owners = {request.owner_id, rules.owner_id} - {None}
    if request.owner_id is None or not owners:
        return "The agent has no owner on record, so nobody can be told apart from its owner."
    if voter.person.id in owners:
        return "The owner of an agent does not decide its requests."
    if any(away.person.id in owners for away in voter.absent):
        return "Who stands in for the owner of an agent does not decide its requests."
    return None


def check_ballot(
    request: Request, ballot: Ballot, voter: Voter, rules: Rules, *, voted: bool
) -> None:
    """Refuse a ballot that must not count.

    :raises MissingRole: the person's role or account does not allow voting at all.
    :raises NotAnApprover: this person may not decide this request.
    :raises DigestMismatch: the ballot is about another payload than the stored one.
    :raises AlreadyVoted: the person's first vote stands.
    :raises InvalidField: the comment is missing where it is required, or too long.
    :raises AssuranceTooLow: the policy asks for a stronger proof of who votes.
    """
    why = obstacle(request, voter, rules)
    if why is not None:
        weak = not voter.person.active or not at_least(voter.person.role, Role.APPROVER)
        raise (MissingRole if weak else NotAnApprover)(why)
    if ballot.digest != request.digest:
        raise DigestMismatch(pointer="/digest")
    if len(ballot.comment) > MAX_COMMENT:
        message = f"a comment has at most {MAX_COMMENT} characters"
        raise InvalidField(message, pointer="/comment")
    if request.require_reason and not ballot.comment.strip():
        message = "the policy asks for a comment with this decision"
        raise InvalidField(message, pointer="/comment")
    if voted:
        raise AlreadyVoted
    needed = request.plan.assurance
    if ballot.assurance < needed:
        message = f"The policy asks to decide this by {_NEEDED[needed]}; kept as a comment."
        raise AssuranceTooLow(message, extra={"needed": f"L{needed}"})


def filled(
    request: Request, voter: Voter, earlier: Iterable[tuple[Vote, Voter]], rules: Rules
) -> int:
    """Return how many seats are filled with this approval.

    Earlier approvals are judged anew: who was switched off or lost the role meanwhile does not
    count any more (threat T26).

    :raises NotAnApprover: every seat that this person may fill is filled.
    """
    still = [
        other
        for vote, other in earlier
        if vote.ballot.choice is Choice.APPROVE and obstacle(request, other, rules) is None
    ]
    seats = request.plan.seats_at(request.stage)
    before = len(seated(seats, still))
    after = len(seated(seats, [*still, voter]))
    if after == before:
        message = "Every seat that you may fill is filled; somebody else is needed."
        raise NotAnApprover(message)
    return after
