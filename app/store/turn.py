"""Turns at SQLite's one write lock, for the processes of one host that share a database.

SQLite waits for its lock in pauses that grow to a tenth of a second, while a busy process that
gives it back takes it again within microseconds: under load the others starve for seconds.
"""

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

_PATIENCE: Final = 5.0
_PAUSE: Final = 0.0003
_SUFFIX: Final = "-turn"


class Turn:
    """A lock on a file beside a SQLite database; of PostgreSQL everybody has the turn.

    It only orders. After five seconds (a stopped process may hold it) it is waited for no more,
    and SQLite's own lock, which guards the data, decides alone.
    """

    def __init__(self, engine: Engine) -> None:
        """Open the file; it is its owner's only, as the database is (threat T68)."""
        self._file = None
        if engine.dialect.name == "sqlite":
            path = Path(f"{engine.url.database}{_SUFFIX}")
            path.touch(mode=0o600)
            self._file = path.open("rb")

    @contextmanager
    def taken(self) -> Generator[None, None, None]:
        """Wait for the turn, and give it to the next at the end."""
        end = time.monotonic() + _PATIENCE
        while not self._try() and time.monotonic() < end:
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
