"""Credential kinds: one table of them; from a credential's fields to what is added to a call.

Imports the core and ``cryptography`` alone. One more kind is a module here and an entry in
:data:`KINDS`; :mod:`~app.core.credentials.base` says what an entry is.
"""

from collections.abc import Collection, Mapping
from typing import Final

from app.core.credentials import aws, body, hmac_signature, items, jwt, mtls, plain, ssh
from app.core.credentials.base import Field, Kind, check, refuse
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import Injection

__all__ = ["ITEM", "KINDS", "SSH", "Field", "Kind", "build_injection", "check_fields", "kind_named"]

ITEM: Final = items.KIND.name
"""The kind whose fields are used by handles alone."""

SSH: Final = ssh.NAMES
"""The kinds that log in at SSH hosts."""

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        plain.BEARER,
        plain.BASIC,
        plain.HEADERS,
        plain.QUERY,
        body.KIND,
        jwt.KIND,
        hmac_signature.KIND,
        aws.KIND,
        mtls.KIND,
        ssh.KEY,
        ssh.CERTIFICATE,
        ssh.PASSWORD,
        items.KIND,
    )
}
"""Every kind by its name, in the order in which people are shown them."""


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    :raises InvalidField: there is none.
    """
    kind = KINDS.get(name)
    if kind is None:
        message = f"the kind is one of {', '.join(KINDS)}"
        raise InvalidField(message, pointer="/kind")
    return kind


def check_fields(
    name: str, fields: Mapping[str, str], public: Collection[str] = ()
) -> tuple[str, ...]:
    """Check a credential's fields and return what it adds to a call, to be shown to people.

    Each text is to be followed by the credential's name in angle brackets, such as
    ``Authorization: `` by ``<github-prod>``.

    :param public: names of an item's fields that are no secrets.
    :raises InvalidField: for missing, surplus, malformed or too short fields, with the pointer and
        never with a value.
    """
    kind = kind_named(name)
    if public and kind is not items.KIND:
        message = "which fields of this kind are public is not for you to say"
        raise InvalidField(message, pointer="/public_fields")
    if missing := sorted(set(public) - set(fields)):
        refuse(missing[0], "there is no such field", "/public_fields")
    check(kind, fields, public)
    kind.build(fields, Instant(0))
    return kind.adds(fields)


def build_injection(name: str, fields: Mapping[str, str], now: Instant) -> Injection:
    """Return what a credential adds to a call that is made now, and the values to redact.

    :raises InvalidField: as :func:`check_fields`.
    """
    kind = kind_named(name)
    check(kind, fields)
    return kind.build(fields, now)
