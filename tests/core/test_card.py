"""What a person is shown is computed by us and whole."""

import base64

import pytest

from app.core.action import BoundTarget, HttpAction, PlainAction, Submission, Urgency
from app.core.card import card_of

TARGET = BoundTarget("tgt_1", "github", "https://api.example.com/v3", 2)


def submission(action: HttpAction | PlainAction) -> Submission:
    target = TARGET if isinstance(action, HttpAction) else None
    return Submission("agt_1", action, target, Urgency.HIGH, "please", {"a": 1})


@pytest.mark.requirement("T4", "T7")
def test_an_http_call_is_shown_whole() -> None:
    body = b'{"text":"' + b"x" * 20_000 + b' rm -rf /"}'
    action = HttpAction("POST", "/a%20b", "q=1", (("content-type", "application/json"),), body)
    card = card_of(submission(action), ("Authorization: <github-prod>",))
    assert card.headline == "POST https://api.example.com/v3/a%20b?q=1"
    assert [block.title for block in card.blocks] == ["Call", "Headers", "Body"]
    assert card.blocks[0].text == card.headline
    assert card.blocks[2].exact.encode() == body
    assert "rm -rf /" in card.blocks[2].text
    assert card.added == ("Authorization: <github-prod>",)


def test_bytes_that_are_no_text_are_shown_as_base64_with_their_digest() -> None:
    body = bytes(range(256))
    card = card_of(submission(HttpAction("PUT", "/", "", (), body)), ())
    assert base64.b64decode(card.blocks[-1].text) == body
    assert "SHA-256" in card.blocks[-1].note


def test_text_that_is_no_json_is_shown_as_it_is() -> None:
    card = card_of(submission(HttpAction("PUT", "/", "", (), b"a=1&a=2")), ())
    assert card.blocks[-1].text == "a=1&a=2"


def test_a_plain_action_never_says_its_own_headline() -> None:
    card = card_of(submission(PlainAction("send_mail", {"headline": "GET safe"})), ())
    assert card.headline == card.verb == "send_mail"
    assert card.reason == "please"
