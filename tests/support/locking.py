"""SQLite's write lock in other hands."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from app.store.engine import Store


@contextmanager
def locked(store: Store) -> Generator[None, None, None]:
    """Hold a database's write lock, as a process would that knows nothing of turns.

    What is asked for meanwhile is one group.
    """
    other = sqlite3.connect(str(store.database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()
