"""Keys: how they look, what a key may be, and who may hand it out."""

import hashlib
import ipaddress
import secrets
from collections.abc import Iterable
from typing import Final

from app.core.calls import check_rules
from app.core.checks import all_of
from app.core.errors import Conflict, InvalidField, ScopeConflict
from app.core.instant import Instant
from app.core.principals import ApiKey, Caller, Permission, Scope, check_scopes
from app.services.access import require

PREFIX_LENGTH: Final = 12
"""Characters of a key that stay visible."""

_MAX_NAME: Final = 100
_MAX_NETWORKS: Final = 100


class FormRepeated(Conflict):
    """This form was sent before and made its key; to make another one, load the page again."""

    code = "form_repeated"


def new_secret() -> str:
    """Return a new key: 256 random bits behind ``ask_``."""
    return f"ask_{secrets.token_urlsafe(32)}"


def fingerprint(secret: str) -> str:
    """Return the SHA-256 that is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_name(name: str) -> None:
    """Refuse a name of an agent or a key that is empty, long or not printable.

    :raises InvalidField: it is.
    """
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        message = f"a name has 1 to {_MAX_NAME} printable characters"
        raise InvalidField(message, pointer="/name")


def require_keys(caller: Caller, person_id: str | None) -> None:
    """Let administrators manage everybody's keys, and signed-in people their own."""
    own = caller.person is not None and caller.person.id == person_id
    if not own or caller.key is not None:
        require(caller, Scope.ADMIN)


def check_ceiling(caller: Caller, key: ApiKey) -> None:
    """Let nobody hand out more than they hold, nor a vote of somebody else (T21, T23, T30)."""
    other = caller.person is None or caller.person.id != key.person_id
    if key.person_id is not None and other and votes(key):
        message = "only the person themselves can make a key that votes as them"
        raise ScopeConflict(message, pointer="/scopes")
    surplus = sorted(key.scopes - caller.scopes)
    if key.person_id is not None and surplus:
        message = f"you do not hold {', '.join(surplus)} yourself"
        raise ScopeConflict(message, pointer="/scopes")


def check_key(key: ApiKey, now: Instant) -> None:
    """Refuse a key that cannot be one.

    :raises InvalidField: with a pointer to what must change.
    :raises ScopeConflict: it can never hold these scopes (T21).
    """
    if (key.agent_id is None) == (key.person_id is None):
        message = "a key belongs to an agent or to a person"
        raise InvalidField(message, pointer="/agent_id")
    check_scopes(key.scopes, for_agent=key.agent_id is not None)
    all_of(
        lambda: check_name(key.name),
        lambda: _check_networks(key.networks),
        lambda: _check_permissions(key.permissions or ()),
        lambda: _check_rate_limit(key.rate_limit),
        lambda: _check_end(key.expires_at, now),
    )


def _check_networks(networks: tuple[str, ...]) -> None:
    if len(networks) > _MAX_NETWORKS:
        message = f"a key has at most {_MAX_NETWORKS} networks"
        raise InvalidField(message, pointer="/networks")
    for place, network in enumerate(networks):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            message = f"{network!r} is not a network such as 192.0.2.0/24 or 2001:db8::/32"
            raise InvalidField(message, pointer=f"/networks/{place}") from error


def _check_rate_limit(limit: int | None) -> None:
    if limit is not None and not 1 <= limit <= 1_000_000:  # noqa: PLR2004
        message = "rate_limit is 1 to 1000000 calls in a minute"
        raise InvalidField(message, pointer="/rate_limit")


def _check_end(expires_at: Instant | None, now: Instant) -> None:
    if expires_at is not None and expires_at <= now:
        message = "expires_at lies in the past"
        raise InvalidField(message, pointer="/expires_at")


def _check_permissions(permissions: tuple[Permission, ...]) -> None:
    check_rules(tuple(one.calls for one in permissions), "/permissions")
    for place, one in enumerate(permissions):
        if one.profiles and (one.methods or one.paths or one.denied):
            message = "profiles are about commands: leave methods and paths out, and denied false"
            raise InvalidField(message, pointer=f"/permissions/{place}/profiles")


def votes(key: ApiKey) -> bool:
    """Whether somebody with the key decides in a person's name."""
    return Scope.REQUEST_DECIDE in key.scopes


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of these names.

    :raises InvalidField: one is no scope.
    """
    found: set[Scope] = set()
    for place, name in enumerate(names):
        try:
            found.add(Scope(name))
        except ValueError as error:
            message = f"{name!r} is no scope; the scopes are {', '.join(Scope)}"
            raise InvalidField(message, pointer=f"/scopes/{place}") from error
    return frozenset(found)
