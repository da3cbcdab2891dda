"""The sliding window against the plain definition, and the token bucket against its promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bucket import (
    SLOT_SECONDS,
    Level,
    Rate,
    check_rate,
    oldest_slot,
    parse_rate,
    slot_of,
    take,
    window,
)
from app.core.errors import InvalidField
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


RATES = st.builds(Rate, st.integers(1, 20), st.sampled_from([1, 7, 60, 3600]))


@pytest.mark.requirement("LIM-1")
@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [("60/minute", 60, 60), ("1/second", 1, 1), ("5/90", 5, 90), ("999999/day", 999_999, 86_400)],
)
def test_a_rate_is_written_as_a_number_and_a_time(text: str, limit: int, seconds: int) -> None:
    assert parse_rate(text) == Rate(limit, seconds)
    assert str(parse_rate(text)) == text
    check_rate(text, "/rate")
    check_rate("", "/rate")


@pytest.mark.requirement("LIM-1")
@pytest.mark.parametrize("text", ["60", "0/minute", "60/week", "-1/second", "1/0", "1/99999", " "])
def test_what_is_no_rate_is_refused_and_says_how_it_is_written(text: str) -> None:
    with pytest.raises(InvalidField, match="60/minute") as refused:
        check_rate(text, "/rate")
    assert refused.value.pointer == "/rate"


@pytest.mark.requirement("LIM-1", "T66")
@given(rate=RATES, steps=st.lists(st.integers(-90 * SECOND, 90 * SECOND), max_size=80))
def test_a_bucket_never_grants_more_than_it_held_and_got(rate: Rate, steps: list[int]) -> None:
    now, level, granted, forward = START, None, 0, 0
    for step in steps:
        now = Instant(now + step)
        forward += max(0, step)
        level, wait = take(rate, level, now)
        granted += wait == 0
        assert wait >= 0 and 0 <= level.used <= rate.limit * rate.seconds * SECOND
        most = rate.limit + forward * rate.limit / (rate.seconds * SECOND)
        assert granted <= most


@pytest.mark.requirement("LIM-1")
@given(
    rate=RATES,
    used=st.integers(0, 10**15),
    ago=st.integers(-(10**10), 10**10),
)
def test_waiting_as_told_is_enough(rate: Rate, used: int, ago: int) -> None:
    most = rate.limit * rate.seconds * SECOND
    level, wait = take(rate, Level(min(used, most), Instant(START - ago)), START)
    if wait:
        assert wait <= 2 * rate.seconds + 1
        assert take(rate, level, plus(START, wait))[1] == 0


@pytest.mark.requirement("LIM-1")
def test_a_full_bucket_gives_its_calls_at_once_and_then_one_by_one() -> None:
    rate, level = Rate(60, 60), None
    for _ in range(60):
        level, wait = take(rate, level, START)
        assert not wait
    assert take(rate, level, START)[1] == 1
    level, wait = take(rate, level, plus(START, 1))
    assert not wait and take(rate, level, plus(START, 1))[1] == 1
