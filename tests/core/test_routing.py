"""Seats and who fills them, ladders, and the frozen form."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.instant import Instant
from app.core.principals import Person, Role
from app.core.routing import (
    Assurance,
    Notice,
    Plan,
    Rung,
    Voter,
    freeze,
    is_called,
    may_fill,
    placed,
    pool,
    seats_of,
    shortage,
    thaw,
)

ANNE = Person("per_anne", "Anne", "anne@example.org", Role.APPROVER, "-", True, Instant(0))
BEN = replace(ANNE, id="per_ben", email="ben@example.org", role=Role.OPERATOR)
CLEO = replace(ANNE, id="per_cleo", email="cleo@example.org", role=Role.ADMIN)


def seated(seats: Sequence[Sequence[str]], voters: Sequence[Voter]) -> dict[int, str]:
    """Return who sits where; the count alone, which has a shortcut, says the same."""
    found = {number: who for number, (who, _) in placed(seats, voters).items()}
    assert seats_of(seats, voters) == len(found)
    return found


DAN = replace(ANNE, id="per_dan", email="dan@example.org")

pytestmark = pytest.mark.requirement("DEC-3")


@pytest.mark.parametrize(
    ("person", "names", "good"),
    [
        (ANNE, (), True),
        (ANNE, ("role:approver",), True),
        (ANNE, ("role:operator",), False),
        (BEN, ("role:operator",), True),
        (CLEO, ("role:operator",), True),
        (ANNE, ("person:anne@example.org",), True),
        (ANNE, ("person:per_anne",), True),
        (ANNE, ("group:security",), False),
        (replace(ANNE, active=False), (), False),
        (replace(ANNE, role=Role.VIEWER), ("person:per_anne",), False),
    ],
)
def test_who_is_called(person: Person, names: tuple[str, ...], good: bool) -> None:
    assert is_called(Voter(person), names) is good
    assert is_called(Voter(person, frozenset({"security"})), ("group:security",)) is (
        person.active and person.role is not Role.VIEWER
    )


@pytest.mark.requirement("PPL-4")
def test_a_place_is_taken_for_somebody_and_not_handed_on() -> None:
    seat = ("person:per_cleo",)
    assert not may_fill(Voter(ANNE), seat)
    assert may_fill(Voter(ANNE, absent=(Voter(CLEO),)), seat)
    assert not may_fill(Voter(ANNE, absent=(Voter(BEN, absent=(Voter(CLEO),)),)), seat)
    assert not may_fill(Voter(replace(ANNE, active=False), absent=(Voter(CLEO),)), seat)
    assert not may_fill(Voter(ANNE, absent=(Voter(replace(CLEO, active=False)),)), seat)


@pytest.mark.requirement("T30")
def test_people_make_room_for_each_other_in_every_order() -> None:
    seats = (("person:per_anne", "person:per_ben"), ("person:per_anne",), ("role:admin",))
    voters = [Voter(ANNE), Voter(BEN), Voter(CLEO)]
    for order in permutations(voters):
        assert seated(seats, order) == {0: "per_ben", 1: "per_anne", 2: "per_cleo"}
    assert len(seated(seats, [Voter(ANNE)])) == 1
    assert len(seated((("role:admin",), ("role:admin",)), [Voter(CLEO)])) == 1


NAMES = st.lists(st.sampled_from(["role:admin", "group:a", "group:b", "person:p1", "person:p2"]),
                 max_size=3).map(tuple)  # fmt: skip
VOTERS = st.lists(
    st.builds(
        lambda number, role, groups: Voter(
            replace(ANNE, id=f"p{number}", email=f"p{number}@x", role=role), groups
        ),
        st.integers(1, 6),
        st.sampled_from([Role.APPROVER, Role.ADMIN]),
        st.frozensets(st.sampled_from(["a", "b"])),
    ),
    max_size=6,
    unique_by=lambda voter: voter.person.id,
)


@given(st.lists(NAMES, min_size=1, max_size=4).map(tuple), VOTERS)
def test_an_assignment_is_sound_and_grows_by_at_most_one(
    seats: tuple[tuple[str, ...], ...], voters: list[Voter]
) -> None:
    people = {voter.person.id: voter for voter in voters}
    taken = seated(seats, voters)
    assert len(set(taken.values())) == len(taken)
    assert all(may_fill(people[name], seats[number]) for number, name in taken.items())
    assert len(taken) == len(seated(seats, voters[::-1]))
    for cut in range(len(voters)):
        more = len(seated(seats, voters[: cut + 1])) - len(seated(seats, voters[:cut]))
        assert more in (0, 1)


def _standing_in(voters: list[Voter], leaves: set[tuple[str, str]]) -> list[Voter]:
    """Return the voters, each with the places of those who named them."""
    return [
        replace(one, absent=tuple(
            away for away in voters if (away.person.id, one.person.id) in leaves and away != one
        ))
        for one in voters
    ]  # fmt: skip


def _most(seats: tuple[tuple[str, ...], ...], voters: list[Voter], used: frozenset[str]) -> int:
    """Return the most seats that voters can fill, one place each, by trying everything."""
    if not voters:
        return 0
    first, *others = voters
    found = _most(seats, others, used)
    for place in (first, *first.absent):
        if place.person.id in used:
            continue
        for number, seat in enumerate(seats):
            if is_called(place, seat):
                left = (*seats[:number], *seats[number + 1 :])
                found = max(found, 1 + _most(left, others, used | {place.person.id}))
    return found


LEAVES = st.sets(
    st.tuples(*[st.integers(1, 6).map(lambda number: f"p{number}")] * 2), max_size=8
)  # fmt: skip


@pytest.mark.requirement("PPL-4", "T30")
@given(
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    VOTERS.map(lambda found: found[:5]),
    LEAVES,
    st.randoms(use_true_random=False),
)
def test_one_place_counts_once_and_nobody_unseats_anybody(
    seats: tuple[tuple[str, ...], ...],
    voters: list[Voter],
    leaves: set[tuple[str, str]],
    random: Random,
) -> None:
    """Whoever stands in for whom: as many seats as there are places, in any order of votes."""
    people = _standing_in(voters, leaves)
    counts = [len(seated(seats, people[:cut])) for cut in range(len(people) + 1)]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise(counts))
    assert counts[-1] == _most(seats, people, frozenset())
    shuffled = list(people)
    random.shuffle(shuffled)
    assert len(seated(seats, shuffled)) == counts[-1]
    taken = seated(seats, people)
    able = {one.person.id: one for one in people}
    assert len(set(taken.values())) == len(taken)
    assert all(may_fill(able[name], seats[number]) for number, name in taken.items())


@pytest.mark.requirement("PPL-4", "T30")
def test_who_is_away_and_who_stands_in_are_one() -> None:
    seats = (("person:per_anne",), ("person:per_cleo",))
    ben, dan = Voter(BEN, absent=(Voter(ANNE),)), Voter(DAN, absent=(Voter(ANNE),))
    assert len(seated(seats, [ben, Voter(ANNE)])) == len(seated(seats, [ben, dan])) == 1
    assert seated(seats, [ben, Voter(ANNE), Voter(CLEO)]) == {0: "per_ben", 1: "per_cleo"}
    both = Voter(BEN, absent=(Voter(ANNE), Voter(CLEO)))
    assert seated(seats, [both, dan]) == {0: "per_dan", 1: "per_ben"}
    only = Plan((("group:security",),) * 2)
    anne = Voter(ANNE, frozenset({"security"}))
    able = [anne, replace(ben, absent=(anne,)), replace(dan, absent=(anne,))]
    assert "only 1 may decide" in shortage(only, 2, 0, able)


def test_a_ladder_widens_who_may_and_never_lowers_what_is_needed() -> None:
    plan = Plan(
        seats=(("person:per_ben",), ()),
        notify=(Notice("slack", ("C1",)),),
        ladder=(Rung(60, ("group:oncall",), (Notice("email"),), repeat=1), Rung(300, deny=True)),
    )
    assert [plan.after(stage) for stage in range(4)] == [60, 60, 300, None]
    assert plan.seats_at(0) == plan.seats
    assert plan.seats_at(1) == (
        ("person:per_ben", "group:oncall"), ("role:approver", "group:oncall"),
    )  # fmt: skip
    assert len(plan.seats_at(3)) == 2
    assert plan.notices_at(0) == (Notice("slack", ("C1",)),)
    assert plan.notices_at(2) == (Notice("email"),)


def test_who_is_missing_is_said() -> None:
    plan = Plan(seats=(("group:security",), ("role:admin",)))
    assert shortage(plan, 2, 0, [Voter(ANNE, frozenset({"security"})), Voter(CLEO)]) == ""
    assert "nobody may fill group:security" in shortage(plan, 2, 0, [Voter(CLEO)])
    both = shortage(Plan(pool(("role:admin",), 2)), 2, 0, [Voter(CLEO)])
    assert both == "2 different people are needed, and only 1 may decide"


PLANS = st.builds(
    Plan,
    seats=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    denials=st.integers(1, 3),
    assurance=st.sampled_from(Assurance),
    notify=st.lists(st.builds(Notice, st.just("slack"), NAMES), max_size=2).map(tuple),
    ladder=st.lists(
        st.builds(Rung, st.integers(1, 99), NAMES, st.just(()), st.integers(0, 2), st.booleans()),
        max_size=2,
    ).map(tuple),
)


@given(PLANS)
def test_what_is_frozen_thaws(plan: Plan) -> None:
    assert thaw(freeze(plan), len(plan.seats)) == plan


def test_plain_plans_take_no_room_and_old_rows_are_read() -> None:
    assert freeze(Plan()) == ""
    assert thaw("", 3) == Plan(((), (), ()))
    assert thaw('["role:admin"]', 2) == Plan((("role:admin",), ("role:admin",)))
    assert thaw("[]", 1) == Plan()
