"""What is checked of a credential as a whole when it is made or changed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from app.core.checks import all_of
from app.core.credentials import ITEM, check_fields, kind_named
from app.core.errors import InvalidField
from app.core.oauth import is_oauth
from app.core.targets import Credential

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
"""Grammar of a credential's and a vault's name."""

DOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
"""Grammar of an item's domain."""

MAX_DESCRIPTION: Final = 2000


def checked(credential: Credential, fields: Mapping[str, str] | None) -> Credential:
    """Return the credential with what it adds, once all about it was checked.

    :param fields: the new values of all fields, or None where they stay.
    :raises InvalidField: with a pointer to what must change; never with a value.
    """
    adds = credential.adds

    def kind() -> None:
        nonlocal adds
        if is_oauth(credential.kind):
            _check_fixed(fields)
            return
        kind_named(credential.kind)
        _check_domains(credential)
        if fields is not None:
            adds = check_fields(credential.kind, fields, credential.public_fields)

    all_of(
        lambda: _check_description(credential.description),
        lambda: _check_name(credential.name, "/name"),
        lambda: _check_name(credential.vault, "/vault"),
        kind,
    )
    return replace(credential, adds=adds)


def _check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION or "\x00" in text:
        message = f"a description has at most {MAX_DESCRIPTION} characters, and no NUL"
        raise InvalidField(message, pointer="/description")


def _check_name(name: str, pointer: str) -> None:
    if not NAME.fullmatch(name):
        message = "a name is up to 64 of a-z 0-9 _ . -, and begins with a letter or digit"
        raise InvalidField(message, pointer=pointer)


def _check_fixed(fields: Mapping[str, str] | None) -> None:
    if fields is not None:
        message = "its values come from the service: change it with the connections"
        raise InvalidField(message, pointer="/fields")


def _check_domains(credential: Credential) -> None:
    if credential.domains and credential.kind != ITEM:
        message = "only an item has domains"
        raise InvalidField(message, pointer="/domains")
    for place, domain in enumerate(credential.domains):
        if not DOMAIN.fullmatch(domain):
            message = "a domain is a host name in lower case, such as example.com"
            raise InvalidField(message, pointer=f"/domains/{place}")
