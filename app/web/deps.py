"""Who calls: a key in the Authorization header, or a signed-in browser's cookie."""

import ipaddress
import secrets
from typing import Final, cast
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from app.core.errors import (
    AddressForbidden,
    CrossOrigin,
    InvalidKey,
    RateLimited,
    Unauthenticated,
)
from app.core.json_types import JsonValue
from app.core.principals import Caller
from app.services.bundle import Services
from app.services.limits import Window
from app.services.refusals import Refusals

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application."""
    return cast("Services", connection.scope["app"].state["services"])


def cookie_name(*, secure: bool) -> str:
    """Return the name of the session's cookie."""
    return "__Host-assentry" if secure else "assentry_session"


def remote_ip(connection: HTTPConnection) -> str:
    """Return the caller's address; a proxy's word counts only when it is trusted (T33)."""
    client = connection.scope.get("client")
    peer = str(client[0]) if client else "127.0.0.1"
    trusted = services_of(connection).settings.trusted_proxies
    if not trusted or not _within(peer, trusted):
        return peer
    claimed = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for text in reversed([part.strip() for part in claimed if part.strip()]):
        if not _within(text, trusted):
            return text if _is_address(text) else peer
    return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
        return any(ip in ipaddress.ip_network(part.strip()) for part in networks.split(","))
    except ValueError:
        return False


async def caller_of(request: Request) -> Caller:
    """Return who calls.

    :raises Unauthenticated: nobody that is known.
    :raises CrossOrigin: a browser's call that changes something without the form's token.
    :raises RateLimited: the key has used up its limit.
    """
    caller = await identify(request)
    if caller.key is not None:
        await _limit(request, caller)
    elif request.method not in SAFE:
        check_origin(request)
        check_form_token(caller, request.headers.get("x-csrf-token", ""))
    return caller


async def identify(request: Request) -> Caller:
    """Return who calls, without counting the call; long streams ask this again and again.

    :raises Unauthenticated: nobody that is known, or no longer.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        return await session_of(request)
    address = remote_ip(request)
    try:
        return await services_of(request).access.key_caller(_bearer(sent), address)
    except (InvalidKey, AddressForbidden) as error:
        await _note_refusal(request, error.code, address)
        raise


def _bearer(sent: list[str]) -> str:
    scheme, _, token = sent[0].partition(" ")
    if len(sent) > 1:
        message = "Send one Authorization header, not several."
        raise InvalidKey(message)
    if scheme.lower() != "bearer":
        message = 'Send the key as "Authorization: Bearer ask_...".'
        raise InvalidKey(message)
    return token.strip()


async def _note_refusal(request: Request, code: str, address: str) -> None:
    """Record a failed authentication (AUD-1); the caller is refused in any case."""
    services, state = services_of(request), request.app.state
    if not hasattr(state, "refusals"):
        state.refusals = Refusals()
    refusals = cast("Refusals", state.refusals)
    details: dict[str, JsonValue] = {"code": code, "from": address}
    await refusals.note(services.store, "authentication.failed", "authentication:-", details)


async def _limit(request: Request, caller: Caller) -> None:
    if caller.key is None or caller.key.rate_limit is None:
        return
    try:
        request.state.window = await services_of(request).limits.check(caller.key)
    except RateLimited as error:
        limit = caller.key.rate_limit
        request.state.window = Window(limit, limit, round(error.retry_after or 1))
        raise


async def session_of(request: Request) -> Caller:
    """Return the signed-in person.

    :raises Unauthenticated: there is no session.
    """
    services = services_of(request)
    token = request.cookies.get(cookie_name(secure=services.settings.secure_cookies))
    if not token:
        raise Unauthenticated
    return await services.access.session_caller(token)


def check_origin(request: Request) -> None:
    """Refuse a form that another site's page sent (T13).

    :raises CrossOrigin: the browser says that it came from elsewhere.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CrossOrigin
        return
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise CrossOrigin


def check_form_token(caller: Caller, token: str) -> None:
    """Refuse a form without the session's own token.

    :raises CrossOrigin: it is missing or another session's.
    """
    expected = caller.session.form_token if caller.session else ""
    if not expected or not secrets.compare_digest(expected.encode(), token.encode()):
        raise CrossOrigin
