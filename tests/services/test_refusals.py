"""Refusals stand in the record, and a flood of them does not fill it."""

import pytest

from app.core.instant import SECOND, Instant
from app.services.refusals import MOST, Refusals

pytestmark = pytest.mark.requirement("AUD-1", "T67")


def test_a_flood_of_failures_is_counted_not_written() -> None:
    refusals, now = Refusals(), Instant(1_700_000_000 * SECOND)
    written = [
        refusals.admit({"code": "invalid_key", "from": f"10.0.0.{n}"}, now) for n in range(200)
    ]
    assert sum(entry is not None for entry in written) == MOST
    first = {"code": "invalid_key", "from": "10.0.0.1"}
    later = refusals.admit(first, Instant(now + 60 * SECOND))
    assert later == {**first, "left_out_before": 200 - MOST}
    assert refusals.admit(first, Instant(now + 61 * SECOND)) is None


def test_a_unit_that_is_run_again_writes_what_it_would_have_written() -> None:
    refusals, now = Refusals(), Instant(1_700_000_000 * SECOND)
    details, one, other = {"request": "req_1"}, object(), object()
    first = refusals.admit(details, now, one)
    assert first == {**details, "left_out_before": 0}
    assert refusals.admit(details, now, one) == first
    assert refusals.admit(details, now, other) is None
    later = refusals.admit(details, Instant(now + 60 * SECOND), other)
    assert later == {**details, "left_out_before": 1}
    assert refusals.admit(details, Instant(now + 60 * SECOND), other) == later
