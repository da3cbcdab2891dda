"""Mail: cards as text and HTML of equal content, one thread a request (CH-3).

Imports the core, Jinja2 and, in ``channel`` alone, aiosmtplib; nothing of it before mail is set
up.
"""

from typing import Final, cast

from app.core.ports import Channel
from app.settings import PartSettings
from integrations.base import Registered


def _settings() -> type[PartSettings]:
    from integrations.email.settings import EmailSettings  # noqa: PLC0415 - when it is needed

    return EmailSettings


def _channel(part: PartSettings) -> Channel:
    from app.clock import SystemClock  # noqa: PLC0415 - likewise
    from integrations.email.channel import EmailChannel  # noqa: PLC0415 - likewise
    from integrations.email.settings import EmailSettings  # noqa: PLC0415 - likewise

    return EmailChannel(cast("EmailSettings", part), SystemClock())


EMAIL: Final = Registered("email", "ASSENTRY_EMAIL_", _settings, _channel)
"""The registration of this channel."""
