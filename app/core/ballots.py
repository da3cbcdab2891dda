"""Who may decide a request, and what makes a ballot count. Read at commit, never before."""

from app.core.errors import (
    AlreadyVoted,
    DigestMismatch,
    InvalidField,
    MissingRole,
    NotAnApprover,
)
from app.core.principals import Person, Role, at_least
from app.core.request import Ballot, Request

MAX_COMMENT = 2000
"""Most characters of a comment."""


def obstacle(request: Request, person: Person, *, owner_may_decide: bool) -> str | None:
    """Return why this person may not decide the request, in a sentence, or None.

    :param owner_may_decide: the installation's setting; the request's own rule wins over it.
    """
    if not person.active:
        return "The account is not active."
    if not at_least(person.role, Role.APPROVER):
        return f"The role {person.role} may not decide; approver is needed."
    if request.approvers and not _named(request, person):
        return "The policy names other approvers for this request."
    allowed = owner_may_decide if request.owner_may_decide is None else request.owner_may_decide
    if allowed:
        return None
    if request.owner_id is None:
        return "The agent has no owner on record, so nobody can be told apart from its owner."
    if request.owner_id == person.id:
        return "The owner of an agent does not decide its requests."
    return None


def _named(request: Request, person: Person) -> bool:
    names = {f"role:{person.role}", f"person:{person.email}", f"person:{person.id}"}
    return not names.isdisjoint(request.approvers)


def check_ballot(
    request: Request, ballot: Ballot, person: Person, *, owner_may_decide: bool, voted: bool
) -> None:
    """Refuse a ballot that must not count.

    :raises MissingRole: the person's role or account does not allow voting at all.
    :raises NotAnApprover: this person may not decide this request.
    :raises DigestMismatch: the ballot is about another payload than the stored one.
    :raises AlreadyVoted: the person's first vote stands.
    :raises InvalidField: the comment is missing where it is required, or too long.
    """
    why = obstacle(request, person, owner_may_decide=owner_may_decide)
    if why is not None:
        weak = not person.active or not at_least(person.role, Role.APPROVER)
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
