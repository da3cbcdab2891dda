"""Statements about requests: the sweeps look at what is due alone, however many rows there are."""

import sqlite3
from pathlib import Path

import pytest

from app.store.requests import _DUE
from tests.support.templates import prepare

pytestmark = pytest.mark.requirement("EXE-1")

INDEXES = {
    "expire": "ix_requests_due", "escalate": "ix_requests_escalate",
    "lapse": "ix_requests_grant", "lose": "ix_requests_lease",
}  # fmt: skip


@pytest.mark.parametrize("what", _DUE)
def test_a_sweep_reads_what_is_due_alone(tmp_path: Path, what: str) -> None:
    prepare(f"sqlite:///{tmp_path / 'x.db'}")
    statement = _DUE[what]
    given = statement.params({"now": 1, "most": 100})
    with sqlite3.connect(tmp_path / "x.db") as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", dict(given)).fetchall()
    connection.close()
    (step,) = (row[3] for row in plan)
    assert step.startswith(f"SEARCH requests USING INDEX {INDEXES[what]} ")
