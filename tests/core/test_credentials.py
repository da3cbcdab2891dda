"""Credential kinds: what each adds to a call, and what is refused when one is made."""

import base64

import pytest

from app.core.credentials import (
    MAX_FIELDS,
    CredentialKind,
    build_injection,
    injected_names,
    required_fields,
)
from app.core.errors import InvalidField
from app.core.outcome import Injection

pytestmark = pytest.mark.requirement("GW-3")

BEARER, BASIC = CredentialKind.BEARER, CredentialKind.BASIC
HEADERS, QUERY = CredentialKind.HEADERS, CredentialKind.QUERY


def test_bearer() -> None:
    assert build_injection(BEARER, {"token": "ghp_0123456789"}) == Injection(
        headers=(("authorization", "Bearer ghp_0123456789"),), secrets=("ghp_0123456789",)
    )


def test_basic() -> None:
    pair = base64.b64encode("jö:pässword".encode()).decode()
    assert build_injection(BASIC, {"username": "jö", "password": "pässword"}) == Injection(
        headers=(("authorization", f"Basic {pair}"),), secrets=("pässword", pair)
    )


def test_headers() -> None:
    made = build_injection(HEADERS, {"X-Api-Key": "key-123456", "Authorization": "Token abcdefgh"})
    assert made.headers == (("x-api-key", "key-123456"), ("authorization", "Token abcdefgh"))
    assert made.secrets == ("key-123456", "Token abcdefgh", "abcdefgh")


def test_query() -> None:
    made = build_injection(QUERY, {"api key": "a&b=c d é"})
    assert made.query == (("api key", "a&b=c d é"),)
    assert made.secrets == ("a&b=c d é",)


def test_values_stay_out_of_repr() -> None:
    made = build_injection(QUERY, {"key": "hunter2hunter2"})
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize(
    ("kind", "fields", "pointer"),
    [
        (BEARER, {}, "/fields/token"),
        (BEARER, {"token": "abc"}, "/fields/token"),
        (BEARER, {"token": "two words here"}, "/fields/token"),
        (BEARER, {"token": "tökentöken"}, "/fields/token"),
        (BEARER, {"token": "line\r\nX-Admin: 1"}, "/fields/token"),
        (BEARER, {"token": "a" * 9000}, "/fields/token"),
        (BEARER, {"token": "redacted"}, "/fields/token"),
        (BEARER, {"token": "key[redacted]"}, "/fields/token"),
        (BEARER, {"token": "ghp_0123456789", "user": "x"}, "/fields/user"),
        (BASIC, {"username": "a"}, "/fields/password"),
        (BASIC, {"username": "a:b", "password": "long enough"}, "/fields/username"),
        (BASIC, {"username": "a", "password": "short"}, "/fields/password"),
        (BASIC, {"username": "a", "password": "lone \ud800 half"}, "/fields/password"),
        (HEADERS, {}, "/fields"),
        (HEADERS, {f"x-{n}": "value-value" for n in range(MAX_FIELDS + 1)}, "/fields"),
        (HEADERS, {"Host": "evil.example"}, "/fields/Host"),
        (HEADERS, {"content_length": "1000000"}, "/fields/content_length"),
        (HEADERS, {"Proxy-X": "value-value"}, "/fields/Proxy-X"),
        (HEADERS, {"a/b~c": "value-value"}, "/fields/a~1b~0c"),
        (HEADERS, {"X-Key": "välue-value"}, "/fields/X-Key"),
        (HEADERS, {"X-Key": "value-1", "x-key": "value-2"}, "/fields"),
        (QUERY, {"": "value-value"}, "/fields/"),
        (QUERY, {"a\nb": "value-value"}, "/fields/a\nb"),
        (QUERY, {"key": "tiny"}, "/fields/key"),
    ],
)
def test_bad_fields_are_refused_with_their_place(
    kind: CredentialKind, fields: dict[str, str], pointer: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        build_injection(kind, fields)
    assert caught.value.pointer == pointer
    assert not any(value in caught.value.detail for value in fields.values() if len(value) > 8)


def test_names_are_shown_without_values() -> None:
    assert injected_names(BEARER, ["token"], "github-prod") == ("Authorization: <github-prod>",)
    assert injected_names(BASIC, required_fields(BASIC), "db") == ("Authorization: <db>",)
    assert injected_names(HEADERS, ["X-Key", "X-App"], "h") == ("X-Key: <h>", "X-App: <h>")
    assert injected_names(QUERY, ["api_key"], "q") == ("?api_key=<q>",)


@pytest.mark.parametrize("kind", CredentialKind)
def test_every_kind_says_what_it_needs(kind: CredentialKind) -> None:
    assert len(required_fields(kind)) == len(set(required_fields(kind)))
