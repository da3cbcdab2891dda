"""The circuit breaker as a state machine, and what reports mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.breaker import (
    Breaker,
    Fuse,
    Report,
    State,
    admit,
    heard,
    report_of_problem,
    report_of_status,
    wait_of,
)
from app.core.instant import SECOND, Instant, plus
from app.core.outcome import Ambiguous, NotStarted

pytestmark = pytest.mark.requirement("LIM-1")

START = Instant(1_700_000_000 * SECOND)
FUSE = Fuse(failures=3, window=60, cool_down=30, probes=2)
CLOSED = Breaker(State.CLOSED, START)


def opened() -> Breaker:
    breaker = CLOSED
    for _ in range(3):
        breaker = heard(breaker, FUSE, Report.BAD, START)
    return breaker


def test_so_many_failures_in_the_window_open_it() -> None:
    assert opened() == Breaker(State.OPEN, START, 3)
    slow = CLOSED
    for number in range(10):
        slow = heard(slow, FUSE, Report.BAD, plus(START, 61 * number))
    assert slow.state is State.CLOSED


def test_a_few_failures_among_many_answers_never_open_it() -> None:
    breaker = CLOSED
    for _ in range(100):
        for report in (Report.GOOD, Report.BAD, Report.GOOD):
            breaker = heard(breaker, FUSE, report, START)
    assert breaker.state is State.CLOSED


def test_open_it_lets_nothing_through_until_it_has_cooled_down() -> None:
    assert admit(opened(), FUSE, plus(START, 10)) == (opened(), 20)
    assert heard(opened(), FUSE, Report.GOOD, START) == opened()
    after, wait = admit(opened(), FUSE, plus(START, 30))
    assert (after.state, after.probes, wait) == (State.HALF_OPEN, 1, 0)


def test_so_many_probes_pass_and_close_it() -> None:
    now = plus(START, 30)
    one, _ = admit(opened(), FUSE, now)
    two, _ = admit(one, FUSE, now)
    assert admit(two, FUSE, now) == (two, 30)
    half = heard(two, FUSE, Report.GOOD, now)
    assert half.state is State.HALF_OPEN
    assert heard(half, FUSE, Report.GOOD, now) == Breaker(State.CLOSED, now)


def test_a_probe_that_fails_opens_it_again_and_one_that_says_nothing_is_free_again() -> None:
    now = plus(START, 30)
    one, _ = admit(opened(), FUSE, now)
    assert heard(one, FUSE, Report.BAD, now) == Breaker(State.OPEN, now, 3)
    assert heard(one, FUSE, Report.NOTHING, now).probes == 0


def test_probes_that_nobody_reports_make_room_after_a_cool_down() -> None:
    now = plus(START, 30)
    breaker, _ = admit(admit(opened(), FUSE, now)[0], FUSE, now)
    later, wait = admit(breaker, FUSE, plus(now, 30))
    assert (later.state, later.probes, wait) == (State.HALF_OPEN, 1, 0)


@pytest.mark.parametrize("failures", range(1, 9))
def test_no_agent_alone_opens_it(failures: int) -> None:
    fuse = Fuse(failures=failures, window=60, cool_down=30)
    alone = CLOSED
    for number in range(100):
        alone = heard(alone, fuse, Report.DOUBT, plus(START, number % 50), "agt_1")
    assert alone.state is State.CLOSED
    for _ in range(failures):
        alone = heard(alone, fuse, Report.DOUBT, START, "agt_2")
    assert (alone.state is State.OPEN) is (failures > 1)
    assert heard(alone, fuse, Report.BAD, START, "agt_1").state is State.OPEN


def test_no_agent_alone_keeps_it_open() -> None:
    now = plus(START, 30)
    one, _ = admit(opened(), FUSE, now)
    again = heard(one, FUSE, Report.DOUBT, now, "agt_1")
    assert again.state is State.OPEN
    two, _ = admit(again, FUSE, plus(now, 30))
    free = heard(two, FUSE, Report.DOUBT, plus(now, 30), "agt_1")
    assert (free.state, free.probes) == (State.HALF_OPEN, 0)
    assert heard(two, FUSE, Report.DOUBT, plus(now, 30), "agt_2").state is State.OPEN
    assert heard(two, FUSE, Report.BAD, plus(now, 30), "agt_1").state is State.OPEN


def test_without_a_threshold_it_is_not_there() -> None:
    off = Fuse(failures=0)
    assert heard(CLOSED, off, Report.BAD, START) == CLOSED
    assert wait_of(opened(), off, START) == 0


@given(
    probes=st.integers(1, 4),
    acts=st.lists(st.tuples(st.sampled_from([*Report, "admit"]), st.integers(-40, 40))),
)
def test_it_stands_any_order_of_things_and_any_clock(
    probes: int, acts: list[tuple[Report | str, int]]
) -> None:
    fuse = Fuse(3, 60, 30, probes)
    breaker, now = CLOSED, START
    for act, step in acts:
        now = plus(now, step)
        if isinstance(act, Report):
            breaker = heard(breaker, fuse, act, now)
        else:
            breaker, wait = admit(breaker, fuse, now)
            assert 0 <= wait <= fuse.cool_down
        assert 0 <= breaker.passed <= breaker.probes <= fuse.probes + breaker.passed
        assert breaker.state is not State.CLOSED or breaker.failures < fuse.failures


def test_what_reports_mean() -> None:
    assert report_of_status(404, errors_count=True) is Report.GOOD
    assert report_of_status(429, errors_count=True) is Report.GOOD
    assert report_of_status(503, errors_count=True) is Report.DOUBT
    assert report_of_status(503, errors_count=False) is Report.GOOD
    assert report_of_problem(NotStarted("connect_failed", "")) is Report.BAD
    assert report_of_problem(NotStarted("lease_lost", "")) is Report.NOTHING
    assert report_of_problem(NotStarted("no_grant", "")) is Report.NOTHING
    assert report_of_problem(Ambiguous("upstream_timeout", "")) is Report.DOUBT
    assert report_of_problem(Ambiguous("caller_left", "")) is Report.NOTHING
