"""Redactors that are at hand: what is injected again soon need not be prepared again."""

import asyncio
from typing import Final

from app.core.redaction import Redactor

KEPT_SECONDS: Final = 60.0
"""How long a redactor, and with it the secrets that it looks for, outlives its last use; it is
dropped at the next one."""

_MOST: Final = 64


class Redactors:
    """The redactors of the last calls, by their secrets."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: dict[tuple[str, ...], tuple[Redactor, float]] = {}

    def of(self, secrets: tuple[str, ...]) -> Redactor:
        """Return the redactor of these secrets."""
        now = asyncio.get_running_loop().time()
        found = self._kept.pop(secrets, None)
        redactor = Redactor(secrets) if found is None else found[0]
        self._kept[secrets] = (redactor, now)
        for key, (_, used) in list(self._kept.items()):
            if now - used <= KEPT_SECONDS and len(self._kept) <= _MOST:
                break
            del self._kept[key]
        return redactor
