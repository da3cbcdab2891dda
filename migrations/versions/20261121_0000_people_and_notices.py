"""Routes with seats and ladders, accounts in channels, deliveries, links and webhooks.

Revision: 20261121_0000
Follows: 20261120_0000
"""

import sqlalchemy as sa
from alembic import op

revision = "20261121_0000"
down_revision = "20261120_0000"
branch_labels = None
depends_on = None

TERMINAL = "'succeeded', 'failed', 'denied', 'expired', 'cancelled'"
GUARDS = {
    "expiry": "NEW.expires_at <> OLD.expires_at",
    "grant": "OLD.valid_until IS NOT NULL AND NEW.valid_until <> OLD.valid_until",
    "final": f"OLD.status IN ({TERMINAL})",
}
"""Changes of a request that are refused, by the name of their trigger."""

KEYS = {
    "requests": ("id",),
    "audit": ("seq",),
    "votes": ("request_id", "person_id"),
    "policy_versions": ("policy_id", "version"),
}
TABLES = (
    "groups", "group_members", "identities", "identity_offers", "delegations", "preferences",
    "deliveries", "delivery_attempts", "links", "webhooks", "events",
)  # fmt: skip


def upgrade() -> None:
    widen_requests()
    guard()
    if op.get_bind().dialect.name == "sqlite":
        guard_against_replacing()
    create_people()
    create_deliveries()
    create_webhooks()


def widen_requests() -> None:
    op.execute("ALTER TABLE requests RENAME COLUMN approvers TO route")
    op.execute("ALTER TABLE idempotency RENAME COLUMN key_id TO agent_id")
    for name in ("denials", "stage"):
        op.add_column("requests", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("requests", sa.Column("escalate_at", sa.BigInteger(), nullable=True))
    op.add_column("votes", sa.Column("assurance", sa.Integer(), nullable=False, server_default="2"))
    op.add_column("votes", sa.Column("display", sa.String(), nullable=False, server_default=""))
    pending = sa.text("status = 'pending'")
    for name, columns in {
        "ix_requests_escalate": ["escalate_at"],
        "ix_requests_identical": ["agent_id", "digest"],
    }.items():
        op.create_index(name, "requests", columns, sqlite_where=pending, postgresql_where=pending)


def guard() -> None:
    """Keep what is over as it is, and the time that a request was given."""
    for name, when in GUARDS.items():
        if op.get_bind().dialect.name == "sqlite":
            op.execute(
                f"CREATE TRIGGER requests_{name} BEFORE UPDATE ON requests WHEN {when} "
                f"BEGIN SELECT RAISE(ABORT, 'a request does not change that way'); END"
            )
        else:
            op.execute(
                f"CREATE TRIGGER requests_{name} BEFORE UPDATE ON requests FOR EACH ROW "
                f"WHEN ({when}) EXECUTE FUNCTION assentry_refuse()"
            )


def guard_against_replacing() -> None:
    """Refuse SQLite's INSERT OR REPLACE, which passes by the triggers on changes."""
    for table, keys in KEYS.items():
        same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_once BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is written once'); END"
        )


def create_people() -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"]),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("group_id", "person_id"),
    )
    op.create_index("ix_group_members_person_id", "group_members", ["person_id"])
    op.create_table(
        "identities",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("channel", "account", name="uq_identities_account"),
    )
    op.create_index("ix_identities_person_id", "identities", ["person_id"])
    op.create_table(
        "identity_offers",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "delegations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("delegate_id", sa.String(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("actions", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.ForeignKeyConstraint(["delegate_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_delegations_person_id", "delegations", ["person_id"])
    op.create_index("ix_delegations_delegate_id", "delegations", ["delegate_id"])
    op.create_table(
        "preferences",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("person_id", "channel"),
    )


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("event_id", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("display", sa.String(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
    )
    due = sa.text("state = 'due'")
    op.create_index(
        "ix_deliveries_due", "deliveries", ["channel", "run_at"],
        sqlite_where=due, postgresql_where=due,
    )  # fmt: skip
    leased = sa.text("lease_until IS NOT NULL")
    op.create_index(
        "ix_deliveries_leased", "deliveries", ["channel", "recipient"],
        sqlite_where=leased, postgresql_where=leased,
    )  # fmt: skip
    op.create_index("ix_deliveries_request", "deliveries", ["request_id", "channel", "recipient"])
    op.create_index("ix_deliveries_state", "deliveries", ["state", "id"])
    op.create_index("ix_deliveries_recipient", "deliveries", ["channel", "recipient", "id"])
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "fence"),
    )
    op.create_index("ix_delivery_attempts_at", "delivery_attempts", ["at"])
    op.create_table(
        "links",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("ix_links_request_id", "links", ["request_id"])


def create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("filters", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("networks", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_request", "events", ["request_id", "seq"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    on = "" if op.get_bind().dialect.name == "sqlite" else " ON requests"
    for name in GUARDS:
        op.execute(f"DROP TRIGGER requests_{name}{on}")
    if not on:
        for table in KEYS:
            op.execute(f"DROP TRIGGER {table}_once")
    op.drop_index("ix_requests_identical", "requests")
    op.drop_index("ix_requests_escalate", "requests")
    for table, column in (("votes", "display"), ("votes", "assurance"),
                          ("requests", "escalate_at"), ("requests", "stage"),
                          ("requests", "denials")):  # fmt: skip
        op.drop_column(table, column)
    op.execute("ALTER TABLE idempotency RENAME COLUMN agent_id TO key_id")
    op.execute("ALTER TABLE requests RENAME COLUMN route TO approvers")
