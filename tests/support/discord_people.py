"""Who and where: users, guilds with their members and roles, channels; each with its JSON."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from app.clock import SystemClock

JSON: TypeAlias = dict[str, Any]

PERMISSIONS: Final = "2251799813685247"
_EPOCH_MILLIS: Final = 1_420_070_400_000
_JOINED: Final = "2024-01-01T00:00:00+00:00"


class Snowflakes:
    """Makes ids as Discord does: 42 bits of milliseconds since 2015, then a counter."""

    def __init__(self, clock: SystemClock) -> None:
        """Take the time from a clock."""
        self.clock = clock
        self._last = 0

    def new(self) -> int:
        """Return an id above every one before."""
        millis = self.clock.now() // 1000 - _EPOCH_MILLIS
        self._last = max(self._last + 1, millis << 22)
        return self._last

    def now(self) -> str:
        """Return the present time as Discord writes it."""
        return dt.datetime.fromtimestamp(self.clock.now() / 1e6, dt.UTC).isoformat()


@dataclass(eq=False)
class User:
    """A person or a bot.

    :ivar accepts_dms: whether the bot may write to the user.
    """

    id: int
    username: str
    global_name: str | None = None
    bot: bool = False
    accepts_dms: bool = True

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.global_name or self.username

    @property
    def mention(self) -> str:
        """What one writes to call the user."""
        return f"<@{self.id}>"

    def json(self) -> JSON:
        """Return the user object."""
        return {
            "id": str(self.id),
            "username": self.username,
            "global_name": self.global_name,
            "discriminator": "0",
            "avatar": None,
            "avatar_decoration_data": None,
            "bot": self.bot,
            "public_flags": 0,
        }


@dataclass(eq=False)
class Role:
    """A role of a guild."""

    id: int
    name: str

    def json(self) -> JSON:
        """Return the role object."""
        return {
            "id": str(self.id),
            "name": self.name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "icon": None,
            "unicode_emoji": None,
            "position": 0,
            "permissions": PERMISSIONS,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(eq=False)
class Guild:
    """A server; its members and their roles may change at any time.

    :ivar members: the roles that each member has, by the user's id.
    """

    id: int
    name: str
    owner: User
    roles: list[Role] = field(default_factory=list[Role])
    members: dict[int, list[Role]] = field(default_factory=dict[int, list[Role]])

    def join(self, user: User, *roles: Role) -> None:
        """Take a user in, or give a member other roles."""
        self.members[user.id] = list(roles)

    def leave(self, user: User) -> None:
        """Let a member go."""
        self.members.pop(user.id, None)

    def member_json(self, user: User) -> JSON:
        """Return the guild member object, with the roles of this moment."""
        return {
            "user": user.json(),
            "nick": None,
            "avatar": None,
            "banner": None,
            "roles": [str(role.id) for role in self.members[user.id]],
            "joined_at": _JOINED,
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
            "communication_disabled_until": None,
        }

    def json(self) -> JSON:
        """Return the guild object."""
        nothing: JSON = dict.fromkeys(
            (
                "icon", "splash", "discovery_splash", "banner", "description", "afk_channel_id",
                "application_id", "system_channel_id", "rules_channel_id",
                "public_updates_channel_id", "vanity_url_code",
            )
        )  # fmt: skip
        return nothing | {
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "region": "deprecated",
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": [role.json() for role in (Role(self.id, "@everyone"), *self.roles)],
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "nsfw_level": 0,
            "system_channel_flags": 0,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "max_members": 500_000,
        }

    def create_json(self, bot: User, channels: "list[Channel]") -> JSON:
        """Return the guild object as the gateway sends it to the bot."""
        empty: JSON = {
            key: []
            for key in (
                "threads", "presences", "voice_states", "stage_instances",
                "guild_scheduled_events", "soundboard_sounds",
            )
        }  # fmt: skip
        return (
            self.json()
            | empty
            | {
                "joined_at": _JOINED,
                "large": False,
                "unavailable": False,
                "member_count": len(self.members),
                "members": [self.member_json(bot)],
                "channels": [channel.json() for channel in channels],
            }
        )


@dataclass(eq=False)
class Channel:
    """A text channel of a guild, or a direct conversation of the bot with one user.

    :ivar visible: whether the bot may see it; if not, it gets 50001.
    :ivar writable: whether the bot may write in it; if not, it gets 50013.
    """

    id: int
    name: str
    guild: Guild | None = None
    recipient: User | None = None
    visible: bool = True
    writable: bool = True

    def json(self) -> JSON:
        """Return the channel object."""
        common: JSON = {"id": str(self.id), "last_message_id": None, "flags": 0}
        if self.guild is None:
            people = [] if self.recipient is None else [self.recipient.json()]
            return common | {"type": 1, "recipients": people}
        return common | {
            "type": 0,
            "guild_id": str(self.guild.id),
            "name": self.name,
            "position": 0,
            "permission_overwrites": [],
            "nsfw": False,
            "topic": None,
            "parent_id": None,
            "rate_limit_per_user": 0,
        }
