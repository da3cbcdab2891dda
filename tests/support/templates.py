"""Fresh databases that need no migration: copies of one that this process migrated before.

The migrations took most of the time of the tests that open an installation. Those of
``tests/store/test_migrate.py`` and of the commands still run them from nothing.
"""

import tempfile
from functools import cache
from pathlib import Path

from app.store.database import Database
from app.store.migrate import migrate
from tests.support.postgres import PostgresServer


def prepare(url: str) -> None:
    """Bring a database to this version: an empty one by a copy, any other by its migrations."""
    database = Database(url)
    if database.kind == "sqlite":
        path = Path(database.url.database or "")
        if not path.stat().st_size:
            path.write_bytes(_migrated_file())
    else:
        PostgresServer.of(url).fill(url, _migrated_database)
    migrate(database)


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        migrate(Database(f"sqlite:///{path}"))
        return path.read_bytes()


@cache
def _migrated_database(server: PostgresServer) -> str:
    name = server.create()
    migrate(Database(server.url(name)))
    return name
