"""Calls to a token endpoint as values, and what its answers mean (RFC 6749 sections 5 and 6)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.errors import MalformedJson
from app.core.json_types import JsonObject
from app.core.oauth import ClientAuth, OAuthClient
from app.core.redaction import MIN_SECRET_LENGTH
from app.core.strict_json import parse_json

MAX_TOKEN: Final = 8192
"""Longest token that is taken, in characters."""

MAX_LIFE: Final = 366 * 86_400
"""Longest life of a token that is believed, in seconds."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}")
_OK: Final = (200, 201)
_UNAUTHORIZED: Final = 401
_ENDED: Final = frozenset({
    "invalid_grant", "invalid_client", "unauthorized_client", "bad_refresh_token",
    "incorrect_client_credentials",
})  # fmt: skip
"""Errors that stay until a person does something; the last two are GitHub's words for them."""


class TokenRefused(Exception):
    """The service said definitely no; a person must connect again, or mend the client.

    :ivar code: the error's code as the service gave it, when it has the form of one.
    """

    def __init__(self, code: str) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code
        self.detail = f"the service refused: {code}"


class TokenUnavailable(Exception):
    """No token came, and nothing says that none ever will; the text is ours, never a secret."""

    def __init__(self, detail: str) -> None:
        """Keep what happened."""
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class TokenCall:
    """One POST to a token or revocation endpoint."""

    url: str
    form: Mapping[str, str] = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    client_auth: ClientAuth
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a token endpoint gave.

    :ivar refresh_token: None when the one before stays.
    :ivar expires_in: seconds, or None when the service did not say.
    :ivar scopes: what was granted; None when it is what was asked.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_in: int | None = None
    scopes: tuple[str, ...] | None = None


def exchange_call(
    client: OAuthClient, secret: str, code: str, redirect_uri: str, verifier: str
) -> TokenCall:
    """Return the call that turns a code into tokens (RFC 6749 section 4.1.3)."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if client.endpoints.pkce:
        form["code_verifier"] = verifier
    return _call(client, secret, client.endpoints.token_url, form)


def refresh_call(client: OAuthClient, secret: str, refresh_token: str) -> TokenCall:
    """Return the call for a new access token (RFC 6749 section 6)."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _call(client, secret, client.endpoints.token_url, form)


def own_call(client: OAuthClient, secret: str) -> TokenCall:
    """Return the call for a token of the client's own (RFC 6749 section 4.4)."""
    form = {"grant_type": "client_credentials", **client.endpoints.extra}
    if client.endpoints.scopes:
        form["scope"] = " ".join(client.endpoints.scopes)
    return _call(client, secret, client.endpoints.token_url, form)


def revoke_call(client: OAuthClient, secret: str, token: str, hint: str) -> TokenCall:
    """Return the call that gives a token back (RFC 7009)."""
    form = {"token": token, "token_type_hint": hint}
    return _call(client, secret, client.endpoints.revoke_url, form)


def _call(client: OAuthClient, secret: str, url: str, form: Mapping[str, str]) -> TokenCall:
    auth = client.endpoints.client_auth
    return TokenCall(url, form, client.client_id, secret, auth, client.networks)


def read_answer(status: int, body: bytes) -> TokenSet:
    """Return the tokens of an answer.

    An ``error`` member counts whatever the status: some services answer 200 with one.

    :raises TokenRefused: the grant or the client is no longer good.
    :raises TokenUnavailable: anything else but tokens.
    """
    document = _document(body)
    code = document.get("error")
    named = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    if named in _ENDED or status == _UNAUTHORIZED:
        raise TokenRefused(named or "401")
    if named:
        raise TokenUnavailable(f"the service answered {status} with the error {named}")
    if status not in _OK or code is not None:
        raise TokenUnavailable(f"the service answered {status}")
    return _tokens(document)


def _document(body: bytes) -> JsonObject:
    try:
        found = parse_json(body)
    except MalformedJson:
        return {}
    return found if isinstance(found, dict) else {}


def _tokens(document: JsonObject) -> TokenSet:
    access, refresh = document.get("access_token"), document.get("refresh_token")
    kind = document.get("token_type")
    if not isinstance(access, str) or not _is_token(access):
        raise TokenUnavailable("the service answered without a usable access token")
    if isinstance(kind, str) and kind.lower() not in ("bearer", ""):
        raise TokenUnavailable("the service gave a token that is not a bearer token")
    if refresh in (None, ""):
        refresh = None
    elif not isinstance(refresh, str) or not _is_token(refresh):
        raise TokenUnavailable("the service answered with an unusable refresh token")
    return TokenSet(access, refresh, _seconds(document.get("expires_in")), _scopes(document))


def _is_token(text: str) -> bool:
    return MIN_SECRET_LENGTH <= len(text) <= MAX_TOKEN and bool(_TOKEN.fullmatch(text))


def _seconds(value: object) -> int | None:
    """Return a life in seconds; some services write it as a text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 12:  # noqa: PLR2004 - a number that fits
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return int(min(value, MAX_LIFE))


def _scopes(document: JsonObject) -> tuple[str, ...] | None:
    """Return the granted scopes; separated by blanks, or by commas at some services."""
    text = document.get("scope")
    if not isinstance(text, str):
        return None
    return tuple(dict.fromkeys(re.findall(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+", text)))[:64]
