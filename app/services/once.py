"""What is shown once: a browser carries it, sealed, from the form to the page that shows it.

So a page can be loaded again without its form being sent again, and the secret stands in no
address, no log and no table.
"""

import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.clock import SystemClock
from app.core.instant import SECOND
from app.core.principals import Session
from app.services.sealing import CannotOpen, Sealer

SECONDS: Final = 60
"""Seconds in which the page must be asked for."""

_PURPOSE: Final = "shown once"


@dataclass(frozen=True, slots=True)
class Once:
    """Seals a secret for one session and one page, for a minute."""

    sealer: Sealer
    clock: SystemClock

    def seal(self, session: Session, path: str, secret: str) -> str:
        """Return the text that the browser carries."""
        until = self.clock.now() + SECONDS * SECOND
        sealed = self.sealer.seal(_PURPOSE, _bound(session, path), f"{until} {secret}".encode())
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, session: Session, path: str, carried: str) -> str:
        """Return the secret; an empty text for another session or page, or when it is too late."""
        with suppress(binascii.Error, UnicodeEncodeError, CannotOpen):
            sealed = base64.urlsafe_b64decode(carried.encode("ascii"))
            text = self.sealer.open(_PURPOSE, _bound(session, path), sealed).decode()
            until, _, secret = text.partition(" ")
            return secret if self.clock.now() <= int(until) else ""
        return ""


def _bound(session: Session, path: str) -> str:
    return f"{session.sha256} {path}"
