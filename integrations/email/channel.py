"""Sends cards by SMTP: one thread a request, a follow-up when it is decided (CH-3)."""

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import ClassVar, Final

import aiosmtplib

from app.clock import SystemClock
from app.core.approval_card import ApprovalCard
from app.core.instant import to_datetime
from app.core.json_types import JsonObject
from app.core.ports import DeliveryFailed, Digest, Posted
from integrations.email.paint import Letter, digest_letter, letter
from integrations.email.settings import EmailSettings

_PERMANENT: Final = range(500, 600)


class EmailChannel:
    """Mail to people's own addresses; a card for one person carries a one-click link."""

    name: ClassVar[str] = "email"
    wants_link: ClassVar[bool] = True

    def __init__(self, settings: EmailSettings, clock: SystemClock) -> None:
        """Keep the settings; a connection is made for each mail."""
        self._settings = settings
        self._clock = clock

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Send the first mail about a request.

        :raises DeliveryFailed: it was not taken.
        """
        return await self._send_card(card, recipient, first=True)

    async def refresh(self, card: ApprovalCard, recipient: str, reference: JsonObject) -> Posted:
        """Send a follow-up when the status is another one than was told last.

        :raises DeliveryFailed: it was not taken.
        """
        if reference.get("status") == card.status.value:
            shown = str(reference.get("display", ""))
            return Posted(reference, shown, complete=bool(reference.get("complete")))
        return await self._send_card(card, recipient, first=False)

    async def _send_card(self, card: ApprovalCard, recipient: str, *, first: bool) -> Posted:
        content = letter(card)
        thread = self._id(card.request_id, recipient, "first")
        own = thread if first else self._id(card.request_id, recipient, str(card.version))
        message = self._message(content, recipient, own)
        if not first:
            message["In-Reply-To"] = message["References"] = thread
        await self._send(message)
        painted = content.painted
        reference: JsonObject = {
            "message_id": own, "status": card.status.value, "display": painted.display,
            "complete": painted.complete,
        }  # fmt: skip
        return Posted(reference, painted.display, complete=painted.complete)

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Send a list of what waits.

        :raises DeliveryFailed: it was not taken.
        """
        seed = f"{digest.title}{digest.lines}{self._clock.now()}"
        own = self._id(hashlib.sha256(seed.encode()).hexdigest()[:24], recipient, "digest")
        await self._send(self._message(digest_letter(digest), recipient, own))
        return Posted({"message_id": own})

    async def check(self) -> str:
        """Return which server takes our mail.

        :raises DeliveryFailed: it does not answer, or does not let us in.
        """
        client = self._client()
        try:
            async with client:
                await self._sign_in(client)
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _failure(error) from None
        return f"{self._settings.host}:{self._settings.real_port} as {self._settings.sender}"

    async def close(self) -> None:
        """Let go of nothing; connections end with their mail."""

    def _id(self, request_id: str, recipient: str, what: str) -> str:
        seed = f"{request_id}\0{recipient}\0{what}".encode()
        domain = self._settings.sender.rsplit("@", 1)[1]
        return f"<{hashlib.sha256(seed).hexdigest()[:32]}@{domain}>"

    def _message(self, content: Letter, recipient: str, own: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = Address(self._settings.sender_name, addr_spec=self._settings.sender)
            message["To"] = Address(addr_spec=recipient)
        except (ValueError, IndexError) as error:
            detail = "this is not an address that mail can be sent to"
            raise DeliveryFailed(detail, permanent=True) from error
        message["Subject"] = " ".join(content.subject.split())
        message["Date"] = format_datetime(to_datetime(self._clock.now()))
        message["Message-ID"] = own
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(content.text, cte="quoted-printable")
        message.add_alternative(content.html, subtype="html", cte="quoted-printable")
        return message

    def _client(self) -> aiosmtplib.SMTP:
        given = self._settings
        return aiosmtplib.SMTP(
            hostname=given.host, port=given.real_port, timeout=given.timeout,
            use_tls=given.security == "tls", start_tls=given.security == "starttls",
        )  # fmt: skip

    async def _sign_in(self, client: aiosmtplib.SMTP) -> None:
        if self._settings.username:
            password = self._settings.password.get_secret_value()
            await client.login(self._settings.username, password)

    async def _send(self, message: EmailMessage) -> None:
        client = self._client()
        try:
            async with client:
                await self._sign_in(client)
                await client.send_message(message)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _failure(error) from None


def _failure(error: Exception) -> DeliveryFailed:
    """Return the failure in our own words: the server's may hold anything (T62)."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return DeliveryFailed("the mail server refuses our name or password")
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
        permanent = all(code in _PERMANENT for code in codes)
        return DeliveryFailed(f"the recipient was refused ({codes[0]})", permanent=permanent)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        permanent = error.code in _PERMANENT
        return DeliveryFailed(f"the mail server answered {error.code}", permanent=permanent)
    return DeliveryFailed(f"the mail server could not be used ({type(error).__name__})")
