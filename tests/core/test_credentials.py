"""Credential kinds: what each adds to a call, and what is refused when one is made."""

import base64

import pytest

from app.core.credentials import KINDS, build_injection, check_fields
from app.core.credentials.base import MAX_FIELDS, Kind
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import Injection

pytestmark = pytest.mark.requirement("GW-3")

BEARER, BASIC, HEADERS, QUERY, BODY, ITEM = "bearer", "basic", "headers", "query", "body", "item"
NOW = Instant(1_440_938_160_000_000)
"""2015-08-30T12:36:00Z."""


def test_bearer() -> None:
    assert build_injection(BEARER, {"token": "ghp_0123456789"}, NOW) == Injection(
        headers=(("authorization", "Bearer ghp_0123456789"),), secrets=("ghp_0123456789",)
    )


def test_basic() -> None:
    pair = base64.b64encode("jö:pässword".encode()).decode()
    assert build_injection(BASIC, {"username": "jö", "password": "pässword"}, NOW) == Injection(
        headers=(("authorization", f"Basic {pair}"),), secrets=("pässword", pair)
    )


def test_headers() -> None:
    made = build_injection(
        HEADERS, {"X-Api-Key": "key-123456", "Authorization": "Token abcdefgh"}, NOW
    )
    assert made.headers == (("x-api-key", "key-123456"), ("authorization", "Token abcdefgh"))
    assert made.secrets == ("key-123456", "Token abcdefgh", "abcdefgh")


def test_query() -> None:
    made = build_injection(QUERY, {"api key": "a&b=c d é"}, NOW)
    assert made.query == (("api key", "a&b=c d é"),)
    assert made.secrets == ("a&b=c d é",)


def test_values_stay_out_of_repr() -> None:
    made = build_injection(QUERY, {"key": "hunter2hunter2"}, NOW)
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
    kind: str, fields: dict[str, str], pointer: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        build_injection(kind, fields, NOW)
    assert caught.value.pointer == pointer
    assert not any(value in caught.value.detail for value in fields.values() if len(value) > 8)


def test_what_is_added_is_said_without_values() -> None:
    assert check_fields(BEARER, {"token": "abcdefgh"}) == ("Authorization: ",)
    assert check_fields(BASIC, {"username": "a", "password": "abcdefgh"}) == ("Authorization: ",)
    two = {"X-Key": "abcdefgh", "X-App": "abcdefgh"}
    assert check_fields(HEADERS, two) == ("X-App: ", "X-Key: ")
    assert check_fields(QUERY, {"api_key": "abcdefgh"}) == ("?api_key=",)
    assert check_fields(BODY, {"/auth/key": "abcdefgh"}) == ("body.auth.key=",)
    assert check_fields(ITEM, {"a": "abcdefgh"}) == ()


def test_an_item_may_have_short_fields_that_are_public() -> None:
    assert check_fields(ITEM, {"user": "jo", "key": "abcdefgh"}, ["user"]) == ()
    for fields, public, pointer in (
        ({"user": "jo"}, [], "/fields/user"),
        ({"user": "jo"}, ["user", "key"], "/public_fields/key"),
        ({"a.b": "abcdefgh"}, [], "/fields/a.b"),
    ):
        with pytest.raises(InvalidField) as caught:
            check_fields(ITEM, fields, public)
        assert caught.value.pointer == pointer
    with pytest.raises(InvalidField, match="public"):
        check_fields(BEARER, {"token": "abcdefgh"}, ["token"])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidField, match="bearer, basic"):
        check_fields("magic", {"token": "abcdefgh"})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_says_what_it_is_and_needs(kind: Kind) -> None:
    assert KINDS[kind.name] is kind and kind.summary
    names = [field.name for field in kind.fields]
    assert len(names) == len(set(names)) and set(kind.required) <= set(names)
    assert all(field.hint for field in kind.fields)
    assert kind.required or not kind.fields


def test_body_fields_are_named_by_dots_or_pointers() -> None:
    made = build_injection(BODY, {"auth.key": "abcdefgh", "/a~1b/c": "ijklmnop"}, NOW)
    assert made.body == ((("auth", "key"), "abcdefgh"), (("a/b", "c"), "ijklmnop"))
    assert made.secrets == ("abcdefgh", "ijklmnop")
    for fields in ({"a": "abcdefgh", "a.b": "abcdefgh"}, {"a.b": "abcdefgh", "/a/b": "abcdefgh"}):
        with pytest.raises(InvalidField, match="same place"):
            build_injection(BODY, fields, NOW)
    for name in ("", "a..b", "/", "a\nb", ".".join("abcdefghi")):
        with pytest.raises(InvalidField):
            build_injection(BODY, {name: "abcdefgh"}, NOW)
