"""Strict JSON: what it refuses, in one pass."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.errors import MalformedJson
from app.core.strict_json import _UNSURE, _read, _read_carefully, parse_json

pytestmark = pytest.mark.requirement("REQ-1", "T36")


def test_a_repeated_key_among_very_many_is_found_at_once() -> None:
    pairs = ",".join(f'"{number}":0' for number in range(200_000))
    with pytest.raises(MalformedJson, match="'z' occurs twice"):
        parse_json(f'{{{pairs},"z":0,"z":0}}'.encode())


def test_a_long_key_is_not_repeated_in_full() -> None:
    key = "k" * 100_000
    with pytest.raises(MalformedJson) as caught:
        parse_json(f'{{"{key}":0,"{key}":1}}'.encode())
    assert len(caught.value.detail) < 200


@given(st.lists(st.sampled_from([
    "{", "}", "[", "]", ":", ",", '"a"', '"b"', '":"', '" :x"', '"é"', '"\\u0022:"', " ", "1",
    "-0", "-1", "0", "1.5", "1e3", "123456789012345", "9007199254740991", "9007199254740993",
    "null", "true", "NaN", "\n",
]), max_size=14).map("".join))  # fmt: skip
@example('{"a":1,"a":1}')
@example('{"a":1,"a":"\\u0022:"}')
@example('{":":1,"a":":",":":2}')
@example('{"a":{"a":1},"a":{"a":1}}')
@example('{"a":-0}')
@example('{"a" :1, "a"\n:2}')
def test_the_fast_reader_never_differs_from_the_careful_one(text: str) -> None:
    fast = _read(text.encode())
    try:
        careful = _read_carefully(text.encode())
    except MalformedJson:
        assert fast is _UNSURE
        return
    if fast is not _UNSURE:
        assert repr(fast) == repr(careful)
