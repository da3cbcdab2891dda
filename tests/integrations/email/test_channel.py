"""Mail over a real SMTP server: what arrives, in which thread, and what failures become."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.ports import DeliveryFailed, Digest
from app.core.request import Status
from tests.integrations.email.conftest import Reader, channel, plain_words
from tests.support.cards import LINK, card
from tests.support.smtp import MailSink, parts
from tests.support.upstream import Authority

pytestmark = pytest.mark.requirement("CH-3")
BEN = "ben@example.org"


async def test_one_thread_a_request_and_a_follow_up_on_the_decision() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        posted = await mail.deliver(card(), BEN)
        same = await mail.refresh(card(version=2), BEN, posted.reference)
        assert same == posted
        done = card(status=Status.APPROVED, pending=False, version=3, state="Approved by Ada")
        after = await mail.refresh(done, BEN, posted.reference)
        again = await mail.refresh(done, BEN, after.reference)
        assert again == after
        await sink.until(lambda: len(sink.mails) == 2)
    first, second = sink.mails
    assert (first["To"], first["From"]) == (BEN, "Assentry <gate@example.org>")
    assert first["Auto-Submitted"] == "auto-generated" and first["Date"]
    assert first["X-Auto-Response-Suppress"] == "All"
    assert first["Subject"] == second["Subject"] and "send" in first["Subject"]
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == first["Message-ID"] == second["References"]
    assert second["Message-ID"] != first["Message-ID"]
    assert LINK in parts(first)[0] and LINK not in parts(second)[0]
    assert "Approved by Ada" in parts(second)[0]
    assert posted.complete and len(posted.display) == 64


async def test_what_arrives_says_the_same_as_text_and_as_html() -> None:
    async with MailSink() as sink:
        words = "Grüße\n.\n..\nFrom here <b>\n" + "long " * 400
        await channel(sink).deliver(card(words, "trailing   \n\n.\nend"), BEN)
        await sink.until(lambda: len(sink.mails) == 1)
    text, page = parts(sink.mails[0])
    assert Reader(page).words == plain_words(text)
    assert "\n> trailing   \n> \n> .\n> end\n" in text
    assert max(map(len, sink.raw[0].split(b"\r\n"))) < 998


async def test_every_end_of_a_request_is_told_once() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        told = await mail.deliver(card(), BEN)
        for version, status in enumerate(
            (Status.APPROVED, Status.EXECUTING, Status.UNKNOWN, Status.SUCCEEDED), 2
        ):
            now = card(status=status, pending=False, version=version)
            for _ in range(3):
                told = await mail.refresh(now, BEN, told.reference)
        late = await mail.refresh(card(status=Status.PENDING, version=1), BEN, told.reference)
        assert late.reference == told.reference
        await sink.until(lambda: len(sink.mails) == 4)
    assert told.reference["status"] == "succeeded"
    assert len({mail["Message-ID"] for mail in sink.mails}) == 4
    assert {mail["References"] for mail in sink.mails[1:]} == {sink.mails[0]["Message-ID"]}


async def test_the_steps_on_the_way_are_not_told_where_the_end_will_be() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        told = await mail.deliver(card(), BEN)
        for version, status in enumerate((Status.APPROVED, Status.EXECUTING), 2):
            now = card(status=status, pending=False, version=version, sent=False)
            told = await mail.refresh(now, BEN, told.reference)
        done = card(status=Status.SUCCEEDED, pending=False, version=4)
        told = await mail.refresh(done, BEN, told.reference)
        await sink.until(lambda: len(sink.mails) == 2)
    assert told.reference["status"] == "succeeded"


@pytest.mark.requirement("T9")
async def test_what_is_withdrawn_is_told_only_after_a_decision() -> None:
    gone = card(status=Status.CANCELLED, pending=False, version=3, state="Withdrawn")
    async with MailSink() as sink:
        mail = channel(sink)
        posted = await mail.deliver(card(), BEN)
        assert await mail.refresh(gone, BEN, posted.reference) == posted
        approved = card(status=Status.APPROVED, pending=False, version=2)
        told = await mail.refresh(approved, BEN, posted.reference)
        assert (await mail.refresh(gone, BEN, told.reference)).reference["status"] == "cancelled"
        await sink.until(lambda: len(sink.mails) == 3)
    assert "Withdrawn" in parts(sink.mails[2])[0]


@pytest.mark.requirement("DEC-6")
async def test_a_reminder_stands_in_the_requests_thread() -> None:
    async with MailSink() as sink:
        await channel(sink).deliver(card(), BEN)
        await channel(sink).deliver(card(version=2), BEN)
        await sink.until(lambda: len(sink.mails) == 2)
    first, reminder = sink.mails
    assert reminder["References"] == first["Message-ID"] != reminder["Message-ID"]
    assert LINK in parts(reminder)[0]


async def test_sending_again_has_the_same_message_id() -> None:
    async with MailSink() as sink:
        for _ in range(2):
            await channel(sink).deliver(card(), BEN)
        await channel(sink).deliver(card(), "eve@example.org")
        await sink.until(lambda: len(sink.mails) == 3)
    one, two, three = (mail["Message-ID"] for mail in sink.mails)
    assert one == two != three


@pytest.mark.requirement("T4")
async def test_what_does_not_fit_is_counted_and_decides_nothing() -> None:
    async with MailSink() as sink:
        posted = await channel(sink).deliver(card("x" * 200_000 + "TAIL"), BEN)
        await sink.until(lambda: len(sink.mails) == 1)
    text, page = parts(sink.mails[0])
    assert not posted.complete and posted.reference["complete"] is False
    assert "are not shown" in text and "TAIL" in text and "TAIL" in page
    assert LINK not in text + page


@pytest.mark.requirement("T20")
async def test_no_field_makes_a_header_or_a_recipient() -> None:
    async with MailSink() as sink:
        mail = channel(sink)
        evil = replace(card(), headline="POST x\r\nBcc: eve@example.org")
        await mail.deliver(evil, BEN)
        for recipient in ("ben@example.org\r\nBcc: eve@example.org", "Ben <ben@example.org>",
                          "ben@example.org,eve@example.org", "", "ben"):  # fmt: skip
            with pytest.raises(DeliveryFailed) as caught:
                await mail.deliver(card(), recipient)
            assert caught.value.permanent
        await sink.until(lambda: len(sink.mails) == 1)
    assert sink.mails[0]["Bcc"] is None
    assert sink.recipients == [BEN]


@pytest.mark.parametrize(
    ("fault", "permanent", "words"),
    [
        ({"rcpt": "550 no such user SERVERTEXT"}, True, "the recipient was refused (550)"),
        ({"rcpt": "451 SERVERTEXT"}, False, "the recipient was refused (451)"),
        ({"rcpt": "530 SERVERTEXT"}, False, "the recipient was refused (530)"),
        ({"sender": "550 SERVERTEXT"}, False, "refuses our sender address (550)"),
        ({"data": "554 SERVERTEXT"}, True, "answered 554"),
        ({"data": "452 SERVERTEXT"}, False, "answered 452"),
        ({"data": ""}, False, "the connection to the mail server broke"),
        ({"banner": "554 SERVERTEXT"}, False, "answered 554"),
        ({"banner": "SERVERTEXT, not SMTP"}, False, ""),
        ({"silent": True}, False, "did not answer in time"),
    ],
)
async def test_failures(fault: dict[str, Any], permanent: bool, words: str) -> None:
    async with MailSink(**fault) as sink:
        with pytest.raises(DeliveryFailed) as caught:
            await channel(sink, timeout=0.5).deliver(card(), BEN)
    assert caught.value.permanent is permanent
    assert words in caught.value.detail
    assert "SERVERTEXT" not in caught.value.detail
    assert sink.mails == []


async def test_what_was_taken_is_not_sent_again_when_the_server_leaves() -> None:
    async with MailSink(leaves=True) as sink:
        assert (await channel(sink).deliver(card(), BEN)).complete
        assert len(sink.mails) == 1


async def test_letters_that_the_server_does_not_take() -> None:
    async with MailSink(utf8=False) as sink:
        with pytest.raises(DeliveryFailed, match="SMTPUTF8") as caught:
            await channel(sink).deliver(card(), "jürgen@example.org")
        assert caught.value.permanent
    async with MailSink() as sink:
        await channel(sink).deliver(card(), "jürgen@example.org")
        assert sink.mails[0]["To"] == "jürgen@example.org"


async def test_signing_in_and_the_check() -> None:
    async with MailSink(password="open-sesame") as sink:
        given = {"username": "gate", "password": SecretStr("open-sesame")}
        said = await channel(sink, **given).check()
        assert said == f"127.0.0.1:{sink.port} as gate@example.org"
        assert sink.signed_in == 1
        with pytest.raises(DeliveryFailed, match="name or password") as caught:
            await channel(sink, username="gate", password=SecretStr("wrong")).check()
        assert not caught.value.permanent and "wrong" not in caught.value.detail
        with pytest.raises(DeliveryFailed) as caught:
            await channel(sink).deliver(card(), BEN)
        assert not caught.value.permanent
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        await channel(sink).check()
    async with MailSink() as open_sink:
        with pytest.raises(DeliveryFailed, match="AUTH"):
            await channel(open_sink, **given).check()


def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Trust an authority as an operator would: by the file that OpenSSL looks at."""
    (der,) = authority.client_context().get_ca_certs(binary_form=True)
    (folder / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(der), "ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_with_a_certificate_that_is_trusted(
    security: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority()
    trust(authority, monkeypatch, tmp_path)
    given = {"username": "gate", "password": SecretStr("open-sesame")}
    async with MailSink(
        tls=authority.server_context(), wrapped=security == "tls", password="open-sesame"
    ) as sink:
        mail = channel(sink, security=security, **given)
        await mail.deliver(card(), BEN)
        await mail.check()
        await sink.until(lambda: len(sink.mails) == 1)
    assert sink.encrypted == [True] and sink.signed_in == 2


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_stranger_s_certificate_gets_no_password(security: str) -> None:
    given = {"username": "gate", "password": SecretStr("open-sesame")}
    tls = Authority().server_context()
    async with MailSink(tls=tls, wrapped=security == "tls", password="open-sesame") as sink:
        with pytest.raises(DeliveryFailed, match="certificate is not one that we trust") as caught:
            await channel(sink, security=security, **given).deliver(card(), BEN)
    assert not caught.value.permanent
    assert sink.signed_in == 0 and sink.mails == []


async def test_plain_text_is_never_a_fallback() -> None:
    async with MailSink() as sink:
        with pytest.raises(DeliveryFailed, match="STARTTLS"):
            await channel(sink, security="starttls").deliver(card(), BEN)
        with pytest.raises(DeliveryFailed, match="TLS"):
            await channel(sink, security="tls").deliver(card(), BEN)
    assert sink.mails == []


async def test_a_digest() -> None:
    async with MailSink() as sink:
        digest = Digest("2 requests wait", ("a <b>: soon", "c: later"), "https://gate.example/")
        posted = await channel(sink).digest(digest, BEN)
        await sink.until(lambda: len(sink.mails) == 1)
    text, page = parts(sink.mails[0])
    assert "a <b>: soon" in text and "a &lt;b&gt;: soon" in page
    assert sink.mails[0]["Subject"] == "[Assentry] 2 requests wait"
    assert not posted.complete
