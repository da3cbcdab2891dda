"""Smaller indexes of requests: rows without a target or a next step, and half of a digest, go.

Revision: 20261127_1400
Follows: 20261126_2345
"""

import sqlalchemy as sa
from alembic import op

revision = "20261127_1400"
down_revision = "20261126_2345"
branch_labels = None
depends_on = None


def remade(name: str, columns: list[str | sa.TextClause], where: str | None) -> None:
    """Drop an index and make it again with another condition."""
    op.drop_index(name, "requests")
    condition = None if where is None else sa.text(where)
    op.create_index(name, "requests", columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    remade("ix_requests_target", ["target_id", "id"], "target_id IS NOT NULL")
    remade(
        "ix_requests_escalate", ["escalate_at"], "status = 'pending' AND escalate_at IS NOT NULL"
    )
    remade("ix_requests_identical", [sa.text("substr(digest, 1, 16)")], "status = 'pending'")


def downgrade() -> None:
    remade("ix_requests_target", ["target_id", "id"], None)
    remade("ix_requests_escalate", ["escalate_at"], "status = 'pending'")
    remade("ix_requests_identical", ["agent_id", "digest"], "status = 'pending'")
