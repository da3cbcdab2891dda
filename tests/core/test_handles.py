"""Handles in calls: where they are found, and how their values are written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.action import HttpAction
from app.core.errors import Invalid, InvalidAction
from app.core.handles import Handle, fill_body, fill_headers, fill_query, handles_in

pytestmark = pytest.mark.requirement("VLT-2")

TOKEN = Handle("default", "shop.eu", "token")
TEXT = "{{default/shop.eu.token}}"
JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)


def call(path: str = "/a", query: str = "", headers: tuple[tuple[str, str], ...] = (),
         body: bytes = b"") -> HttpAction:  # fmt: skip
    return HttpAction("POST", path, query, headers, body)


@pytest.mark.parametrize(
    "action",
    [
        call(headers=(("x-key", f"Token {TEXT}"),)),
        call(query="key=%7B%7Bdefault/shop.eu.token%7D%7D"),
        call(query="key=%7b%7Bdefault%2fshop.eu.token%7D%7d&a=1"),
        call(headers=JSON, body=f'{{"a":["{TEXT}"]}}'.encode()),
        call(headers=JSON, body=b'{"a":"{{default\\/shop.eu.token}}"}'),
        call(headers=FORM, body=b"a=%7B%7Bdefault%2Fshop.eu.token%7D%7D"),
        call(headers=FORM, body=f"a={TEXT}".encode()),
        call(headers=(("content-type", "text/plain; charset=utf-8"),), body=TEXT.encode()),
        call(body=f"é {TEXT}".encode()),
    ],
)
def test_a_handle_is_found_where_it_may_stand(action: HttpAction) -> None:
    assert handles_in(action) == (TOKEN,)


@pytest.mark.parametrize(
    "text",
    ["{{shop.token}}", "{{ default/shop.token }}", "{{Default/shop.token}}", "{default/shop.token}",
     "{{default/shop}}", "{{default/shop.to ken}}", "{{{ }}", "{{/shop.token}}"],
)  # fmt: skip
def test_what_is_no_handle_to_the_letter_is_text(text: str) -> None:
    action = call(headers=(("x-a", text), *JSON), body=json.dumps({"a": text}).encode())
    assert handles_in(action) == ()
    assert fill_headers(action.headers, {}) == action.headers
    assert fill_body(action.body, action.headers, {}) == action.body


def test_other_bodies_are_left_alone() -> None:
    for headers, body in (
        ((("content-type", "application/octet-stream"),), TEXT.encode()),
        ((("content-type", "text/plain"),), b"\xff" + TEXT.encode()),
    ):
        assert handles_in(call(headers=headers, body=body)) == ()
        assert fill_body(body, headers, {}) == body


def test_a_handle_in_the_path_or_in_broken_json_is_refused() -> None:
    with pytest.raises(InvalidAction, match="path"):
        handles_in(call(path="/x/%7B%7Bdefault/shop.eu.token%7D%7D"))
    with pytest.raises(Invalid):
        handles_in(call(headers=JSON, body=f'{{"a":"{TEXT}"'.encode()))


def test_values_are_written_as_their_place_wants() -> None:
    value = 'a"b\\c&d=é <x>'
    values = {TOKEN.text: value}
    body = fill_body(f'{{"n":1.0, "a":"<{TEXT}>"}}'.encode(), JSON, values)
    assert body.startswith(b'{"n":1.0, "a"') and json.loads(body)["a"] == f"<{value}>"
    assert fill_query("k=%7B%7Bdefault/shop.eu.token%7D%7D&z", values) == (
        "k=a%22b%5Cc%26d%3D%C3%A9%20%3Cx%3E&z"
    )
    assert fill_body(f"k={TEXT}".encode(), FORM, values) == (b"k=a%22b%5Cc%26d%3D%C3%A9%20%3Cx%3E")
    assert fill_body(TEXT.encode(), (), values).decode() == value
    xml = fill_body(f"<a>{TEXT}</a>".encode(), (("content-type", "text/xml"),), values)
    assert xml.decode() == "<a>a&quot;b\\c&amp;d=é &lt;x&gt;</a>"
    assert fill_headers((("x-a", f"k={TEXT}"),), {TOKEN.text: "abc"}) == (("x-a", "k=abc"),)


@pytest.mark.parametrize("value", ["line\r\nX-Admin: 1", "é", " outer"])
def test_a_value_that_no_header_takes_is_refused(value: str) -> None:
    with pytest.raises(InvalidAction) as refused:
        fill_headers((("x-a", TEXT),), {TOKEN.text: value})
    assert value not in refused.value.detail


def test_a_handle_without_a_value_is_refused() -> None:
    with pytest.raises(InvalidAction, match="no value"):
        fill_body(TEXT.encode(), (), {})


@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_value_never_changes_the_structure(value: str) -> None:
    body = fill_body(json.dumps({"a": TEXT, "b": 1}).encode(), JSON, {TOKEN.text: value})
    assert json.loads(body) == {"a": value, "b": 1}
