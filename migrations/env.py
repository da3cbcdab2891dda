"""Alembic's entry: runs on the connection that ``app.store.migrate`` hands over."""

from alembic import context
from sqlmodel import SQLModel

from app.store import (
    tables,
    tables_bodies,
    tables_bundles,
    tables_directory,
    tables_limits,
    tables_notices,
)

# Importing them registers the tables.
assert tables.RequestRow
assert tables_bundles.RequestItemRow
assert tables_directory.AgentRow
assert tables_limits.LevelRow
assert tables_notices.DeliveryRow
assert tables_bodies.BodyRow

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,
)
context.run_migrations()
