"""Bringing the schema to this version, in process, one at a time under a lock."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.store.database import Database

_LOCK: Final = 0x6173_7365_6E74
"""Number of the advisory lock on PostgreSQL."""


def scripts() -> Path:
    """Return the folder of the migrations: inside an installed wheel, or beside ``app``."""
    here = Path(__file__).resolve().parent
    inside = here / "migrations"
    return inside if inside.is_dir() else here.parent.parent / "migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to a revision; processes that start at once wait for each other."""
    engine = database.engine(writer=False)
    with _exclusive(database), engine.connect() as connection:
        if database.kind == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
            connection.commit()
        try:
            _run(connection, revision, down=False)
        finally:
            if database.kind == "postgresql":
                connection.rollback()
                connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
                connection.commit()
    engine.dispose()


def downgrade(database: Database, revision: str) -> None:
    """Go back to a revision, for tests and emergencies."""
    engine = database.engine(writer=False)
    with _exclusive(database), engine.connect() as connection:
        _run(connection, revision, down=True)
    engine.dispose()


def current(database: Database) -> str | None:
    """Return the revision that the database is at, or None before the first."""
    engine = database.engine(writer=False)
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return revision


def head() -> str:
    """Return the revision of this version."""
    newest = ScriptDirectory(str(scripts())).get_current_head()
    assert newest is not None
    return newest


def _run(connection: Connection, revision: str, *, down: bool) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.attributes["connection"] = connection
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    (command.downgrade if down else command.upgrade)(config, revision)
    connection.commit()


@contextmanager
def _exclusive(database: Database) -> Generator[None, None, None]:
    """Hold a lock file beside a SQLite database; PostgreSQL has its own lock."""
    if database.kind != "sqlite":
        yield
        return
    path = Path(f"{database.url.database}.lock")
    with path.open("w", encoding="ascii") as file:
        path.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
