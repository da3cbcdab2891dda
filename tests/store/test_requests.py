"""Statements about requests: the sweeps look at what is due alone, however many rows there are."""

import sqlite3
from pathlib import Path

import pytest

from app.store import requests
from app.store.request_due import DUE
from app.store.sql import Sql
from tests.support.templates import prepare

pytestmark = pytest.mark.requirement("EXE-1")

INDEXES = {
    "expire": "ix_requests_due", "escalate": "ix_requests_escalate",
    "lapse": "ix_requests_grant", "lose": "ix_requests_lease",
}  # fmt: skip


def plan_of(folder: Path, statement: Sql, **given: object) -> str:
    """Return the one step that SQLite takes for a statement."""
    prepare(f"sqlite:///{folder / 'x.db'}")
    with sqlite3.connect(folder / "x.db") as connection:
        explain = f"EXPLAIN QUERY PLAN {statement.sqlite}"
        plan = connection.execute(explain, dict(statement.params(given))).fetchall()
    connection.close()
    (step,) = (row[3] for row in plan)
    return str(step)


@pytest.mark.parametrize("what", DUE)
def test_a_sweep_reads_what_is_due_alone(tmp_path: Path, what: str) -> None:
    step = plan_of(tmp_path, DUE[what], now=1, most=100)
    assert step.startswith(f"SEARCH requests USING INDEX {INDEXES[what]} ")


@pytest.mark.requirement("REQ-7")
def test_identical_requests_are_found_by_the_beginning_of_their_digest(tmp_path: Path) -> None:
    given = {"beginning": "0" * 16, "agent_id": "agt_x", "now": 1}
    step = plan_of(tmp_path, requests._BEGUN, **given)  # pyright: ignore[reportPrivateUsage]
    assert step.startswith("SEARCH requests USING INDEX ix_requests_identical ")
