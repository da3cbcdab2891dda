"""Redaction: every encoding of the brief, and the two laws (idempotent, leak-free)."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.redaction import MARK, MIN_SECRET_LENGTH, Redactor

pytestmark = [pytest.mark.requirement("T47"), pytest.mark.requirement("VLT-2")]

SECRET = 's3cr&t/"v+lu é<?>'
RAW = SECRET.encode()

ENCODED = {
    "raw": SECRET,
    "base64": base64.b64encode(RAW).decode(),
    "base64 unpadded": base64.b64encode(RAW).decode().rstrip("="),
    "base64 url": base64.urlsafe_b64encode(RAW).decode(),
    "base64 url unpadded": base64.urlsafe_b64encode(RAW).decode().rstrip("="),
    "percent": quote(SECRET, safe=""),
    "percent, slash kept": quote(SECRET),
    "percent, lower": "".join(f"%{byte:02x}" for byte in RAW),
    "percent, all": "".join(f"%{byte:02X}" for byte in RAW),
    "plus": quote_plus(SECRET),
    "json": json.dumps(SECRET)[1:-1],
    "json, utf-8": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "json, slash": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "hex": RAW.hex(),
    "hex upper": RAW.hex().upper(),
    "html": html.escape(SECRET),
    "html, quotes kept": html.escape(SECRET, quote=False),
    "html, decimal": html.escape(SECRET).replace("&quot;", "&#34;"),
}

secrets = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=MIN_SECRET_LENGTH, max_size=40),
    min_size=1,
    max_size=3,
).filter(lambda found: not any(MARK in secret or secret in MARK for secret in found))


@pytest.mark.parametrize("form", ENCODED.values(), ids=ENCODED.keys())
def test_every_encoding_is_found(form: str) -> None:
    assert Redactor([SECRET]).text(f"({form})") == (f"({MARK})", 1)


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(3))
def test_base64_is_found_at_every_alignment(before: int, after: int) -> None:
    token = "ghp_abcdefghij0123456789"
    text = base64.b64encode(b"u" * before + token.encode() + b"x" * after).decode()
    found, count = Redactor([token]).text(text)
    assert count == 1
    left = [piece for piece in found.split(MARK) if piece]
    decoded = [base64.b64decode(piece[: len(piece) // 4 * 4]) for piece in left]
    assert not any(token[:3].encode() in piece for piece in decoded)


def test_basic_credentials_are_found() -> None:
    pair = base64.b64encode(b"admin:hunter2hunter2").decode()
    assert Redactor(["hunter2hunter2", pair]).text(f"Basic {pair}") == (f"Basic {MARK}", 1)
    partly, count = Redactor(["hunter2hunter2"]).text(f"Basic {pair}")
    assert count == 1
    assert "aHVudGVy" not in partly


@given(st.text("bcxyz0189", min_size=8, max_size=30), st.text(max_size=40), st.integers(4, 29))
def test_the_beginning_of_a_secret_at_the_end_is_taken_out(
    secret: str, before: str, kept: int
) -> None:
    part = secret[: max((len(secret) + 1) // 2, min(kept, len(secret) - 1))]
    data, count = Redactor([secret]).end((before + part).encode())
    assert data.endswith(MARK.encode()) and count == 1
    assert len(data) <= len(before.encode()) + len(MARK)
    assert Redactor([secret]).end(b"plain end") == (b"plain end", 0)


def test_an_end_is_no_oracle_for_guesses() -> None:
    """An agent that writes the end of an answer learns nothing from guess after guess."""
    secret = "tok-Zx81QpLm39TtRw77"
    for length in range(4, len(secret) // 2):
        guess = f"answer {secret[:length]}".encode()
        assert Redactor([secret]).end(guess) == (guess, 0)


def test_short_secrets_are_left_alone() -> None:
    assert Redactor(["abcde", ""]).text("abcde") == ("abcde", 0)
    assert Redactor([]).bytes(b"anything") == (b"anything", 0)


def test_overlapping_secrets_become_one_mark() -> None:
    assert Redactor(["abcdefgh", "efghijkl"]).text("<abcdefghijkl>") == (f"<{MARK}>", 1)
    assert Redactor(["abcabc"]).text("abcabcabc") == (MARK, 1)


def test_neighbours_are_counted_one_by_one() -> None:
    assert Redactor(["secret1"]).text("secret1secret1") == (MARK * 2, 2)


def test_binary_data_passes() -> None:
    data = bytes(range(256))
    assert Redactor(["secret1"]).bytes(data + b"secret1" + data) == (
        data + MARK.encode() + data,
        1,
    )


@st.composite
def _soup(draw: st.DrawFn) -> tuple[list[str], str]:
    found = draw(secrets)
    forms = [form for one in found for form in (one, quote(one, safe=""), json.dumps(one)[1:-1])]
    parts = st.one_of(st.sampled_from([*forms, MARK, "[red"]), st.text(max_size=8))
    return found, "".join(draw(st.lists(parts, max_size=8)))


@given(_soup())
def test_redacting_twice_changes_nothing(case: tuple[list[str], str]) -> None:
    found, text = case
    once, _ = Redactor(found).bytes(text.encode("utf-8", "surrogatepass"))
    assert Redactor(found).bytes(once) == (once, 0)


@given(_soup())
def test_nothing_leaks(case: tuple[list[str], str]) -> None:
    found, text = case
    clean, _ = Redactor(found).bytes(text.encode("utf-8", "surrogatepass"))
    for piece in clean.split(MARK.encode()):
        for secret in found:
            assert secret.encode() not in piece
            assert quote(secret, safe="").encode() not in piece
            assert json.dumps(secret)[1:-1].encode() not in piece


@given(_soup(), st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_a_stream_gives_what_the_whole_gives(case: tuple[list[str], str], sizes: list[int]) -> None:
    found, text = case
    data = text.encode("utf-8", "surrogatepass")
    stream = Redactor(found).stream()
    out, place, turn = b"", 0, 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        out += stream.feed(data[place : place + size])
        place, turn = place + size, turn + 1
    out += stream.finish()
    assert (out, stream.count) == Redactor(found).bytes(data)


def test_what_may_begin_a_secret_does_not_hide_the_next_beginning() -> None:
    """``30`` may begin ``000000`` in hexadecimal; its second byte may begin the secret itself."""
    stream = Redactor(["000000"]).stream()
    assert stream.feed(b"data: 3") == b"data: "
    assert stream.feed(b"0") == b""
    assert stream.feed(b"00000") + stream.finish() == b"3" + MARK.encode()


@given(st.integers(0, len("token-abcdefgh")))
def test_a_cut_stream_shows_no_part_of_a_secret(kept: int) -> None:
    stream = Redactor(["token-abcdefgh"]).stream()
    text = stream.feed(b"x" * 500 + b"token-abcdefgh"[:kept])
    assert b"t" not in text


@pytest.mark.parametrize("size", [1_000, 1_048_577, 3_000_000])
def test_a_large_piece_that_was_cut_shows_no_part_of_a_secret(size: int) -> None:
    secret = "canary+part/whole=end"
    escaped = "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in secret)
    for cut in (secret[:9], escaped[:-1]):
        given_ = b"." * size + cut.encode()
        assert Redactor([secret]).stream().feed(given_) == b"." * size


def test_a_stream_holds_little() -> None:
    redactor = Redactor(["token-abcdefgh"])
    stream = redactor.stream()
    given_out = sum(len(stream.feed(b"x" * 100)) for _ in range(100))
    assert 10_000 - given_out <= max(redactor.longest, len(MARK))


@pytest.mark.timeout(240)  # its megabytes overlap at every byte
def test_a_stream_of_nothing_but_overlaps_is_bounded() -> None:
    stream = Redactor(["aaaaaa"]).stream()
    out = b"".join(stream.feed(b"a" * 300_000) for _ in range(5)) + stream.finish()
    assert set(out.split(MARK.encode())) <= {b"", b"a", b"aa", b"aaa", b"aaaa", b"aaaaa"}


def _spelled(char: str, way: int) -> str:
    """Return a character in one of the ways that an echo may write it."""
    raw = char.encode()
    return (
        char, f"\\u{ord(char):04x}", f"\\u{ord(char):04X}",
        "".join(f"%{byte:02x}" for byte in raw), "".join(f"%{byte:02X}" for byte in raw),
        f"&#{ord(char)};", f"&#x{ord(char):X};", f"&#x00{ord(char):x};",
    )[way]  # fmt: skip


@pytest.mark.requirement("T47")
@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Cs"]),
            min_size=6, max_size=20),
    st.data(),
)  # fmt: skip
def test_any_mixture_of_escapes_is_found(secret: str, data: st.DataObject) -> None:
    assume("\\u" not in secret)  # its own characters begin an escape
    ways = data.draw(st.lists(st.integers(0, 7), min_size=len(secret), max_size=len(secret)))
    text = "".join(map(_spelled, secret, ways))
    # A last "&" may count as itself; the rest of its escape says no more than that it was one.
    rest = r"(?:#x?[0-9A-Fa-f]+;|u[0-9A-Fa-f]{4}|[0-9A-Fa-f]{2})?"
    cleaned = Redactor([secret]).text(f"<<{text}>>")[0]
    assert re.fullmatch(rf"<<\[redacted\]{rest}>>", cleaned), cleaned


@pytest.mark.requirement("T47")
def test_broken_lines_and_wide_characters_are_found() -> None:
    secret = "sk_live_0123456789abcdef"
    lines = base64.encodebytes(b"x" * 50 + secret.encode() + b"y" * 50)
    escaped = lines.replace(b"\n", b"\\r\\n")
    digits = base64.b64encode(secret.encode())[2:20]
    for data in (lines, escaped):
        clean = Redactor([secret]).bytes(data)[0]
        assert digits not in clean.replace(b"\n", b"").replace(b"\\r\\n", b"")
    for wide in ("utf-16-le", "utf-16-be"):
        assert Redactor([secret]).bytes(secret.encode(wide))[0] == b"[redacted]"


@pytest.mark.requirement("T47")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_secret_with_western_letters_is_found_in_older_encodings(encoding: str) -> None:
    secret = "geheim-für-\u20ac-\xe9t\xe9" if encoding == "cp1252" else "geheim-für-\xe9t\xe9"
    raw = secret.encode(encoding)
    redactor = Redactor([secret])
    for form in (raw, raw.hex().encode(), quote(raw).encode(), base64.b64encode(raw)):
        assert redactor.bytes(b"<<" + form + b">>") == (b"<<[redacted]>>", 1)
    assert redactor.text(f"<<{secret}>>") == ("<<[redacted]>>", 1)


@pytest.mark.requirement("T47")
def test_a_text_in_which_a_secret_begins_within_a_character_stays_a_text() -> None:
    found, count = Redactor(["\xa9abcdefgh"]).text("<\xe9abcdefgh>")
    assert count == 1 and "abcdefgh" not in found


@given(_soup(), st.text(st.characters(max_codepoint=0x2FF), max_size=60))
def test_a_stream_holds_what_could_go_on_and_nothing_else(
    case: tuple[list[str], str], text: str
) -> None:
    found, _ = case
    data = text.encode()
    held = len(data) - len(Redactor(found).stream().feed(data))
    assert held < max(Redactor(found).longest, 1)


@pytest.mark.parametrize("form", ENCODED.values(), ids=ENCODED.keys())
def test_every_beginning_of_every_encoding_is_held(form: str) -> None:
    data = form.encode()
    for kept in range(1, len(data)):
        stream = Redactor([SECRET]).stream()
        assert stream.feed(b"data: " + data[:kept]) == b"data: ", kept
        assert stream.feed(data[kept:] + b"\n") == f"{MARK}\n".encode()


@pytest.mark.requirement("GW-1")
@given(st.data())
def test_a_long_stream_gives_what_the_whole_gives_wherever_it_is_cut(data: st.DataObject) -> None:
    """Secrets that overlap in long chains, marks, and beginnings, around every cut."""
    redactor = Redactor(["abcabcabcabc", "\x00\x00\x00\x00\x00\x01"])
    parts = st.sampled_from(
        ["abc", "abcabcabcabc", MARK, MARK[:5], "%61", "YWJj", "\x00", "x" * 99]
    )
    text = "".join(data.draw(st.lists(parts, min_size=1, max_size=60))).encode()
    sizes = data.draw(st.lists(st.integers(1, 700), min_size=1, max_size=8))
    stream, place, found = redactor.stream(), 0, b""
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        found += stream.feed(text[place : place + size])
        place += size
        if place >= len(text):
            break
    assert (found + stream.finish(), stream.count) == redactor.bytes(text)


def test_an_event_passes_at_once() -> None:
    stream = Redactor([SECRET, "ghp_abcdefghij0123456789"]).stream()
    for event in (b"data: one\n\n", b'event: x\ndata: {"a": [1, 2]}\n\n', b": ping\n\n"):
        assert stream.feed(event) == event
