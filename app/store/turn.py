"""Turns at SQLite's one write lock, for the processes of one host that share a database.

SQLite waits for its lock in pauses that grow to a tenth of a second, while a busy process that
gives it back takes it again within microseconds: under load the others starve for seconds.
"""

import fcntl
import time
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine

_PATIENCE: Final = 5.0
_PAUSE: Final = 0.0003
_SUFFIX: Final = "-turn"
log = structlog.get_logger()


class Turn:
    """A lock on a file beside a SQLite database.

    It only orders. After five seconds (a stopped process may hold it) it is waited for no more,
    and SQLite's own lock, which guards the data, decides alone.
    """

    def __init__(self, engine: Engine) -> None:
        """Open the file; it is its owner's only, as the database is (threat T68)."""
        path = Path(f"{engine.url.database}{_SUFFIX}")
        path.touch(mode=0o600)
        self._file = path.open("rb")

    def try_take(self) -> bool:
        """Take the turn if nobody has it; return whether it was taken."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self) -> None:
        """Wait for the turn."""
        end = time.monotonic() + _PATIENCE
        while not self.try_take() and time.monotonic() < end:
            time.sleep(_PAUSE)

    def give(self) -> None:
        """Give it to the next; where that fails, the others' patience ends by itself."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except (OSError, ValueError) as error:
            log.warning("store_turn_kept", error=type(error).__name__)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
