"""The first few rows that nobody else holds, found once."""

from typing import Any

from sqlalchemy import Select, select


def found_once(rows: Select[Any]) -> Select[Any]:
    """Return the ids that a query with a limit finds, for an update of these rows.

    A subquery may be run again for each row that it is compared with. One that passes over rows
    which are taken then finds others each time, so that more are updated than the limit says; which
    plan PostgreSQL makes depends on what it knows of the table. What is materialised is found once
    (PostgreSQL and SQLite, "WITH", `AS MATERIALIZED`).
    """
    found = rows.cte("found").prefix_with("MATERIALIZED")
    return select(found.c.id)
