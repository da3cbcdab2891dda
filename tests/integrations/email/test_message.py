"""Messages: whatever is in a card, the headers are ours alone (T20)."""

from dataclasses import replace
from email.parser import BytesParser
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.instant import Instant
from app.core.ports import DeliveryFailed
from integrations.email.message import Thread, message, message_id
from integrations.email.paint import letter
from integrations.email.settings import EmailSettings, is_address
from tests.support.cards import card

pytestmark = pytest.mark.requirement("CH-3", "T20")

OURS = EmailSettings(host="x", sender="gate@example.org", reply_to="help@example.org")
NOW = Instant(1_763_700_000_000_000)
HEADERS = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted",
           "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]  # fmt: skip
BREAKS = ("\r\nBcc: eve@example.org", "\nBcc: eve@example.org", "\rBcc: eve@example.org",
          "\r\n\r\n<html>", "\x0bBcc: e", "\x85Bcc: e", "\u2028Bcc: e", "\x00", "=?utf-8?q?=0A?=",
          "=??Q?=0ABcc:eve@example.org",
          "\n .\r\n", "\r\n.\r\nMAIL FROM:<eve@example.org>\r\n")  # fmt: skip
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(BREAKS)


def sent(**fields: str) -> bytes:
    """Return the bytes of a mail about a card whose fields nobody made visible."""
    made = letter(replace(card(), **fields))
    own = message_id(OURS, fields.get("request_id", "req_1"), "ben@example.org", "1")
    return message(OURS, made, "ben@example.org", Thread(own, own), NOW).as_bytes()


@settings(max_examples=200, deadline=None)
@given(ANY, ANY, st.sampled_from(["state", "verb", "consequence", "reason", "risk", "digest"]))
def test_no_field_makes_a_header(headline: str, other: str, name: str) -> None:
    data = sent(headline=headline, request_id=other, **{name: other})
    read = BytesParser(policy=default).parsebytes(data)
    assert read.keys() == HEADERS
    assert read["To"] == "ben@example.org"
    assert data.replace(b"\r\n", b"").count(b"\n") == data.replace(b"\r\n", b"").count(b"\r") == 0


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.sampled_from(BREAKS).map("ben@example.org".__add__))
def test_a_recipient_is_one_address_or_refused(recipient: str) -> None:
    content = letter(card())
    thread = Thread("<a@b>", "<a@b>")
    if is_address(recipient):
        made = message(OURS, content, recipient, thread, NOW)
        assert [address.addr_spec for address in made["To"].addresses] == [recipient]
        return
    with pytest.raises(DeliveryFailed, match="not an address") as caught:
        message(OURS, content, recipient, thread, NOW)
    assert caught.value.permanent


def test_ids_are_the_same_for_the_same_and_hold_nothing() -> None:
    one = message_id(OURS, "req_1", "ben@example.org", "1")
    assert one == message_id(OURS, "req_1", "ben@example.org", "1")
    others = [("req_1", "ben@example.org", "2"), ("req_1", "eve@example.org", "1"),
              ("req_2", "ben@example.org", "1")]  # fmt: skip
    assert len({one, *(message_id(OURS, *names) for names in others)}) == 4
    assert one.endswith("@example.org>") and "ben" not in one


def test_a_follow_up_names_the_first() -> None:
    made = message(OURS, letter(card()), "ben@example.org", Thread("<b@x>", "<a@x>"), NOW)
    assert (made["In-Reply-To"], made["References"]) == ("<a@x>", "<a@x>")
    assert made["Date"] == "Fri, 21 Nov 2025 04:40:00 +0000"
    assert made["Reply-To"] == "help@example.org"
