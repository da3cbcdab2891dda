"""Answers off the wire: plain ones are read alike however they are cut, others are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.executors.reading import HEAD_BYTES, Cut, Malformed, Reading

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

PLAIN = {
    "length": (OK + b"Content-Length: 5 \r\n\r\nhello", b"hello", True),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    "chunks": (CHUNKED + b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n", b"helloabc", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "not modified": (b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", b"", True),
    "after another": (
        *(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",),
        *(b"ok", True),
    ),
    "said to close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "old in chunks": (
        *(OLD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", False),
    ),
    "old and kept": (OLD + b"Content-Length: 2\r\n\r\nok", b"ok", True),
    "until the close": (OK + b"X: y\r\n\r\nto the end", b"to the end", False),
    "more than asked": (
        *(OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 2\r\n\r\nno",),
        *(b"ok", False),
    ),
    "more than said": (OK + b"Content-Length: 2\r\n\r\nok\r\n\r\nno", b"ok", False),
    "a body of none": (b"HTTP/1.1 204 No Content\r\n\r\nbody", b"", False),
}

REFUSED = {
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an impossible status": b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    "a status beyond the last": b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a length like no other": OK + b"Content-Length: +2\r\n\r\nok",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "a coding beneath the chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding instead of chunks": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "chunks twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "chunks and a tab": OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "a folded line": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nok",
    "a zero in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "another switch": b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a bare switch": b"HTTP/1.1 101 Yes\r\n\r\n",
    "no chunk": CHUNKED + b"nothing\r\n",
    "a size with a space": CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
}  # fmt: skip


def read(data: bytes, cuts: list[int], *, bodiless: bool = False) -> tuple[Reading, bytes, bool]:
    """Return what was read, its body, and whether the connection may be used again."""
    reading, body, at = Reading(bodiless=bodiless), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        if cut > at:
            reading.feed(data[at:cut])
        at = max(at, cut)
        body += reading.take()
    reusable = reading.reusable
    reading.eof()
    return reading, body + reading.take(), reusable


@pytest.mark.requirement("GW-1")
@pytest.mark.parametrize("name", PLAIN)
@given(data=st.data())
def test_a_plain_answer_is_the_same_however_it_is_cut(name: str, data: st.DataObject) -> None:
    wire, body, reusable = PLAIN[name]
    cuts = data.draw(st.lists(st.integers(0, len(wire))))
    reading, found, again = read(wire, cuts)
    assert (found, again, reading.ended) == (body, reusable, True)


@pytest.mark.requirement("T46")
@pytest.mark.parametrize("name", REFUSED)
@given(data=st.data())
def test_what_is_not_plain_is_refused(name: str, data: st.DataObject) -> None:
    wire = REFUSED[name]
    cuts = data.draw(st.lists(st.integers(0, len(wire))))
    with pytest.raises(Malformed):
        read(wire, cuts)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400)))
def test_no_bytes_are_too_odd(rest: bytes, cuts: list[int]) -> None:
    for begin in (b"", OK, CHUNKED, OK + b"Content-Length: 3\r\n\r\n"):
        try:
            reading, _, _ = read(begin + rest, [cut for cut in cuts if cut <= len(begin + rest)])
        except (Malformed, Cut, ConnectionResetError):
            continue
        assert reading.head is not None


def test_the_answer_to_a_head_has_no_body() -> None:
    for lines in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""):
        reading, body, _ = read(OK + lines + b"\r\n", [], bodiless=True)
        assert (body, reading.ended, reading.length) == (b"", True, 0)
    _, body, again = read(OK + b"Content-Length: 5\r\n\r\nhello", [], bodiless=True)
    assert (body, again) == (b"", False)


@pytest.mark.requirement("T46")
@pytest.mark.parametrize("more", [b"\r\n", b"0\r\n\r\n", b"0\r\nX: "])
def test_nothing_follows_the_end_of_an_answer(more: bytes) -> None:
    for bodiless, wire in ((True, CHUNKED), (False, OK + b"Content-Length: 0\r\n\r\n")):
        reading = Reading(bodiless=bodiless)
        reading.feed(wire)
        assert reading.ended and reading.reusable
        reading.feed(more)
        assert not reading.reusable
    together = Reading(bodiless=True)
    together.feed(CHUNKED + more)
    assert together.ended and not together.reusable


def test_lines_are_as_they_came() -> None:
    lines = b"Set-Cookie: a=1\r\nX-b:  two words \t\r\nset-cookie: \xe9\r\n"
    wire = OK + lines + b"Content-Length: 0\r\n\r\n"
    head = read(wire, [])[0].head
    assert head is not None
    assert head.lines[:3] == (
        (b"Set-Cookie", b"a=1"), (b"X-b", b"two words"), (b"set-cookie", b"\xe9"),
    )  # fmt: skip
    assert head.values("set-cookie") == ["a=1", "é"] and head.values("missing") == []


@pytest.mark.requirement("T46")
@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\nX: y", ConnectionResetError),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionResetError),
        (OK + b"Content-Length: 5\r\n\r\nhell", Cut),
        (CHUNKED + b"5\r\nhello\r\n", Cut),
    ],
)
def test_an_end_too_early(wire: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(wire, [])


@pytest.mark.requirement("T48")
@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"HTTP/1.1 ", b"2"),
        (OK + b"X: ", b"y" * 100),
        (OK, b"X: y\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"y" * 100),
        (CHUNKED + b"2\r\nok\r\n1;", b"y" * 100),
    ],
)
def test_what_is_no_body_has_an_end(begin: bytes, again: bytes) -> None:
    reading = Reading()
    with pytest.raises(Malformed):
        feed(reading, [begin, *[again] * (2 * HEAD_BYTES // len(again))])


def feed(reading: Reading, pieces: list[bytes]) -> None:
    """Feed it pieces one after another."""
    for piece in pieces:
        reading.feed(piece)


def test_an_answer_that_switches_hands_on_what_follows() -> None:
    reading = Reading(upgrade=True)
    reading.feed(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst")
    reading.feed(b"x" * (HEAD_BYTES + 1))
    assert reading.switched and not reading.ended
    assert reading.after == b"first" + b"x" * (HEAD_BYTES + 1)


def test_large_pieces_are_not_joined() -> None:
    reading = Reading()
    reading.feed(OK + b"Content-Length: 300000\r\n\r\n")
    pieces = [bytes(100_000), bytes(100_000), bytes(60_000), bytes(40_000)]
    for piece in pieces:
        reading.feed(piece)
    assert reading.take() is pieces[0] and reading.waiting == 200_000
    assert reading.take() is pieces[1]
    assert [len(reading.take()) for _ in range(2)] == [60_000, 40_000]
    assert reading.take() == b"" and reading.waiting == 0


def test_small_pieces_are_joined_however_many_wait() -> None:
    reading = Reading()
    reading.feed(CHUNKED + b"2\r\nab\r\n" * 50_000)
    pieces = [len(reading.take()) for _ in range(2)]
    assert pieces == [65_536, 100_000 - 65_536] and reading.waiting == 0
