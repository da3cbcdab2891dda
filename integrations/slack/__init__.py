"""Slack: Block Kit cards with buttons, `/assentry`, the home tab; HTTP or Socket Mode (CH-1).

Imports the core, slack_sdk and slack_bolt; nothing of it before Slack is set up.
"""

from typing import Final, cast

from app.core.ports import Channel, Desk, Inbound
from app.settings import PartSettings
from integrations.base import Registered


def _settings() -> type[PartSettings]:
    from integrations.slack.settings import SlackSettings  # noqa: PLC0415 - when it is needed

    return SlackSettings


def _channel(part: PartSettings) -> Channel:
    from integrations.slack.channel import SlackChannel  # noqa: PLC0415 - likewise
    from integrations.slack.client import SlackClient  # noqa: PLC0415 - likewise
    from integrations.slack.settings import SlackSettings  # noqa: PLC0415 - likewise

    return SlackChannel(SlackClient(cast("SlackSettings", part)))


def _inbound(part: PartSettings, channel: Channel, desk: Desk) -> Inbound:
    from app.clock import SystemClock  # noqa: PLC0415 - likewise
    from integrations.slack.channel import SlackChannel  # noqa: PLC0415 - likewise
    from integrations.slack.inbound import SlackInbound  # noqa: PLC0415 - likewise
    from integrations.slack.settings import SlackSettings  # noqa: PLC0415 - likewise

    settings, made = cast("SlackSettings", part), cast("SlackChannel", channel)
    return SlackInbound(settings, made.client, desk, SystemClock())


SLACK: Final = Registered("slack", "ASSENTRY_SLACK_", _settings, _channel, _inbound)
"""The registration of this channel."""
