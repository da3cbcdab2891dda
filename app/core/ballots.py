"""Who may decide a request, and what makes a ballot count. Read at commit, never before."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from app.core.errors import (
    AlreadyVoted,
    AssuranceTooLow,
    DigestMismatch,
    InvalidField,
    MissingRole,
    NotAnApprover,
)
from app.core.principals import Person, Role, at_least
from app.core.request import Ballot, Choice, Request, Vote
from app.core.routing import Place, Voter, is_called, may_fill, placed, seats_of

MAX_COMMENT = 2000
"""Most characters of a comment."""

_UNKEPT: Final = re.compile("[\x00\ud800-\udfff]")

_NEEDED = {1: "by a one-click link", 2: "in chat, with a key or on the dashboard",
           3: "on the dashboard within 15 minutes of signing in"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What is read about the installation and the agent in the transaction that counts.

    :ivar owner_may_decide: the installation's setting; the request's own rule wins over it.
    :ivar owner_id: the agent's present owner; the one at submission is with the request.
    """

    owner_may_decide: bool = False
    owner_id: str | None = None


_BY_SETTING: Final = (
    "The owner of an agent does not decide its requests; an administrator can allow it under "
    "People, Separation of duties."
)
_BY_RULE: Final = "The owner of an agent does not decide its requests; the policy's rule says so."


def obstacle(request: Request, voter: Voter, rules: Rules) -> str | None:
    """Return why this person may not decide the request, in a sentence, or None."""
    person = voter.person
    if not person.active:
        return "The account is not active."
    if not at_least(person.role, Role.APPROVER):
        return f"The role {person.role} may not decide; approver is needed."
    seats = request.plan.seats_at(request.stage)
    if not any(may_fill(voter, seat) for seat in seats):
        return "The policy names other approvers for this request."
    why = _ownership(request, voter, rules)
    if why is not None:
        return why
    own = in_own_right(request, voter, rules)
    if own is not voter and not any(may_fill(own, seat) for seat in seats):
        return "Who stands in for the owner of an agent does not decide its requests."
    return None


def _ownership(request: Request, voter: Voter, rules: Rules) -> str | None:
    if _owner_may(request, rules):
        return None
    if request.owner_id is None:
        return "The agent has no owner on record, so nobody can be told apart from its owner."
    if voter.person.id in _owners(request, rules):
        return _BY_RULE if request.owner_may_decide is False else _BY_SETTING
    return None


def _owner_may(request: Request, rules: Rules) -> bool:
    own = request.owner_may_decide
    return rules.owner_may_decide if own is None else own


def _owners(request: Request, rules: Rules) -> set[str | None]:
    return {request.owner_id, rules.owner_id} - {None}


def in_own_right(request: Request, voter: Voter, rules: Rules) -> Voter:
    """Return a voter without the places of owners: an owner lends nobody what the owner lacks.

    What they may decide themselves they still may, or an owner could rid of strict approvers by
    asking them to stand in.
    """
    if _owner_may(request, rules):
        return voter
    owners = _owners(request, rules)
    others = tuple(away for away in voter.absent if away.person.id not in owners)
    return voter if len(others) == len(voter.absent) else replace(voter, absent=others)


def check_shown(before: str, now: str) -> None:
    """Refuse a decision on a surface that would show something else by now.

    :raises DigestMismatch: it would; what a credential adds was changed, for instance.
    """
    if before != now:
        message = "What this would run is shown differently by now; look at it again."
        raise DigestMismatch(message, pointer="/display")


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
    check_comment(ballot.comment)
    if request.require_reason and not ballot.comment.strip():
        message = "the policy asks for a comment with this decision"
        raise InvalidField(message, pointer="/comment")
    if voted:
        raise AlreadyVoted
    needed = request.plan.assurance
    if ballot.assurance < needed:
        message = (
            f"This was not counted: the policy asks to decide this {_NEEDED[needed]}. It was kept "
            "as a comment on the request."
        )
        raise AssuranceTooLow(message, extra={"needed": f"L{needed}"})


def counting(
    request: Request, votes: Iterable[tuple[Vote, Voter]], rules: Rules, least: int = 0
) -> list[Voter]:
    """Return who approved and may still decide, with the places that they may lend their voice.

    :param least: assurance below which a vote does not count.
    """
    return [
        in_own_right(request, voter, rules)
        for vote, voter in votes
        if vote.ballot.choice is Choice.APPROVE
        and vote.ballot.assurance >= least
        and obstacle(request, voter, rules) is None
    ]


def check_comment(text: str) -> None:
    """Refuse a comment that is too long, or that no database keeps as it is.

    :raises InvalidField: with what to change.
    """
    if len(text) > MAX_COMMENT:
        message = f"a comment has at most {MAX_COMMENT} characters"
        raise InvalidField(message, pointer="/comment")
    if _UNKEPT.search(text):
        message = "a comment holds no NUL and no half of a character"
        raise InvalidField(message, pointer="/comment")


def filled(
    request: Request, voter: Voter, earlier: Iterable[tuple[Vote, Voter]], rules: Rules
) -> int:
    """Return how many seats are filled with this approval.

    Earlier approvals are judged anew: who was switched off or lost the role meanwhile does not
    count any more (threat T26), and counts again once that was taken back. Where enough seats are
    filled by now without this approval, it fills none, and decides.

    :raises NotAnApprover: every seat that this person may fill is filled.
    """
    still = counting(request, earlier, rules)
    seats = request.plan.seats_at(request.stage)
    before = seats_of(seats, still)
    if before >= request.quorum:  # somebody whose vote did not count meanwhile is back
        return before
    after = seats_of(seats, [*still, in_own_right(request, voter, rules)])
    if after == before:
        message = "Every seat that you may fill is filled; somebody else is needed."
        raise NotAnApprover(message)
    return after


def standing_in(request: Request, voter: Voter, rules: Rules) -> tuple[Person, ...]:
    """Return in whose places alone a person decides; nobody where they do so in their own right."""
    seats = request.plan.seats_at(request.stage)
    if any(is_called(voter, seat) for seat in seats):
        return ()
    away = in_own_right(request, voter, rules).absent
    return tuple(one.person for one in away if any(is_called(one, seat) for seat in seats))


def place_of(
    request: Request, voter: Voter, earlier: Iterable[tuple[Vote, Voter]], rules: Rules
) -> Place:
    """Return the place that a vote takes beside the earlier approvals, for the record.

    Where every seat is filled without it, it says only in whose place it is.
    """
    seats = request.plan.seats_at(request.stage)
    own = in_own_right(request, voter, rules)
    still = {one.person.id: one for one in (*counting(request, earlier, rules), own)}
    found = placed(seats, still.values())
    lent = {who: _away(still[who], place) for who, place in found.values()}
    others = tuple(
        (still[who].person, away) for who, away in lent.items() if away and who != voter.person.id
    )
    for number, (who, _) in found.items():
        if who == voter.person.id:
            return Place(tuple(seats[number]), lent[who], others)
    return Place((), next(iter(standing_in(request, voter, rules)), None), others)


def _away(voter: Voter, place: str) -> Person | None:
    """Return whose place somebody takes, where it is not the own one."""
    return next((one.person for one in voter.absent if one.person.id == place), None)
