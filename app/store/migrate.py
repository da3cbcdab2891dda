"""Bringing the schema to this version, in process, one at a time under a lock.

Alembic is loaded when there is something to do; it takes 10 MB that a server never gives back.
"""

import fcntl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core.errors import StoreUnavailable
from app.store.database import Database

_TABLE: Final = "alembic_version"
_LOCK: Final = 0x6173_7365_6E74
"""Number of the advisory lock on PostgreSQL."""


def scripts() -> Path:
    """Return the folder of the migrations: inside an installed wheel, or beside ``app``."""
    here = Path(__file__).resolve().parent
    inside = here / "migrations"
    return inside if inside.is_dir() else here.parent.parent / "migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to a revision; processes that start at once wait for each other.

    :raises StoreUnavailable: the database does not answer, or a newer version made it.
    """
    if revision == "head" and current(database) == head():
        return
    _run(database, revision, "upgrade")


def downgrade(database: Database, revision: str) -> None:
    """Go back to a revision, for tests and emergencies.

    :raises StoreUnavailable: the database does not answer, or a newer version made it.
    """
    _run(database, revision, "downgrade")


def current(database: Database) -> str | None:
    """Return the revision that the database is at, or None before the first.

    :raises StoreUnavailable: the database does not answer.
    """
    with _connected(database) as connection:
        if not inspect(connection).has_table(_TABLE):
            return None
        return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608


def master_keys(database: Database) -> frozenset[str]:
    """Return the ids of the master keys that seal the vault; none before the first migration.

    :raises StoreUnavailable: the database does not answer.
    """
    with _connected(database) as connection:
        if not inspect(connection).has_table("vault_fields"):
            return frozenset()
        rows = connection.execute(text("SELECT DISTINCT master_key FROM vault_fields"))
        return frozenset(str(row[0]) for row in rows)


def head() -> str:
    """Return the revision of this version: the beginning of the last migration's file name."""
    newest = max(path.name for path in (scripts() / "versions").glob("[0-9]*.py"))
    return "_".join(newest.split("_")[:2])


def _run(database: Database, revision: str, what: str) -> None:
    from alembic import command  # noqa: PLC0415 - heavy
    from alembic.config import Config  # noqa: PLC0415 - likewise
    from alembic.util.exc import CommandError  # noqa: PLC0415 - likewise

    step: Callable[[Config, str], None] = getattr(command, what)
    with _file_lock(database), _connected(database) as connection, _advisory_lock(connection):
        config = Config()
        config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
        config.attributes["connection"] = connection
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            step(config, revision)
        except CommandError as error:
            message = f"the database is of another version of Assentry: {error}"
            raise StoreUnavailable(message) from error
        connection.commit()


@contextmanager
def _connected(database: Database) -> Generator[Connection, None, None]:
    engine = database.engine(writer=False)
    try:
        with engine.connect() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        message = f"the database does not answer: {str(error.orig).strip().splitlines()[0]}"
        raise StoreUnavailable(message) from error
    finally:
        engine.dispose()


@contextmanager
def _advisory_lock(connection: Connection) -> Generator[None, None, None]:
    """Hold PostgreSQL's lock; it ends with the connection at the latest."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
    connection.commit()
    yield
    connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
    connection.commit()


@contextmanager
def _file_lock(database: Database) -> Generator[None, None, None]:
    """Hold a lock file beside a SQLite database; PostgreSQL has its own lock."""
    if database.kind != "sqlite":
        yield
        return
    path = Path(f"{database.url.database}.lock")
    with path.open("w", encoding="ascii") as file:
        path.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
