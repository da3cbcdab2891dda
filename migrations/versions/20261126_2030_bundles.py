"""Calls of bundles, their answers, and what a vote leaves out.

Revision: 20261126_2030
Follows: 20261126_2000
"""

import sqlalchemy as sa
from alembic import op

revision = "20261126_2030"
down_revision = "20261126_2010"
branch_labels = None
depends_on = None

STATUSES = "'waiting', 'excluded', 'sent', 'succeeded', 'failed', 'unknown', 'skipped'"
GUARDS = {
    "final": "OLD.status IN ('succeeded', 'failed', 'excluded', 'skipped') OR "
    "(OLD.status = 'unknown' AND NEW.status NOT IN ('succeeded', 'failed'))",
    "bound": "NEW.request_id <> OLD.request_id OR NEW.number <> OLD.number OR "
    "NEW.target_id <> OLD.target_id",
}
"""Changes of a call that are refused, by the name of their trigger."""


def upgrade() -> None:
    op.add_column("votes", sa.Column("excluded", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "request_items",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.CheckConstraint(f"status IN ({STATUSES})", name="ck_request_items_status"),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"]),
        sa.PrimaryKeyConstraint("request_id", "number"),
    )
    op.create_index("ix_request_items_target", "request_items", ["target_id"])
    op.create_table(
        "item_results",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"]),
        sa.PrimaryKeyConstraint("request_id", "number"),
    )
    op.create_index("ix_item_results_expiry", "item_results", ["expires_at"])
    if op.get_bind().dialect.name == "sqlite":
        guard_sqlite()
    else:
        guard_postgresql()


def guard_sqlite() -> None:
    for name, when in GUARDS.items():
        op.execute(
            f"CREATE TRIGGER request_items_{name} BEFORE UPDATE ON request_items WHEN {when} "
            f"BEGIN SELECT RAISE(ABORT, 'a call does not change that way'); END"
        )
    op.execute(
        "CREATE TRIGGER request_items_kept BEFORE DELETE ON request_items "
        "BEGIN SELECT RAISE(ABORT, 'calls are kept'); END"
    )
    op.execute(
        "CREATE TRIGGER request_items_once BEFORE INSERT ON request_items "
        "WHEN EXISTS (SELECT 1 FROM request_items WHERE request_id = NEW.request_id "
        "AND number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'request_items is written once'); END"
    )


def guard_postgresql() -> None:
    for name, when in GUARDS.items():
        op.execute(
            f"CREATE TRIGGER request_items_{name} BEFORE UPDATE ON request_items FOR EACH ROW "
            f"WHEN ({when}) EXECUTE FUNCTION assentry_refuse()"
        )
    for event, each in (("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER request_items_kept_{event.lower()} BEFORE {event} ON request_items "
            f"FOR EACH {each} EXECUTE FUNCTION assentry_refuse()"
        )


def downgrade() -> None:
    op.drop_table("item_results")
    op.drop_table("request_items")
    op.drop_column("votes", "excluded")
