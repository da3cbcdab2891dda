"""Whether the database still guards what is written once, and whether lines of the record lack."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, text

from app.store.audit import A

if TYPE_CHECKING:
    from app.store.tx import Tx

_BOTH: Final = frozenset(
    {
        "audit_unchanged", "policy_versions_unchanged", "request_items_bound",
        "request_items_final", "requests_expiry", "requests_final", "requests_grant",
        "requests_kept", "requests_submitted", "votes_unchanged",
    }
)  # fmt: skip
GUARDS: Final = {
    "sqlite": _BOTH | {
        "audit_kept", "audit_once", "policy_versions_kept", "policy_versions_once",
        "request_items_kept", "request_items_once", "requests_once", "votes_kept", "votes_once",
    },
    "postgresql": _BOTH | {
        "audit_not_emptied", "policy_versions_not_emptied", "request_items_kept_delete",
        "request_items_kept_truncate", "requests_not_emptied", "votes_not_emptied",
    },
}  # fmt: skip
"""Names of the triggers that refuse changes of what is written once, by engine."""

_PRESENT: Final = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE c.relnamespace = current_schema()::regnamespace "
        "AND NOT tgisinternal AND tgenabled IN ('O', 'A')"
    ),
}


def missing_guards(tx: "Tx") -> list[str]:
    """Return the names of triggers that are gone, or switched off."""
    present = {str(row[0]) for row in tx.query(text(_PRESENT[tx.engine]))}
    return sorted(GUARDS[tx.engine] - present)


def missing_lines(tx: "Tx") -> int:
    """Return how many lines of the record were taken away.

    SQLite numbers them without a gap and keeps the last number apart. PostgreSQL's numbers have
    gaps wherever a transaction was given up, so that nothing is said there.
    """
    if tx.engine != "sqlite":
        return 0
    counted = tx.query(select(func.count()).select_from(A)).scalar_one()
    given = tx.query(text("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit'")).scalar()
    return max(0, int(given or 0) - int(counted))
