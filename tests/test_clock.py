"""The clock and the ids: sorted by time, not to be guessed, spelled in Crockford's base 32."""

import multiprocessing
import re
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import Ids, SystemClock, random_hex, since, time_part
from app.core.instant import SECOND, Instant
from tests.support.world import FakeClock

SHAPE = re.compile(r"req_[0-9a-hjkmnp-tv-z]{26}")


@pytest.mark.requirement("T71")
def test_the_clock_follows_its_offset() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.offset = 3600 * SECOND
    assert before + 3600 * SECOND <= clock.now() < before + 3700 * SECOND


@pytest.mark.requirement("T71")
def test_ids_bear_the_time_of_the_given_clock() -> None:
    clock = FakeClock()
    assert Ids(clock).new("req")[4:14] == time_part(clock.now())
    at = Instant(clock.now() + SECOND)
    assert Ids(clock).new("req", at)[4:14] == time_part(at) > time_part(clock.now())


@given(st.lists(st.integers(0, 2**41 * 1000), min_size=2, max_size=10))
def test_time_parts_sort_like_times(times: list[int]) -> None:
    spelled = [time_part(Instant(at)) for at in sorted(times)]
    assert spelled == sorted(spelled)
    assert all(len(part) == 10 for part in spelled)


@pytest.mark.requirement("REQ-3")
def test_ids_of_one_instant_differ_and_sort() -> None:
    ids = Ids(FakeClock())
    made = [ids.new("req") for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(SHAPE.fullmatch(one) for one in made)


def test_ids_of_several_threads_differ() -> None:
    """Threads that write to PostgreSQL make some, while the loop makes others."""
    ids, made, interval = Ids(FakeClock()), list[str](), sys.getswitchinterval()

    def make() -> None:
        made.extend([ids.new("req") for _ in range(40_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(set(made)) == len(made) == 160_000


@pytest.mark.requirement("T25")
def test_ids_cannot_be_counted_up() -> None:
    ids = Ids(FakeClock())
    tails = [ids.new("req")[14:] for _ in range(100)]
    steps = {one[-9:] for one in tails}
    assert len(steps) == 100
    assert len({random_hex() for _ in range(1000)}) == 1000


def write_id(path: str) -> None:
    Path(path).write_text(random_hex(), encoding="ascii")


@pytest.mark.requirement("T25")
def test_a_forked_process_does_not_repeat_its_parent(tmp_path: Path) -> None:
    random_hex()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=write_id, args=(str(tmp_path / str(n)),)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(20)
    found = [path.read_text("ascii") for path in tmp_path.iterdir()]
    assert len({*found, random_hex()}) == 4


def test_a_clock_goes_on_from_an_instant() -> None:
    clock = since(Instant(5))
    first, second = clock(), clock()
    assert 5 <= first <= second < 60_000_000
