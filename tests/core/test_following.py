"""Messages lose secrets that are spread over them, and keep everything else."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.following import Following
from app.core.redaction import Redactor

SECRET = "s3cr3t/+Token=42"
MARK = b"[redacted]"
FORMS = (
    *(SECRET, quote(SECRET, safe=""), json.dumps(SECRET).replace("/", "\\/")[1:-1]),
    *(SECRET.encode().hex(), base64.b64encode(SECRET.encode()).decode()),
)  # fmt: skip

pytestmark = pytest.mark.requirement("T47", "T60")


def said(messages: list[bytes], *secrets: str) -> tuple[list[bytes], int]:
    """Return the messages as they are given out, and how many places were replaced."""
    following = Following(Redactor(secrets or (SECRET,)))
    return [following.clean(message) for message in messages], following.count


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data in messages."""
    ends = [*sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


@given(
    form=st.sampled_from(FORMS),
    around=st.tuples(st.binary(max_size=40), st.binary(max_size=40)),
    places=st.lists(st.integers(0, 120), max_size=12),
)
def test_of_a_secret_in_pieces_less_than_half_shows(
    form: str, around: tuple[bytes, bytes], places: list[int]
) -> None:
    before, after = (part.replace(b"s", b"-") for part in around)
    out, count = said(cut(before + form.encode() + after, places))
    whole = b"".join(out).replace(MARK, b"")
    assert count and form.encode() not in whole
    shown = whole[len(before) :].removesuffix(after)
    assert len(shown) < (len(form) + 1) // 2
    assert form.encode().startswith(shown) or not shown


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_other_messages_stay_as_they_are(messages: list[bytes]) -> None:
    harmless = [message.replace(b"s", b"-") for message in messages]
    assert said(harmless) == (harmless, 0)


def test_one_character_after_the_other() -> None:
    out, _ = said([bytes((byte,)) for byte in b"key: " + SECRET.encode() + b" end"])
    assert b"".join(out).replace(MARK, b"") == b"key: " + SECRET[:7].encode() + b" end"


def test_a_secret_in_one_message_is_one_place() -> None:
    assert said([f"a {SECRET} b {SECRET} c".encode(), b"d"]) == (
        [b"a [redacted] b [redacted] c", b"d"], 2,
    )  # fmt: skip


def test_the_end_of_a_message_may_be_the_beginning_of_a_secret() -> None:
    out, count = said([b"a " + SECRET[:12].encode(), SECRET[12:].encode() + b" b", b"c"])
    assert (out, count) == ([b"a [redacted]", b"[redacted] b", b"c"], 2)
    assert said([b"a " + SECRET[:12].encode(), b" b"])[0] == [b"a [redacted]", b" b"]


def test_without_secrets_nothing_is_looked_at() -> None:
    message = b"anything"
    assert Following(Redactor(())).clean(message) is message
