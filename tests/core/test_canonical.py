"""Canonical JSON against RFC 8785: its rules for order, strings and numbers."""

import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.canonical import _write, canonical, digest, number
from app.core.errors import MalformedJson
from app.core.strict_json import MAX_INTEGER, parse_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.floats(min_value=1e21, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def bits(pattern: str) -> float:
    """Return the double with these IEEE 754 bits."""
    return struct.unpack(">d", bytes.fromhex(pattern))[0]


@pytest.mark.requirement("REQ-2")
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_numbers_as_ecmascript_writes_them(pattern: str, text: str) -> None:
    assert number(bits(pattern)) == text


def test_keys_sort_by_utf16_code_units() -> None:
    value = {"\U0001f600": 1, "\ufb33": 2, "\u20ac": 3, "1": 4, "\r": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical(value)).values()) == [5, 4, 6, 7, 3, 1, 2]


def test_strings_escape_only_what_must_be() -> None:
    assert canonical('\u20ac$\x0f\nA\'B"\\\\"/') == b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


def test_whole_doubles_lose_their_fraction() -> None:
    assert canonical({"a": 1.0, "b": [10.5, 1e3]}) == b'{"a":1,"b":[10.5,1000]}'


@given(JSON)
@example({"b": 1, "a": {"d": None, "c": [True, "x"]}})
def test_it_is_idempotent_and_keeps_the_value(value: object) -> None:
    once = canonical(value)  # pyright: ignore[reportArgumentType]
    assert canonical(json.loads(once)) == once
    assert json.loads(once) == value


@given(st.dictionaries(st.text("ab\U0001f600\ufb33", max_size=3), st.integers(0, 9), max_size=5))
def test_order_of_insertion_makes_no_difference(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert digest(canonical(value)) == digest(canonical(turned))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value: float) -> None:
    assert float(number(value)) == value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), "\ud800", {"a": None, "b": [{"c": float("nan")}]}],
)
def test_what_has_no_canonical_form_is_refused(value: float | str) -> None:
    with pytest.raises(MalformedJson):
        canonical({"x": [value, 0.5]})
    with pytest.raises(MalformedJson):
        canonical([value] if isinstance(value, str) else value)


@pytest.mark.requirement("T36")
@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b"NaN", b"[Infinity]", b"-Infinity", b"1e999",
        b"9007199254740993", b"-9007199254740992", b"1" * 5000, b'"\\ud800"', b'{"\\udc00":1}',
        b'"\\u0000"', b'"\x00"', b"\xff", b"\xef\xbb\xbf{}", b'"\xed\xa0\x80"', b"{'a':1}",
        b"[1,]", b"{}{}", b"", b"[" * 65 + b"]" * 65, b"[" * 100_000, b'{"a":' * 70 + b"1",
        '{"a":1}'.encode("utf-16"), b"01", b"+1", b".5", b"1.", b'"\n"', b"nul", b'"a',
        b"1e17", b"-9007199254740994.0",
    ],
)  # fmt: skip
def test_hostile_texts_are_refused(text: bytes) -> None:
    with pytest.raises(MalformedJson) as refused:
        parse_json(text)
    assert refused.value.detail


def test_ordinary_texts_are_read() -> None:
    assert parse_json(b' {"a": [1, -2.5e3, "\\u00e9\\ud83d\\ude00", true, null]} ') == {
        "a": [1, -2500.0, "\u00e9\U0001f600", True, None]
    }
    assert parse_json(b'"' + b"[{" * 200 + b'"') == "[{" * 200
    assert parse_json(b"[" * 64 + b"]" * 64)


@given(JSON)
def test_canonical_text_is_strict_json(value: object) -> None:
    text = canonical(value)  # pyright: ignore[reportArgumentType]
    assert canonical(parse_json(text)) == text


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=12,
)


@given(PLAIN)
def test_the_fast_way_and_our_own_write_the_same(value: Any) -> None:
    slowly = "".join(_write(value))
    try:
        expected = slowly.encode()
    except UnicodeEncodeError:
        with pytest.raises(MalformedJson):
            canonical(value)
    else:
        assert canonical(value) == expected


def test_integers_beyond_64_bits_are_written_out() -> None:
    assert canonical({"a": 2**80}) == b'{"a":1208925819614629174706176}'
