"""Several credentials of a target by rules; items with domains; what a credential adds.

Revision: 20261126_2010
Follows: 20261126_2000
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "20261126_2010"
down_revision = "20261126_2000"
branch_labels = None
depends_on = None

COLUMNS = ("domains", "public_fields", "adds")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("credentials", sa.Column(name, sa.String(), nullable=False,
                                               server_default="[]"))  # fmt: skip
    op.create_table(
        "target_credentials",
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("credential_id", sa.String(), nullable=False),
        sa.Column("methods", sa.String(), nullable=False),
        sa.Column("paths", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"]),
        sa.ForeignKeyConstraint(["credential_id"], ["credentials.id"]),
        sa.PrimaryKeyConstraint("target_id", "position"),
    )
    op.create_index("ix_target_credentials_credential_id", "target_credentials", ["credential_id"])
    say_what_is_added()


def say_what_is_added() -> None:
    """Fill in what the credentials there are add; until now that was told from their fields."""
    database = op.get_bind()
    fields: dict[str, list[str]] = {}
    for credential, name in database.execute(
        sa.text("SELECT credential_id, name FROM vault_fields ORDER BY name")
    ):
        fields.setdefault(credential, []).append(name)
    for credential, kind in database.execute(sa.text("SELECT id, kind FROM credentials")).all():
        forms = {"headers": "{}: ", "query": "?{}="}
        form = forms.get(kind)
        adds = [form.format(name) for name in fields.get(credential, [])] if form else []
        database.execute(
            sa.text("UPDATE credentials SET adds = :adds WHERE id = :id"),
            {"adds": json.dumps(adds if form else ["Authorization: "]), "id": credential},
        )


def downgrade() -> None:
    op.drop_table("target_credentials")
    for name in COLUMNS:
        op.drop_column("credentials", name)
