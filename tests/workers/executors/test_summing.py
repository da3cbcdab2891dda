"""The digest of pieces is that of the whole, whichever thread reckons it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.executors.summing import Summing

pytestmark = pytest.mark.requirement("GW-1")

SIZES = st.sampled_from([1, 100, 65_535, 65_536, 200_000, 524_288, 1_500_000])


@given(st.lists(SIZES, max_size=12))
async def test_pieces_have_the_digest_of_the_whole(sizes: list[int]) -> None:
    pieces = [bytes((number,)) * size for number, size in enumerate(sizes)]
    summing = Summing()
    for piece in pieces:
        await summing.add(piece)
    assert await summing.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


async def test_a_digest_may_be_asked_for_on_the_way() -> None:
    summing, data = Summing(), b"x" * 700_000
    for number in range(1, 4):
        await summing.add(data)
        assert await summing.hexdigest() == hashlib.sha256(data * number).hexdigest()


async def test_small_pieces_beside_large_ones_are_counted_in_their_order() -> None:
    pieces = [b"a" * 300_000, *[b"bc"] * 200, b"d" * 600_000, *[b"e"] * 100]
    summing = Summing()
    for piece in pieces:
        await summing.add(memoryview(piece))
    assert await summing.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
