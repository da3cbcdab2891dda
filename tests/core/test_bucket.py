"""The sliding window against the plain definition: calls in any sixty seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bucket import SLOT_SECONDS, oldest_slot, slot_of, window
from app.core.instant import SECOND, Instant, plus

START = Instant(1_700_000_000 * SECOND)


@pytest.mark.requirement("KEY-3")
def test_a_first_call_leaves_the_rest() -> None:
    state = window(3, {}, START)
    assert (state.used, state.remaining, state.exceeded) == (1, 2, False)
    assert 60 <= state.reset_seconds <= 60 + SLOT_SECONDS


@pytest.mark.requirement("KEY-3")
def test_what_lies_before_the_window_is_not_counted() -> None:
    oldest = oldest_slot(START)
    assert window(1, {oldest - 1: 100}, START).used == 1
    assert window(1, {oldest: 1}, START).exceeded


@pytest.mark.requirement("KEY-3")
@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.integers(0, 40 * SECOND), min_size=1, max_size=60),
)
def test_no_sixty_seconds_see_more_than_the_limit(limit: int, steps: list[int]) -> None:
    now, counts, passed = START, dict[int, int](), list[Instant]()
    for step in steps:
        now = Instant(now + step)
        state = window(limit, counts, now)
        if not state.exceeded:
            counts[slot_of(now)] = counts.get(slot_of(now), 0) + 1
            passed.append(now)
        assert sum(plus(now, -60) < at <= now for at in passed) <= limit


@pytest.mark.requirement("KEY-3")
@given(
    limit=st.integers(1, 5),
    calls=st.lists(st.integers(0, 60 * SECOND), min_size=5, max_size=30),
)
def test_waiting_as_told_always_helps_and_never_less(limit: int, calls: list[int]) -> None:
    now, counts = START, dict[int, int]()
    for at in sorted(calls):
        now = Instant(START + at)
        if not window(limit, counts, now).exceeded:
            counts[slot_of(now)] = counts.get(slot_of(now), 0) + 1
    state = window(limit, counts, now)
    if state.exceeded:
        assert 1 <= state.reset_seconds <= 60 + SLOT_SECONDS
        assert not window(limit, counts, plus(now, state.reset_seconds)).exceeded
        assert window(limit, counts, Instant(plus(now, state.reset_seconds - 1))).exceeded
