"""Bodies that are kept apart from their requests, in chunks.

Revision: 20261126_2040
Follows: 20261126_2030
"""

import sqlalchemy as sa
from alembic import op

revision = "20261126_2040"
down_revision = "20261126_2030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bodies",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_bodies_request", "bodies", ["request_id"])
    op.create_table(
        "body_chunks",
        sa.Column("body_id", sa.String(), sa.ForeignKey("bodies.id"), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("body_chunks")
    op.drop_table("bodies")
