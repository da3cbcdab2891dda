"""Sends cards by SMTP: one thread a request, a follow-up when it is decided (CH-3)."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import ClassVar, Final

import aiosmtplib
from aiosmtplib import SMTP, SMTPException

from app.clock import SystemClock
from app.core.approval_card import ApprovalCard
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed, Digest, Posted
from app.core.request import Status
from integrations.email.message import Thread, message, message_id
from integrations.email.paint import digest_letter, letter
from integrations.email.settings import EmailSettings

_PERMANENT: Final = range(500, 600)
_SIGN_IN_FIRST: Final = 530
_WHOLE: Final = 45.0
"""Seconds that a whole conversation may take: less than the lease of a delivery."""


class EmailChannel:
    """Mail to people's own addresses; a card for one person carries a one-click link."""

    name: ClassVar[str] = "email"
    wants_link: ClassVar[bool] = True

    def __init__(self, settings: EmailSettings, clock: SystemClock) -> None:
        """Keep the settings; a connection is made for each mail."""
        self._settings = settings
        self._clock = clock

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Send a mail about a request: the first, or a reminder in its thread.

        :raises DeliveryFailed: it was not taken.
        """
        first = message_id(self._settings, card.request_id, recipient, "1")
        return await self._send_card(card, recipient, Thread(self._id(card, recipient), first))

    async def refresh(self, card: ApprovalCard, recipient: str, reference: JsonObject) -> Posted:
        """Send a follow-up when the status is another one than was told last.

        A mail cannot be changed: what was told stays told, and is told once. Of what is carried out
        here its end is told, and not each step on the way. What was withdrawn before anybody
        decided is not told, so that no agent fills a mailbox by asking and withdrawing (T9); the
        link of the first mail says it.

        :raises DeliveryFailed: it was not taken.
        """
        if _is_told(card, reference):
            shown = str(reference.get("display", ""))
            return Posted(reference, shown, complete=reference.get("complete") is True)
        own = self._id(card, recipient)
        first = reference.get("thread") or reference.get("message_id") or own
        return await self._send_card(card, recipient, Thread(own, str(first)))

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Send a list of what waits.

        :raises DeliveryFailed: it was not taken.
        """
        now = self._clock.now()
        seed = (digest.title, *digest.lines, str(now), recipient)
        own = message_id(self._settings, "digest", *seed)
        content = digest_letter(digest)
        await self._send(message(self._settings, content, recipient, Thread(own, own), now))
        return Posted({"message_id": own}, content.painted.display)

    async def check(self) -> str:
        """Return which server takes our mail, and as whose.

        :raises DeliveryFailed: it does not answer, or does not let us in.
        """
        async with self._connected() as client:
            await client.noop()
        return f"{self._settings.host}:{self._settings.real_port} as {self._settings.sender}"

    async def close(self) -> None:
        """Let go of nothing; connections end with their mail."""

    def _id(self, card: ApprovalCard, recipient: str) -> str:
        return message_id(self._settings, card.request_id, recipient, str(card.version))

    async def _send_card(self, card: ApprovalCard, recipient: str, thread: Thread) -> Posted:
        content = letter(card)
        now = self._clock.now()
        await self._send(message(self._settings, content, recipient, thread, now))
        painted = content.painted
        display = painted.display
        reference: dict[str, JsonValue] = {
            "message_id": thread.own, "thread": thread.first, "status": card.status.value,
            "version": card.version, "display": display, "complete": painted.complete,
        }  # fmt: skip
        return Posted(reference, display, complete=painted.complete)

    async def _send(self, mail: EmailMessage) -> None:
        async with self._connected() as client:
            await client.send_message(mail)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[SMTP, None]:
        """Hold a connection that is signed in; every failure is one of ours."""
        client = self._client()
        try:
            async with asyncio.timeout(_WHOLE), client:
                await self._sign_in(client)
                yield client
        except (SMTPException, OSError, ValueError) as error:
            raise _failure(error) from None
        finally:
            client.close()

    def _client(self) -> SMTP:
        given = self._settings
        return SMTP(
            hostname=given.host, port=given.real_port, timeout=given.timeout,
            use_tls=given.security == "tls", start_tls=given.security == "starttls",
        )  # fmt: skip

    async def _sign_in(self, client: SMTP) -> None:
        if self._settings.username:
            password = self._settings.password.get_secret_value()
            await client.login(self._settings.username, password)


def _is_told(card: ApprovalCard, reference: JsonObject) -> bool:
    """Whether the recipient knows already, by what the reference says was told."""
    told, version = reference.get("status"), reference.get("version")
    if isinstance(version, int) and card.version < version:
        return True
    begun = card.status is Status.EXECUTING or (card.status is Status.APPROVED and not card.sent)
    withdrawn = card.status is Status.CANCELLED and told == Status.PENDING.value
    return begun or withdrawn or told == card.status.value


def _failure(error: Exception) -> DeliveryFailed:
    """Return the failure in our own words: the server's may hold anything (T62)."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return _refused_recipient([refused.code for refused in error.recipients])
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answered(error)
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        detail = "the mail server takes no address with such letters (it lacks SMTPUTF8)"
        return DeliveryFailed(detail, permanent=True)
    return DeliveryFailed(_broken(error))


def _refused_recipient(codes: list[int]) -> DeliveryFailed:
    permanent = all(code in _PERMANENT and code != _SIGN_IN_FIRST for code in codes)
    return DeliveryFailed(f"the recipient was refused ({codes[0]})", permanent=permanent)


def _answered(error: aiosmtplib.SMTPResponseException) -> DeliveryFailed:
    """Return the failure that an answer means; only what concerns this one mail is for good."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return DeliveryFailed(f"the mail server refuses our name or password ({error.code})")
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        return DeliveryFailed(f"the mail server refuses our sender address ({error.code})")
    permanent = isinstance(error, aiosmtplib.SMTPDataError) and error.code in _PERMANENT
    return DeliveryFailed(f"the mail server answered {error.code}", permanent=permanent)


def _broken(error: Exception) -> str:
    """Return what became of a conversation that ended without an answer."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return "the mail server's certificate is not one that we trust"
        if isinstance(found, ssl.SSLError):
            return "the mail server and we could not agree on TLS"
        found = found.__cause__ or found.__context__
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time"
    if isinstance(error, aiosmtplib.SMTPConnectError):
        return "the mail server cannot be reached"
    if isinstance(error, ConnectionError):
        return "the connection to the mail server broke"
    if type(error) is SMTPException:
        return "the mail server does not offer the STARTTLS or AUTH that is asked for"
    return f"the mail server could not be used ({type(error).__name__})"
