"""Strict JSON: what it refuses, in one pass."""

import pytest

from app.core.errors import MalformedJson
from app.core.strict_json import parse_json

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
