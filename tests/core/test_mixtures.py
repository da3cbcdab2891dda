"""Secrets that overlap themselves: found as all others, in work that grows with the data alone."""

import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.mixtures import Mixture, mixtures
from app.core.redaction import MARK, Redactor

pytestmark = [pytest.mark.requirement("T47"), pytest.mark.requirement("VLT-2")]

OVERLAPPING = ("aaaaaaaa", "abababab", "a" * 40, "abcabcabca", "aabaabaa")


class Found(Protocol):
    """A match of the library."""

    def start(self) -> int: ...
    def end(self) -> int: ...


@dataclass
class Counted:
    """A compiled pattern that counts how often it is asked."""

    compiled: Any
    asked: int = 0

    def search(self, data: bytes, pos: int = 0, endpos: int = 1 << 62) -> Found | None:
        self.asked += 1
        return self.compiled.search(data, pos, min(endpos, len(data)))


class Watched(Redactor):
    """Counts the bytes that are searched."""

    searched = 0

    def spans(self, piece: bytes) -> list[tuple[int, int]]:
        self.searched += len(piece)
        return super().spans(piece)


def _every_place(mixture: Mixture, data: bytes) -> list[tuple[int, int]]:
    """Return what all places cover, looked for at each byte."""
    return _merged(
        (start, found.end())
        for start in range(len(data))
        if (found := mixture.compiled.search(data, start)) and found.start() == start
    )


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _searches(secret: str, data: bytes) -> int:
    counted = Counted(next(mixtures(secret)).compiled)
    list(replace(next(mixtures(secret)), compiled=counted).places(data))
    return counted.asked


@pytest.mark.parametrize("secret", OVERLAPPING)
def test_a_run_is_searched_in_steps_that_grow_with_it_alone(secret: str) -> None:
    escaped = "".join(f"%{ord(char):02x}{char}" for char in secret[:6]).encode()
    once, twice = (_searches(secret, escaped * (size // 12)) for size in (40_000, 80_000))
    assert twice <= 2.1 * once + 100


def test_what_is_covered_already_is_passed_over() -> None:
    secret, size = "abababab", 100_000
    data = secret.encode() * (size // len(secret))
    counted = Counted(next(mixtures(secret)).compiled)
    covered = replace(next(mixtures(secret)), compiled=counted).places(data, [(0, len(data))])
    assert _merged(covered) and counted.asked < 100


@pytest.mark.parametrize("secret", OVERLAPPING)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_stream_of_one_long_run_is_read_a_few_times_over(secret: str, size: int) -> None:
    data = (secret * 400).encode()[: 2000 if size == 1 else 3000]
    redactor = Watched([secret])
    stream = redactor.stream()
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    out += stream.finish()
    assert out == Redactor([secret]).bytes(data)[0]
    assert redactor.searched <= 4 * len(data) + (len(data) // size + 4) * 3 * redactor.longest


@given(st.sampled_from(OVERLAPPING), st.text("abc%61", max_size=60), st.integers(1, 80))
def test_a_run_is_covered_as_by_all_of_its_places(secret: str, before: str, times: int) -> None:
    data = (before + secret[:3] * times + secret + before).encode()
    mixture = next(mixtures(secret))
    assert _merged(mixture.places(data)) == _every_place(mixture, data)


@given(
    st.sampled_from(OVERLAPPING),
    st.lists(st.sampled_from(["a", "ab", "aab", "abc", "%61", "%61b", MARK, "x"]), max_size=200),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_a_stream_of_runs_gives_what_the_whole_gives(
    secret: str, parts: list[str], sizes: list[int]
) -> None:
    data = "".join(parts).encode()
    stream, out, place, turn = Redactor([secret]).stream(), b"", 0, 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        out += stream.feed(data[place : place + size])
        place, turn = place + size, turn + 1
    assert out + stream.finish() == Redactor([secret]).bytes(data)[0]


@given(
    st.text('ab +/\\"é1', min_size=6, max_size=12),
    st.sampled_from(["%s", "{%s}", "é%s", "\x00%s"]),
    st.sampled_from([str, quote, html.escape, json.dumps, lambda text: text.encode().hex()]),
)
def test_a_short_text_is_searched_as_a_long_one(
    secret: str, around: str, spelled: Callable[[str], str]
) -> None:
    redactor, data = Redactor([secret]), (around % spelled(secret)).encode()
    far = b"." * 2000
    cleaned, count = redactor.bytes(far + data + far)
    assert count and redactor.bytes(data) == (cleaned[2000:-2000], count)
