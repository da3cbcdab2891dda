"""Mail over a real SMTP server: what arrives, in which thread, and what failures become."""

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.clock import SystemClock
from app.core.action import PlainAction, Submission, Urgency
from app.core.approval_card import ApprovalCard, Standing, approval_card
from app.core.card import card_of
from app.core.ports import DeliveryFailed, Digest
from app.core.request import Status
from app.core.visible import is_hidden
from integrations.email.channel import EmailChannel
from integrations.email.paint import MOST, letter
from integrations.email.settings import EmailSettings
from tests.support.smtp import MailSink, parts

pytestmark = pytest.mark.requirement("CH-3")

STANDING = Standing(
    request_id="req_1", digest="d" * 64, version=1, status=Status.PENDING,
    state="Waiting: 0 of 1 approvals", urgency="normal", risk="high",
    risk_reasons=("deletes data (60)",), facts=(("Agent", "robot"), ("Owner", "Olga")),
    seats=("any approver: open",), timeline=("2026-11-21 05:00:00 UTC submitted by robot",),
    pending=True, reason_required=False, url="https://gate.example/requests/req_1",
)  # fmt: skip


def card(text: str = "hello", reason: str = "please", **standing: Any) -> ApprovalCard:
    asked = Submission("agt_1", PlainAction("send", {"text": text}), None, Urgency.NORMAL,
                       reason, {"note": text})  # fmt: skip
    made = approval_card(card_of(asked, ("Authorization: <mail>",)), replace(STANDING, **standing))
    return replace(made, link="https://gate.example/l/abc", token="t")


def channel(sink: MailSink, **given: object) -> EmailChannel:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "security": "none",
              "sender": "gate@example.org", "timeout": 3.0, **given}  # fmt: skip
    return EmailChannel(EmailSettings.model_validate(values), SystemClock())


async def test_text_and_html_say_the_same_in_one_thread() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        posted = await mail.deliver(card(), "ben@example.org")
        same = await mail.refresh(card(version=2), "ben@example.org", posted.reference)
        assert same.reference == posted.reference
        done = card(status=Status.APPROVED, pending=False, version=3, state="Approved by Ada")
        after = await mail.refresh(done, "ben@example.org", posted.reference)
        again = await mail.refresh(done, "ben@example.org", after.reference)
        assert again.reference == after.reference
        await sink.until(lambda: len(sink.mails) == 2)
    first, second = sink.mails
    assert (first["To"], first["From"]) == ("ben@example.org", "Assentry <gate@example.org>")
    assert first["Auto-Submitted"] == "auto-generated" and first["Date"]
    assert first["Subject"] == second["Subject"] and "send" in first["Subject"]
    assert second["In-Reply-To"] == first["Message-ID"] == second["References"]
    assert second["Message-ID"] != first["Message-ID"]
    text, page = parts(first)
    said = html.unescape(re.sub(r"<[^>]+>", " ", page))
    for words in ("hello", "Authorization: <mail>", "Olga", "deletes data (60)", "please",
                  "any approver: open", "req_1", "dddddddddddd", "Waiting: 0 of 1"):  # fmt: skip
        assert words in text and words in said, words
    assert "https://gate.example/l/abc" in text and "https://gate.example/l/abc" in page
    assert text.index("https://gate.example/l/abc") < text.index("please")
    assert "https://gate.example/l/abc" not in parts(second)[0]
    assert posted.complete and len(posted.display) == 64


@pytest.mark.requirement("T4")
async def test_what_does_not_fit_is_counted_and_decides_nothing() -> None:
    async with MailSink() as sink:
        posted = await channel(sink).deliver(card("x" * (MOST * 2) + "TAIL"), "ben@example.org")
        await sink.until(lambda: len(sink.mails) == 1)
    text, page = parts(sink.mails[0])
    assert not posted.complete
    assert "are not shown" in text and "TAIL" in text and "TAIL" in page
    assert "https://gate.example/l/abc" not in text + page


NASTY = st.text(st.characters(), max_size=80) | st.sampled_from(
    ["\r\nBcc: eve@example.org", "</pre><script>x</script>", "\u202eevil", "{{ 7 * 7 }}", "\x00"]
)


def _elements(page: str) -> list[str]:
    return re.findall(r"<[a-z]", page)


@pytest.mark.requirement("T5", "T6", "T20", "CH-5")
@settings(max_examples=150, deadline=None)
@given(NASTY, NASTY)
def test_nothing_an_agent_writes_is_more_than_text(text: str, reason: str) -> None:
    text, reason = (part.encode("utf-8", "replace").decode() for part in (text, reason))
    plain, evil = letter(card()), letter(card(text, reason))
    assert not any(is_hidden(char) for char in evil.text + evil.html)
    marks = evil.html.count("Mind:") - plain.html.count("Mind:")
    quotes = evil.html.count("<blockquote") - plain.html.count("<blockquote")
    more = marks + 2 * quotes  # the warning is one element, the quotation two
    assert len(_elements(evil.html)) == len(_elements(plain.html)) + more
    assert "\n" not in evil.subject and "\r" not in evil.subject


@pytest.mark.requirement("T20")
async def test_no_field_makes_a_header() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        evil = replace(card(), headline="POST x\r\nBcc: eve@example.org")
        await mail.deliver(evil, "ben@example.org")
        with pytest.raises(DeliveryFailed) as caught:
            await mail.deliver(card(), "ben@example.org\r\nBcc: eve@example.org")
        assert caught.value.permanent
        await sink.until(lambda: len(sink.mails) == 1)
    assert sink.mails[0]["Bcc"] is None


@pytest.mark.parametrize(
    ("fault", "permanent", "words"),
    [
        ({"rcpt": "550 no such user"}, True, "550"),
        ({"rcpt": "451 later"}, False, "451"),
        ({"data": "554 refused"}, True, "554"),
        ({"data": "452 full"}, False, "452"),
        ({"data": ""}, False, ""),
    ],
)
async def test_failures(fault: dict[str, Any], permanent: bool, words: str) -> None:
    async with MailSink(**fault) as sink:
        with pytest.raises(DeliveryFailed) as caught:
            await channel(sink).deliver(card(), "ben@example.org")
    assert caught.value.permanent is permanent
    assert words in caught.value.detail
    assert "user" not in caught.value.detail and "refused" not in caught.value.detail[:8]


async def test_signing_in_and_the_check() -> None:
    async with MailSink(password="open-sesame") as sink:
        given = {"username": "gate", "password": SecretStr("open-sesame")}
        assert (await channel(sink, **given).check()).endswith("as gate@example.org")
        with pytest.raises(DeliveryFailed, match="name or password"):
            await channel(sink, username="gate", password=SecretStr("wrong")).check()
    with pytest.raises(DeliveryFailed, match="could not be used"):
        await channel(sink).check()


async def test_a_digest() -> None:
    async with MailSink() as sink:
        digest = Digest("2 requests wait", ("a <b>: soon", "c: later"), "https://gate.example/")
        await channel(sink).digest(digest, "ben@example.org")
        await sink.until(lambda: len(sink.mails) == 1)
    text, page = parts(sink.mails[0])
    assert "a <b>: soon" in text and "a &lt;b&gt;: soon" in page


def test_settings_say_what_is_missing() -> None:
    assert not EmailSettings().enabled
    assert EmailSettings(host="x", sender="a@b").real_port == 587
    for wrong in ({"host": "x"}, {"host": "x", "sender": "a@b", "username": "u"},
                  {"host": "x", "sender": "a@b", "sender_name": "x\ny"}):  # fmt: skip
        with pytest.raises(ValidationError):
            EmailSettings.model_validate(wrong)
