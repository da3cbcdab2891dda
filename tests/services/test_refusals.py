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
