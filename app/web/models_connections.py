"""The shapes of connections at the wire."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from app.core.connections import STATE_LIFE
from app.core.oauth import ClientAuth, OAuthClient, OAuthEndpoints, OAuthKind
from app.services.connections import Consenting, Listed
from app.web.bodies import Strict
from app.web.models import Out, Text, when

Url = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(min_length=1, max_length=512)]


class ClientIn(Strict):
    """Who we are at a service, and where the service is."""

    kind: Literal["oauth2", "client_credentials"]
    client_id: Short
    token_url: Url
    client_secret: Annotated[str, Meta(max_length=4096)] = ""
    authorize_url: Url = ""
    scopes: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=64)
    ] = []
    client_auth: Literal["basic", "body"] = "body"
    pkce: bool = True
    extra: dict[str, Annotated[str, Meta(max_length=512)]] = {}
    revoke_url: Url = ""
    issuer: Annotated[str, Meta(max_length=512)] = ""
    networks: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []

    def client(self) -> OAuthClient:
        """Return the client as the core has it."""
        urls = OAuthEndpoints(
            self.authorize_url, self.token_url, tuple(self.scopes), ClientAuth(self.client_auth),
            self.pkce, self.extra, self.revoke_url, self.issuer,
        )  # fmt: skip
        return OAuthClient(OAuthKind(self.kind), self.client_id, urls, tuple(self.networks))


class ConnectionIn(ClientIn, kw_only=True):
    """A new connection; a credential of its name is made."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: Text = ""


class ConnectionOut(Out):
    """A connection, without any secret; its id is the credential's.

    ``state`` is `needs_reconnect` after a definite refusal only; trouble with the network shows in
    ``last_error`` and ``failing_since``.
    """

    id: str
    name: str
    kind: Literal["oauth2", "client_credentials"]
    state: Literal["new", "connected", "needs_reconnect"]
    client_id: str
    authorize_url: str
    token_url: str
    revoke_url: str
    scopes: list[str]
    granted: list[str] | None
    targets: list[str]
    expires_at: datetime | None
    refreshed_at: datetime | None
    failing_since: datetime | None
    last_error: str
    error_at: datetime | None

    @classmethod
    def of(cls, item: Listed) -> "ConnectionOut":
        """Return the answer for a connection."""
        one, urls = item.connection, item.connection.client.endpoints
        return cls(
            id=one.credential_id, name=one.name, kind=one.client.kind.value,
            state=one.state.value, client_id=one.client.client_id,
            authorize_url=urls.authorize_url, token_url=urls.token_url,
            revoke_url=urls.revoke_url, scopes=list(urls.scopes),
            granted=None if one.granted is None else list(one.granted),
            targets=list(item.targets), expires_at=when(one.expires_at),
            refreshed_at=when(one.refreshed_at), failing_since=when(one.failing_since),
            last_error=one.last_error, error_at=when(one.error_at),
        )  # fmt: skip


class ConnectionList(Out):
    """All connections by name."""

    items: list[ConnectionOut]


class ConsentOut(Out):
    """Where a person consents: once, within the time, signed in here as the one who began."""

    url: str
    host: str
    expires_in: int

    @classmethod
    def of(cls, begun: Consenting) -> "ConsentOut":
        """Return the answer for a consent that was begun."""
        return cls(url=begun.url, host=begun.host, expires_in=STATE_LIFE)


class DisconnectedOut(Out):
    """The tokens are forgotten; ``revoked`` says whether the service took them back."""

    revoked: bool
