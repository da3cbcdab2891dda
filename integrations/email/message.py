"""Messages of the standard library: headers that nothing can break into (T20), and threads."""

import hashlib
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from app.core.instant import Instant, to_datetime
from app.core.ports import DeliveryFailed
from integrations.email.paint import Letter
from integrations.email.settings import EmailSettings, is_address


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a message stands among those about one request to one recipient.

    :ivar own: its Message-ID.
    :ivar first: that of the first one; equal to ``own`` for the first itself.
    """

    own: str
    first: str


def message_id(settings: EmailSettings, *names: str) -> str:
    """Return the Message-ID of these names: the same for the same ones, never a guess at them."""
    seed = "\0".join(names).encode("utf-8", "backslashreplace")
    domain = settings.sender.rsplit("@", 1)[1]
    return f"<{hashlib.sha256(seed).hexdigest()[:32]}@{domain}>"


def message(
    settings: EmailSettings, content: Letter, recipient: str, thread: Thread, now: Instant
) -> EmailMessage:
    """Return a mail, ready to be sent.

    :raises DeliveryFailed: the recipient is not an address.
    """
    if not is_address(recipient):
        detail = "this is not an address that mail can be sent to"
        raise DeliveryFailed(detail, permanent=True)
    made = EmailMessage(policy=SMTP)
    made["From"] = _address(settings.sender, settings.sender_name)
    made["To"] = _address(recipient)
    if settings.reply_to:
        made["Reply-To"] = _address(settings.reply_to)
    made["Subject"] = content.subject
    made["Date"] = format_datetime(to_datetime(now))
    made["Message-ID"] = thread.own
    if thread.own != thread.first:
        made["In-Reply-To"] = made["References"] = thread.first
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    made.set_content(content.text, cte="quoted-printable")
    made.add_alternative(content.html, subtype="html", cte="quoted-printable")
    return made


def _address(text: str, name: str = "") -> Address:
    username, _, domain = text.rpartition("@")
    return Address(name, username, domain)
