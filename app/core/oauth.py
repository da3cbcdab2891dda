"""What a service's OAuth 2 endpoints are (RFC 6749, RFC 7636), as presets and people give them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ClientAuth(StrEnum):
    """How the client shows itself at the token endpoint (RFC 6749 section 2.3.1)."""

    BASIC = "basic"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class OAuthEndpoints:
    """Where people consent and where tokens come from.

    :ivar authorize_url: page of consent; empty where only client credentials are used.
    :ivar token_url: where codes and refresh tokens are exchanged.
    :ivar scopes: asked for at consent, in this order.
    :ivar pkce: whether the service takes PKCE (S256); it is sent unless this says no.
    :ivar extra: further parameters of the consent page, such as ``access_type=offline``.
    """

    authorize_url: str
    token_url: str
    scopes: tuple[str, ...] = ()
    client_auth: ClientAuth = ClientAuth.BODY
    pkce: bool = True
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
