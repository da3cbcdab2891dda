"""What a service's OAuth 2 endpoints are (RFC 6749, RFC 7636), as presets and people give them."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from app.core.addresses import parse_networks
from app.core.checks import all_of
from app.core.errors import InvalidField

MAX_SCOPES: Final = 64
MAX_EXTRA: Final = 16
_MAX_TEXT: Final = 2000
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_TEXT: Final = re.compile(r"[\x20-\x7e]{1,512}")
_RESERVED: Final = frozenset({
    "client_id", "client_secret", "code", "code_challenge", "code_challenge_method",
    "code_verifier", "grant_type", "redirect_uri", "refresh_token", "response_mode",
    "response_type", "scope", "state",
})  # fmt: skip
"""Parameters that are ours alone."""


class ClientAuth(StrEnum):
    """How the client shows itself at the token endpoint (RFC 6749 section 2.3.1)."""

    BASIC = "basic"
    BODY = "body"


class OAuthKind(StrEnum):
    """The kinds of credentials whose tokens come from a token endpoint and end."""

    OAUTH2 = "oauth2"
    CLIENT_CREDENTIALS = "client_credentials"


def is_oauth(kind: str) -> bool:
    """Whether a credential's kind is one of :class:`OAuthKind`."""
    return kind in frozenset(OAuthKind)


@dataclass(frozen=True, slots=True)
class OAuthEndpoints:
    """Where people consent and where tokens come from.

    :ivar authorize_url: page of consent; empty where only client credentials are used.
    :ivar token_url: where codes and refresh tokens are exchanged.
    :ivar scopes: asked for at consent, in this order.
    :ivar pkce: whether the service takes PKCE (S256); it is sent unless this says no.
    :ivar extra: further parameters of the consent page, such as ``access_type=offline``; with
        client credentials those of the token request, such as ``audience``.
    :ivar revoke_url: where tokens are given back (RFC 7009); empty when there is no such place.
    :ivar issuer: who must have answered, when the answer names an issuer (RFC 9207).
    """

    authorize_url: str
    token_url: str
    scopes: tuple[str, ...] = ()
    client_auth: ClientAuth = ClientAuth.BODY
    pkce: bool = True
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    revoke_url: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Who we are at a service, and where the service is.

    :ivar networks: CIDRs of private networks that its endpoints may be in (T49).
    """

    kind: OAuthKind
    client_id: str
    endpoints: OAuthEndpoints
    networks: tuple[str, ...] = ()


def checked(client: OAuthClient) -> None:
    """Refuse a client that cannot work or is not safe.

    :raises InvalidField: with a pointer to what must change.
    """
    urls, inside = client.endpoints, bool(client.networks)
    all_of(
        lambda: _check_client_id(client.client_id),
        lambda: parse_networks(client.networks),
        lambda: _check_url(urls.token_url, "/token_url", inside=inside),
        lambda: _check_authorize_url(client),
        lambda: _check_revoke_url(urls.revoke_url, inside=inside),
        lambda: _check_issuer(urls.issuer),
        lambda: _check_scopes(urls.scopes),
        lambda: _check_extra(urls.extra),
    )


def _check_client_id(client_id: str) -> None:
    if not _TEXT.fullmatch(client_id):
        _refuse("/client_id", "a client id is up to 512 characters of plain ASCII")


def _check_authorize_url(client: OAuthClient) -> None:
    url = client.endpoints.authorize_url
    if client.kind is OAuthKind.OAUTH2:
        _check_url(url, "/authorize_url", inside=bool(client.networks))
    elif url:
        _refuse("/authorize_url", "with client credentials nobody consents: leave it empty")


def _check_revoke_url(url: str, *, inside: bool) -> None:
    if url:
        _check_url(url, "/revoke_url", inside=inside)


def _check_issuer(issuer: str) -> None:
    if issuer and not _TEXT.fullmatch(issuer):
        _refuse("/issuer", "an issuer is an address of plain ASCII")


def _check_scopes(scopes: Sequence[str]) -> None:
    if len(scopes) > MAX_SCOPES or not all(map(_SCOPE.fullmatch, scopes)):
        _refuse("/scopes", f"give at most {MAX_SCOPES} scopes, without blanks and quotes")


def _refuse(pointer: str, message: str) -> None:
    raise InvalidField(message, pointer=pointer)


def _check_url(url: str, pointer: str, *, inside: bool) -> None:
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    plain = len(url) <= _MAX_TEXT and url.isascii() and url.isprintable() and " " not in url
    if not good or not plain or parts.username is not None or parts.fragment or "\\" in url:
        _refuse(pointer, "write an https address, without user, password and fragment")
    if parts.scheme != "https" and not (inside and parts.scheme == "http"):
        _refuse(pointer, "the address is https; http is for private networks that are named alone")


def _check_extra(extra: Mapping[str, str]) -> None:
    if len(extra) > MAX_EXTRA:
        _refuse("/extra", f"give at most {MAX_EXTRA} parameters")
    for name, value in extra.items():
        if not _TEXT.fullmatch(name) or not _TEXT.fullmatch(value):
            _refuse("/extra", "names and values are short and of plain ASCII")
        if name in _RESERVED:
            _refuse("/extra", f"{name} is set by Assentry itself")


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def consent_url(client: OAuthClient, redirect_uri: str, state: str, verifier: str) -> str:
    """Return the address of the page on which a person consents (RFC 6749 section 4.1.1)."""
    urls = client.endpoints
    parts = urlsplit(urls.authorize_url)
    given = [pair for pair in parse_qsl(parts.query, keep_blank_values=True)
             if pair[0] not in _RESERVED]  # fmt: skip
    asked = {
        "response_type": "code", "client_id": client.client_id, "redirect_uri": redirect_uri,
        "state": state, **urls.extra,
    }  # fmt: skip
    if urls.scopes:
        asked["scope"] = " ".join(urls.scopes)
    if urls.pkce:
        asked |= {"code_challenge": challenge(verifier), "code_challenge_method": "S256"}
    return parts._replace(query=urlencode([*given, *asked.items()])).geturl()
