"""Lanes of jobs, and whose turn it is in them.

Revision: 20261126_2100
Follows: 20261126_2000
"""

import sqlalchemy as sa
from alembic import op

revision = "20261126_2100"
down_revision = "20261126_2040"
branch_labels = None
depends_on = None

ASKING = "('notify', 'refresh', 'alarm')"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("lane", sa.String(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("agent_id", sa.String(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("rank", sa.Integer(), nullable=False, server_default="2"))
    op.execute(
        "UPDATE jobs SET agent_id = coalesce((SELECT r.agent_id FROM requests r "
        "WHERE r.id = jobs.request_id), ''), lane = CASE WHEN dead THEN 'dead' "
        f"WHEN kind IN {ASKING} THEN 'ask' WHEN kind = 'announce' THEN 'announce' "
        "WHEN EXISTS (SELECT 1 FROM requests r WHERE r.id = jobs.request_id "
        "AND r.effect = 'review') THEN 'decided' ELSE 'allowed' END"
    )
    op.drop_index("ix_jobs_due", "jobs")
    op.create_index("ix_jobs_due", "jobs", ["lane", "run_at"])
    op.create_index("ix_jobs_turn", "jobs", ["lane", "agent_id", "rank", "run_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_turn", "jobs")
    op.drop_index("ix_jobs_due", "jobs")
    op.create_index("ix_jobs_due", "jobs", ["run_at"])
    op.drop_column("jobs", "rank")
    op.drop_column("jobs", "agent_id")
    op.drop_column("jobs", "lane")
