"""Masking: what is found goes, what is not stays byte for byte, and doubt withholds all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.masking import MARK, MAX_MASKED, Mask, mask_body, mask_of, mask_text, masked
from app.core.outcome import HttpResult

pytestmark = pytest.mark.requirement("POL-4")

CARD = "4111 1111 1111 1111"
EVERY = Mask(kinds=("email", "card", "phone", "key"))


def answer(body: bytes, *headers: tuple[str, str], truncated: bool = False) -> HttpResult:
    lines = headers or (("content-type", "application/json"),)
    return HttpResult(200, lines, body, truncated=truncated)


def seen(document: object, mask: Mask) -> Any:
    body, _ = mask_body(json.dumps(document).encode(), mask)
    return json.loads(body)


def test_members_go_by_name_at_any_depth_and_by_pointer() -> None:
    document = {"a": {"Email": "x"}, "list": [{"id": 1, "name": "n"}, {"id": 2}], "n/m": 3}
    assert seen(document, Mask(fields=("email",)))["a"] == {"Email": MARK}
    assert seen(document, Mask(fields=("/list/*/id", "/n~1m"))) == {
        "a": {"Email": "x"},
        "list": [{"id": MARK, "name": "n"}, {"id": MARK}],
        "n/m": MARK,
    }
    assert seen(document, Mask(fields=("/list/1",)))["list"][1] == MARK


@pytest.mark.parametrize(
    "text",
    [
        "write to ann.o+x@mail.example.org now", f"card {CARD}.", "4111-1111-1111-1111",
        "call +49 30 1234567", "(555) 123-4567", "ask_abcdefghijklmnopqrstuv",
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_kinds_find_what_they_name(text: str) -> None:
    clean, count = mask_text(text, EVERY)
    assert count == 1 and MARK in clean and mask_text(clean, EVERY) == (clean, 0)


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "2026-11-26 20:11", "version 1.2.3.4", "a@b", "task_1", "12345"]
)
def test_kinds_leave_what_only_looks_alike(text: str) -> None:
    assert mask_text(text, EVERY) == (text, 0)


def test_escapes_hide_nothing_and_numbers_are_looked_at() -> None:
    body = b'{"t": "ann\\u0040example.org", "n": 4111111111111111, "ann@example.org": 1}'
    clean, count = mask_body(body, EVERY)
    assert json.loads(clean) == {"t": MARK, "n": MARK, MARK: 1} and count == 3


def test_what_is_not_touched_stays_as_it_was_written() -> None:
    body = b'{ "a" : 1.0 , "b":12345678901234567890,"c":1e3}'
    assert mask_body(body, Mask(fields=("x",))) == (body, 0)
    clean, _ = mask_body(body[:-1] + b',"x":"y"}', Mask(fields=("x",)))
    assert clean == b'{"a":1.0,"b":12345678901234567890,"c":1e3,"x":"[masked]"}'


@pytest.mark.parametrize(
    ("body", "mask"),
    [
        (b'{"a":1,"a":2}', Mask(fields=("a",))), (b'{"a":NaN}', Mask(fields=("a",))),
        (b'{"a":1', EVERY), (b'{"a":1} x', EVERY), (b"plain", Mask(fields=("a",))),
        (b"\xff\xfe", EVERY), (b"[" * 100_000, EVERY), (b'"\\ud800 a@b.example"', EVERY),
    ],
)  # fmt: skip
def test_what_cannot_be_read_for_sure_is_withheld(body: bytes, mask: Mask) -> None:
    result = masked(answer(body), mask)
    assert result.body == MARK.encode() and result.redacted == 1
    assert dict(result.headers)["content-type"].startswith("text/plain")


def test_a_cut_or_overlong_or_coded_answer_shows_nothing() -> None:
    cut = masked(answer(b'{"a":"x"', truncated=True), EVERY)
    assert (cut.body, cut.truncated) == (b"", True)
    long = masked(answer(b"x" * (MAX_MASKED + 1)), EVERY)
    assert (long.body, long.truncated) == (b"", True)
    coded = masked(answer(b"{}", ("content-encoding", "br")), EVERY)
    assert coded.body == MARK.encode()


def test_headers_are_looked_at_and_what_no_longer_fits_goes() -> None:
    lines = (("location", "/u/ann@example.org"), ("etag", "x"), ("x-name", "Ann"), ("a", "b"))
    result = masked(answer(b'{"name":"Ann"}', *lines), Mask(("name", "X-Name"), (), ("email",)))
    assert dict(result.headers) == {"location": f"/u/{MARK}", "x-name": MARK, "a": "b"}
    assert result.redacted == 3
    plain = answer(b"", *lines)
    assert masked(plain, Mask(fields=("zzz",))) == plain


def test_the_mask_is_in_the_stored_verdict() -> None:
    duties = [{"kind": "redact", "fields": ["a"]}, {"kind": "tag", "tag": "redact"},
              {"kind": "redact", "kinds": ["email"]}]  # fmt: skip
    assert mask_of(json.dumps({"obligations": duties})) == Mask(("a",), (), ("email",))
    assert mask_of(json.dumps({"obligations": [], "reasons": ["redact"]})) is None
    assert mask_of(json.dumps({"obligations": [duties[1]]})) is None


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["secret", "a", "b", "Ä"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def holds(value: object, needle: str) -> bool:
    return needle in json.dumps(value, ensure_ascii=False)


@given(document=JSONS, mark=st.sampled_from(["needle@example.org", CARD]))
def test_nothing_that_is_masked_is_left_and_a_second_time_changes_nothing(
    document: object, mark: str
) -> None:
    mask = Mask(("secret", "/0/a"), (), ("email", "card"))
    body = json.dumps({"d": document, "secret": [mark], "t": f"<{mark}>"}).encode()
    clean, count = mask_body(body, mask)
    assert count >= 2 and not holds(json.loads(clean), mark)
    assert mask_body(clean, mask) == (clean, 0)


@given(document=JSONS)
def test_a_mask_that_finds_nothing_changes_no_byte(document: object) -> None:
    body = json.dumps(document).encode()
    assert mask_body(body, Mask(fields=("nowhere", "/x/y/z/9"))) == (body, 0)
