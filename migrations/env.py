"""Alembic's entry: runs on the connection that ``app.store.migrate`` hands over."""

from alembic import context
from sqlmodel import SQLModel

import app.store.tables
import app.store.tables_directory  # noqa: F401 - tables register themselves on import

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,
)
context.run_migrations()
