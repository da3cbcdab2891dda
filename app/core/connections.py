"""Connections: what is known of a credential whose tokens end, without any of its secrets."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.instant import SECOND, Instant, plus
from app.core.oauth import OAuthClient, OAuthKind

MARGIN: Final = 60
"""Seconds before its end at which a token is replaced."""

UNSAID_LIFE: Final = 3000
"""Seconds for which a token is used whose service did not say when it ends; if it ends before,
the upstream's 401 says so."""

LEASE: Final = 40
"""Seconds for which one process alone may ask for a new token; longer than any call takes."""

PAUSE: Final = 5
"""Seconds after a failure in which the service is not asked again."""

SETTLED: Final = 30
"""Seconds after a refresh in which an upstream's 401 is not blamed on the token's age: an agent
that provokes them cannot make us ask the service all the time."""

ENDLESS: Final = 10 * 366 * 86_400
"""Seconds that stand for a token that never ends: no end was said, and nothing could replace it."""

STATE_LIFE: Final = 600
"""Seconds that a person has at the page of consent."""


class ConnectionState(StrEnum):
    """How a connection stands; network trouble never changes it."""

    NEW = "new"
    CONNECTED = "connected"
    RECONNECT = "needs_reconnect"


@dataclass(frozen=True, slots=True)
class Connection:
    """A credential of an :class:`OAuthKind`, without its secrets.

    :ivar version: of the credential; grows with every new token.
    :ivar granted: scopes that were granted; None before the first token.
    :ivar expires_at: when the access token ends, or None when there is none.
    :ivar stale: the upstream refused the token before its end.
    :ivar failing_since: the first failure since the last success.
    :ivar lease_until: until when one process asks for a new token; ``fence`` numbers them.
    """

    credential_id: str
    name: str
    version: int
    client: OAuthClient
    state: ConnectionState = ConnectionState.NEW
    granted: tuple[str, ...] | None = None
    expires_at: Instant | None = None
    refreshed_at: Instant | None = None
    stale: bool = False
    failing_since: Instant | None = None
    error_at: Instant | None = None
    last_error: str = ""
    lease_until: Instant | None = None
    fence: int = 0

    def alive(self, now: Instant) -> bool:
        """Whether the access token may be used."""
        return self.expires_at is not None and not self.stale and now < self.expires_at

    def fresh(self, now: Instant) -> bool:
        """Whether the access token need not be replaced yet; a short life has a short margin."""
        if self.expires_at is None or self.refreshed_at is None:
            return False
        life = (self.expires_at - self.refreshed_at) / SECOND
        return self.alive(plus(now, min(MARGIN, life / 4)))

    def may_ask(self, now: Instant) -> bool:
        """Whether a new token may be had without a person, and now."""
        if self.state is ConnectionState.RECONNECT:
            return False
        if self.state is ConnectionState.NEW and self.client.kind is OAuthKind.OAUTH2:
            return False
        return self.error_at is None or plus(self.error_at, PAUSE) <= now

    def leased(self, now: Instant) -> bool:
        """Whether somebody asks for a new token at the moment."""
        return self.lease_until is not None and now < self.lease_until
