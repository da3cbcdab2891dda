"""Codings are taken off however a body is cut into members and pieces."""

import gzip
import random

import pytest

from workers.executors.decoding import CappedBody, Decoder

MEMBERS = gzip.compress(b"") * 2000 + b"".join(
    gzip.compress(bytes((one % 251,)) * (one % 40)) for one in range(3000)
)
PLAIN = b"".join(bytes((one % 251,)) * (one % 40) for one in range(3000))


@pytest.mark.requirement("T48")
@pytest.mark.parametrize("size", [17, 16_384, 16_385, 1 << 20])
def test_a_body_of_many_members_is_read_whole(size: int) -> None:
    pieces = [MEMBERS[at : at + size] for at in range(0, len(MEMBERS), size)]
    decoder, capped = Decoder("gzip"), CappedBody("gzip", len(PLAIN))
    assert b"".join(out for piece in pieces for out in decoder.feed(piece)) == PLAIN
    decoder.finish()
    assert all(capped.feed(piece) for piece in pieces)
    assert capped.finish() == PLAIN and not capped.truncated


def test_a_body_cut_anywhere_reads_alike() -> None:
    some = random.Random(7)
    cuts = sorted(some.sample(range(1, len(MEMBERS)), 200))
    pieces = [MEMBERS[a:b] for a, b in zip([0, *cuts], [*cuts, len(MEMBERS)], strict=True)]
    decoder = Decoder("gzip")
    assert b"".join(out for piece in pieces for out in decoder.feed(piece)) == PLAIN
