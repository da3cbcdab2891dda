"""Where a connection stands, or was made at once lately: a hint that a call leaves now (EXE-2)."""

import time
from functools import lru_cache
from typing import Final

from app.core.paths import parse_base_url
from workers.executors.http_call import Call

QUICK_SECONDS: Final = 0.1
"""Within these a connection stands, or the address is not one that answers at once."""

_MOST: Final = 1024

_Place = tuple[str, tuple[str, ...]]
"""An origin, and the networks that may be reached there."""


class Standing:
    """Known places; may be asked on another thread, as it looks at the clock alone."""

    def __init__(self, seconds: float) -> None:
        """Remember a place for so many seconds."""
        self._seconds = seconds
        self._known: dict[_Place, float] = {}

    def note(self, call: Call) -> None:
        """Note that a connection for this call stands now, or is left for the next one."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[_place(call)] = time.monotonic()

    def forget(self, call: Call) -> None:
        """Note that none could be made."""
        self._known.pop(_place(call), None)

    def has(self, base_url: str, networks: tuple[str, ...]) -> bool:
        """Whether a connection to this address was noted lately."""
        noted = self._known.get((_origin(base_url), networks))
        return noted is not None and time.monotonic() - noted < self._seconds


def _place(call: Call) -> _Place:
    return f"{call.scheme}://{call.authority}", call.networks


@lru_cache(_MOST)
def _origin(base_url: str) -> str:
    base = parse_base_url(base_url)
    return f"{base.scheme}://{base.authority}"
