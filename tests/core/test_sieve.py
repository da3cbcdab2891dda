"""The sieve lets nothing pass that the search would find, whatever the data and its places."""

import html
import json
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.mixtures import any_of, mixtures
from app.core.redaction import MARK, Redactor
from app.core.sieve import Sieve, sieve_of
from app.core.spellings import forms_of

pytestmark = [pytest.mark.requirement("T47"), pytest.mark.requirement("GW-1")]

FAR = 2000
"""More bytes than a text has that is looked at by itself."""

SECRETS = (
    *("hunter2", "aaaaaa", "abababab", 's3cr&t/"v+lu é<?>', "geheim-f\xfcr-\u20ac-\xe9t\xe9"),
    *("ghp_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5", "\U0001f600h\xe9llo w\xf6rld", "\x00\n\r\t\\/ab"),
    *("[redacted", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n" * 30, "^$.*(a|b)[c]{2}?\\Q\\E(?#"),
)


Case = tuple[str, bytes]
Search = Callable[..., object | None]


@cache
def made(secret: str) -> tuple[Search, Sieve]:
    """Return the search for a secret and its sieve."""
    forms, mixed = (*forms_of(secret), MARK.encode()), tuple(mixtures(secret))
    reach = max(*map(len, forms), *(item.longest for item in mixed))
    sieve = sieve_of(forms, mixed, reach)
    assert sieve is not None, secret
    return any_of(forms, mixed), sieve


def passes(secret: str, data: bytes) -> bool:
    search, sieve = made(secret)
    return sieve.passes(data, search)


def holds(secret: str, data: bytes) -> bool:
    return made(secret)[0](data) is not None


@cache
def kept(secret: str) -> Redactor:
    return Redactor([secret])


def spelled(char: str, way: int) -> str:
    """Return a character in one of the ways that an echo may write it."""
    raw = char.encode()
    ways = (char, f"\\u{ord(char) & 0xFFFF:04x}", "".join(f"%{byte:02X}" for byte in raw),
            "".join(f"%{byte:02x}" for byte in raw), f"&#{ord(char)};", f"&#X00{ord(char):x};",
            html.escape(char), json.dumps(char)[1:-1], quote(char, safe=""))  # fmt: skip
    return ways[way]


@st.composite
def hostile(draw: st.DrawFn) -> tuple[str, bytes]:
    """A secret, and data full of its spellings, whole and in part, and of what looks like them."""
    secret = draw(st.sampled_from(SECRETS))
    forms = sorted({*forms_of(secret), MARK.encode(), *_echoes(draw, secret)})
    forms = draw(st.lists(st.sampled_from(forms), max_size=4))
    cuts = draw(st.lists(st.integers(-3, 40), min_size=4, max_size=4))
    parts = [form[max(0, cut) :] for form, cut in zip(forms, cuts, strict=False)]
    noise = draw(st.lists(st.binary(max_size=6), min_size=5, max_size=5))
    return secret, b"".join(
        part for pair in zip(noise, [*parts, b""], strict=False) for part in pair
    )


def _echoes(draw: Callable[..., Any], secret: str) -> list[bytes]:
    ways = draw(st.lists(st.integers(0, 8), min_size=1, max_size=8))
    text = "".join(spelled(char, ways[at % len(ways)]) for at, char in enumerate(secret))
    gap = draw(st.sampled_from(["\n", "\r\n", "\\n", "\\r\\n"]))
    width = draw(st.integers(1, 12))
    lines = [max(forms_of(secret), key=lambda form: form.count(b"=")).decode("latin-1")]
    broken = [
        gap.join(line[at : at + width] for at in range(0, len(line), width)) for line in lines
    ]
    return [text.encode("utf-8", "surrogatepass"), *(line.encode("latin-1") for line in broken)]


@given(hostile())
def test_what_passes_holds_nothing(case: Case) -> None:
    secret, data = case
    assert not (passes(secret, data) and holds(secret, data))


@given(hostile(), st.binary(max_size=64), st.integers(0, 40))
def test_a_place_counts_wherever_it_is(case: Case, around: bytes, far: int) -> None:
    secret, data = case
    if holds(secret, data):
        for text in (data + around, around * 99 + data, around + bytes(32_768 - far) + data):
            assert not passes(secret, text)


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40), st.data())
def test_no_form_of_any_secret_passes(secret: str, data: st.DataObject) -> None:
    forms, mixed = tuple(forms_of(secret)), tuple(mixtures(secret))
    sieve, search = sieve_of(forms, mixed, 9999), any_of(forms, mixed)
    for form in (*forms, *_echoes(data.draw, secret)):
        if search(form) is not None:
            assert sieve is None or not sieve.passes(b"x" * 99 + form + b"\x00" * 99, search)


@given(hostile(), st.lists(st.integers(1, 4 * FAR), min_size=1, max_size=6), st.booleans())
def test_a_stream_that_is_sifted_gives_what_the_whole_gives(
    case: Case, sizes: list[int], twice: bool
) -> None:
    secret, part = case
    data = b"".join((b"." * FAR, part, b"z" * FAR, part if twice else b"", b"\x00" * FAR, part[:9]))
    stream, out, place, turn = kept(secret).stream(), b"", 0, 0
    while place < len(data):
        piece = data[place : place + sizes[turn % len(sizes)]]
        clear = stream.pass_clear(piece)
        out += stream.feed(piece) if clear is None else b"".join(clear)
        place, turn = place + len(piece), turn + 1
    assert (out + stream.finish(), stream.count) == Redactor([secret]).bytes(data)


def test_what_holds_nothing_passes_without_a_search_of_all() -> None:
    stream = kept("token-abcdefgh").stream()
    assert stream.pass_clear(b"." * FAR) == (b"." * FAR,)
    assert stream.pass_clear(b"." * FAR + b"token-ab") == (b"." * FAR,)
    assert stream.pass_clear(b"." * FAR + b"t") == (b"token-ab", b"." * FAR)
    assert stream.pass_clear(b"." * FAR + b"token-ab") == (b"t", b"." * FAR)
    assert stream.pass_clear(b"cdefgh" + b"." * FAR) is None
    assert stream.feed(b"cdefgh" + b"." * FAR) == MARK.encode() + b"." * FAR
    assert Redactor([]).clear(b"." * FAR), "without secrets there is nothing to be found"


def test_what_looks_like_a_part_of_a_secret_is_looked_at_closely() -> None:
    search, sieve = made("token-abcdefgh")
    asked: list[tuple[int, int]] = []

    def watched(data: bytes, start: int, end: int) -> object | None:
        asked.append((start, end))
        return search(data, start, end)

    near = b"token_abcdefgh;"
    assert sieve.passes(b"." * 100_000 + near + b"." * 100_000, watched)
    assert asked and all(end - start < FAR for start, end in asked)
    assert not sieve.passes(near * 1000, watched), "where there is much of it, all is searched"
    assert len(asked) < 200


def test_secrets_without_needles_are_searched_for() -> None:
    secret = "\t \t \t \t"
    assert sieve_of(forms_of(secret), mixtures(secret), 99) is None
    assert Redactor([secret]).stream().pass_clear(b"." * FAR) is None


@pytest.mark.parametrize("secret", SECRETS)
def test_what_is_everywhere_is_no_needle(secret: str) -> None:
    if secret.isprintable():
        assert passes(secret, bytes(100_000)) and passes(secret, b"0" * 100_000)
