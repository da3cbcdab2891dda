"""Which agents' calls a breaker counted.

Revision: 20261126_2345
Follows: 20261126_2100
"""

import sqlalchemy as sa
from alembic import op

revision = "20261126_2345"
down_revision = "20261126_2100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("breakers", sa.Column("blame", sa.String(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("breakers", "blame")
