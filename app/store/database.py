"""Opening a database: engines for writing and reading, and the settings that durability needs."""

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from app.core.errors import StoreUnavailable

BUSY_MS: Final = 10_000
_PRIVATE: Final = 0o077


class Database:
    """The address of a database and how to connect to it."""

    def __init__(self, url: str) -> None:
        """Parse the address.

        :param url: ``sqlite:///path`` or ``postgresql://…``.
        :raises StoreUnavailable: for any other kind of database.
        """
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in {"sqlite", "postgresql"}:
            message = f"{backend} is no supported database; use sqlite or postgresql"
            raise StoreUnavailable(message)
        self.kind = backend
        driver = "sqlite+pysqlite" if backend == "sqlite" else "postgresql+psycopg"
        self.url = parsed.set(drivername=driver)
        if self.kind == "sqlite":
            _prepare_file(Path(self.url.database or ""))

    def engine(self, *, writer: bool) -> Engine:
        """Return an engine whose transactions take the write lock at once when ``writer``."""
        if self.kind == "postgresql":
            return create_engine(
                self.url, poolclass=NullPool, hide_parameters=True, pool_pre_ping=False
            )
        engine = create_engine(self.url, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _on_connect)
        if writer:
            event.listen(engine, "begin", _begin_immediate)
        return engine


def _prepare_file(path: Path) -> None:
    """Make the folder and the file readable by their owner only (threat T68)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)
    elif path.stat().st_mode & _PRIVATE:
        path.chmod(0o600)


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        "cache_size=-8000",
        "temp_store=MEMORY",
        "wal_autocheckpoint=4000",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
