"""Who may decide a request, and which ballots count."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.action import Kind, PlainAction, Submission, Urgency, seal
from app.core.ballots import MAX_COMMENT, Rules, check_ballot, filled, obstacle
from app.core.canonical import digest
from app.core.errors import (
    AlreadyVoted,
    AssentryError,
    DigestMismatch,
    InvalidField,
    MissingRole,
    NotAnApprover,
)
from app.core.instant import Instant
from app.core.policy import Effect
from app.core.principals import Person, Role
from app.core.request import Ballot, Choice, Request, Status, Vote
from app.core.routing import Plan, Voter, freeze

PAYLOAD = seal(Submission("agt_1", PlainAction("send", {}), None, Urgency.NORMAL, "", {}))
REQUEST = Request(
    id="req_1", agent_id="agt_1", key_id="key_1", owner_id="per_owner", kind=Kind.PLAIN,
    action="send", target_id=None, target_name=None, urgency=Urgency.NORMAL, reason="",
    payload=PAYLOAD, digest=digest(PAYLOAD), effect=Effect.REVIEW, verdict="{}", quorum=1,
    owner_may_decide=None, route="", require_reason=False, valid_for=600,
    created_at=Instant(0), expires_at=Instant(9), status=Status.PENDING,
)  # fmt: skip
ANNE = Person("per_anne", "Anne", "anne@example.org", Role.APPROVER, "-", True, Instant(0))
OWNER = replace(ANNE, id="per_owner", email="owner@example.org")
BALLOT = Ballot(Choice.APPROVE, REQUEST.digest, "", "api")


@pytest.mark.requirement("DEC-2")
@pytest.mark.parametrize(
    ("role", "good"),
    [
        (Role.VIEWER, False), (Role.APPROVER, True), (Role.OPERATOR, True), (Role.ADMIN, True),
    ],
)  # fmt: skip
def test_a_role_is_needed(role: Role, good: bool) -> None:
    person = replace(ANNE, role=role)
    assert (obstacle(REQUEST, Voter(person), Rules()) is None) is good
    inactive = replace(person, active=False)
    assert (
        obstacle(REQUEST, Voter(inactive), Rules(owner_may_decide=True))
        == "The account is not active."
    )


@pytest.mark.requirement("DEC-2", "T21")
@pytest.mark.parametrize("installation", [True, False])
@pytest.mark.parametrize("rule", [None, True, False])
@pytest.mark.parametrize("owner_id", ["per_owner", None])
def test_owners_and_requests_without_one(
    installation: bool, rule: bool | None, owner_id: str | None
) -> None:
    request = replace(REQUEST, owner_may_decide=rule, owner_id=owner_id)
    allowed = installation if rule is None else rule
    assert (
        obstacle(request, Voter(OWNER), Rules(owner_may_decide=installation)) is None
    ) is allowed
    free = allowed or owner_id is not None
    assert (obstacle(request, Voter(ANNE), Rules(owner_may_decide=installation)) is None) is free


@pytest.mark.requirement("DEC-2", "DEC-3")
@given(
    st.sampled_from(Role), st.booleans(), st.booleans(), st.none() | st.booleans(),
    st.lists(st.sampled_from([ANNE, OWNER]), max_size=2),
)  # fmt: skip
def test_who_may_decide_fills_the_only_seat(
    role: Role, own: bool, installation: bool, rule: bool | None, absent: list[Person]
) -> None:
    """So that nobody needs to ask, where one approval of anybody is enough."""
    request = replace(REQUEST, owner_may_decide=rule)
    person = replace(OWNER if own else ANNE, role=role)
    voter = Voter(person, absent=tuple(map(Voter, absent)))
    rules = Rules(owner_may_decide=installation)
    if obstacle(request, voter, rules) is None:
        assert filled(request, voter, (), rules) == 1


@pytest.mark.requirement("DEC-2")
@pytest.mark.parametrize(
    ("approvers", "good"),
    [
        ((), True),
        (("role:approver",), True),
        (("role:admin",), False),
        (("person:anne@example.org",), True),
        (("person:per_anne",), True),
        (("person:per_ben", "role:admin"), False),
        (("person:Anne",), False),
        (("person:per_ben", "role:approver"), True),
    ],
)
def test_a_policy_may_name_the_approvers(approvers: tuple[str, ...], good: bool) -> None:
    request = replace(REQUEST, route=freeze(Plan(seats=(approvers,))))
    assert (obstacle(request, Voter(ANNE), Rules()) is None) is good


@pytest.mark.requirement("DEC-2", "T21")
def test_who_is_kept_out_as_owner_reads_who_can_allow_it() -> None:
    said = obstacle(REQUEST, Voter(OWNER), Rules()) or ""
    assert "People, Separation of duties" in said
    ruled = replace(REQUEST, owner_may_decide=False)
    assert "the policy's rule says so" in (obstacle(ruled, Voter(OWNER), Rules()) or "")


def test_being_named_does_not_lift_the_owners_bar() -> None:
    request = replace(REQUEST, route=freeze(Plan(seats=(("person:per_owner",),))))
    assert obstacle(request, Voter(OWNER), Rules())


@pytest.mark.requirement("DEC-2", "T1", "T30")
@pytest.mark.parametrize(
    ("request_", "ballot", "person", "voted", "error"),
    [
        ({}, {}, {"role": Role.VIEWER}, False, MissingRole),
        ({}, {}, {"active": False}, False, MissingRole),
        ({}, {}, {"id": "per_owner"}, False, NotAnApprover),
        ({"route": freeze(Plan(seats=(("role:admin",),)))}, {}, {}, False, NotAnApprover),
        ({}, {"digest": "0" * 64}, {}, False, DigestMismatch),
        ({}, {"digest": REQUEST.digest.upper()}, {}, False, DigestMismatch),
        ({}, {"comment": "x" * (MAX_COMMENT + 1)}, {}, False, InvalidField),
        ({}, {"comment": "a\x00b"}, {}, False, InvalidField),
        ({}, {"comment": "half \ud83d"}, {}, False, InvalidField),
        ({"require_reason": True}, {}, {}, False, InvalidField),
        ({"require_reason": True}, {"comment": " \n"}, {}, False, InvalidField),
        ({}, {}, {}, True, AlreadyVoted),
    ],
)
def test_ballots_that_do_not_count(
    request_: dict[str, Any],
    ballot: dict[str, Any],
    person: dict[str, Any],
    voted: bool,
    error: type[AssentryError],
) -> None:
    with pytest.raises(error):
        check_ballot(
            replace(REQUEST, **request_), replace(BALLOT, **ballot), Voter(replace(ANNE, **person)),
            Rules(), voted=voted,
        )  # fmt: skip


@pytest.mark.requirement("DEC-3", "T26", "T30")
@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 4)))))
def test_approvals_fill_and_never_unfill(quorum: int, votes: list[tuple[int, set[int]]]) -> None:
    """Each votes once, while some are switched off; nobody who may vote is turned away for good."""
    request = replace(REQUEST, quorum=quorum)
    people = [replace(ANNE, id=f"per_{number}") for number in range(5)]
    cast: list[int] = []
    for number, off in votes:
        if number in cast or number in off:
            continue
        now = [Voter(replace(one, active=at not in off)) for at, one in enumerate(people)]
        earlier = [(Vote("req_1", now[at].person.id, BALLOT, Instant(0)), now[at]) for at in cast]
        count = filled(request, now[number], earlier, Rules())
        standing = len([at for at in cast if at not in off])
        assert count == min(standing + 1, quorum)
        cast.append(number)


@pytest.mark.requirement("DEC-2")
@pytest.mark.parametrize("choice", Choice)
def test_ballots_that_count(choice: Choice) -> None:
    request = replace(REQUEST, require_reason=True)
    ballot = replace(BALLOT, choice=choice, comment="x" * MAX_COMMENT)
    check_ballot(request, ballot, Voter(ANNE), Rules(), voted=False)
