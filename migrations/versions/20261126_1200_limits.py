"""Token buckets, circuit breakers, and the rate of an agent.

Revision: 20261126_1200
Follows: 20261121_0000
"""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1200"
down_revision = "20261121_0000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("rate", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "levels",
        sa.Column("bucket", sa.String(), primary_key=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "breakers",
        sa.Column("target_id", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("breakers")
    op.drop_table("levels")
    op.drop_column("agents", "rate")
