"""Teams, users and channels of the played Slack, and the application that is installed in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from tests.support.slack_message import Message
    from tests.support.slack_view import View

JSON: TypeAlias = dict[str, Any]
SCOPES: Final = frozenset(
    {
        "chat:write", "commands", "im:write", "im:read", "channels:read", "groups:read",
        "mpim:read", "users:read", "users:read.email", "team:read", "im:history",
        "channels:history", "groups:history",
    }
)  # fmt: skip
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Names:
    """Makes ids as Slack spells them: a letter and ten of 36 digits."""

    def __init__(self) -> None:
        """Begin anywhere; an id says nothing."""
        self._numbers: Iterator[int] = count(36**9 * 7 + 46_655)

    def new(self, kind: str) -> str:
        """Return a new id, such as ``U07…``."""
        number, digits = next(self._numbers), ""
        while number:
            number, digit = divmod(number, 36)
            digits = _DIGITS[digit] + digits
        return kind + "0" + digits


@dataclass
class Application:
    """What its page at api.slack.com says of an application.

    :ivar app_token: opens Socket Mode.
    :ivar interactivity: where buttons and modals are posted; with None, everything that has no
        URL goes over Socket Mode.
    :ivar commands: where slash commands are posted.
    :ivar events: where events are posted.
    """

    id: str
    signing_secret: str
    verification_token: str
    app_token: str
    app_scopes: set[str] = field(default_factory=lambda: {"connections:write"})
    interactivity: str | None = None
    commands: str | None = None
    events: str | None = None

    def set_request_url(self, url: str | None) -> None:
        """Send everything to one URL, or everything over Socket Mode."""
        self.interactivity = self.commands = self.events = url


@dataclass(eq=False)
class User:
    """Somebody, at home in one team.

    :ivar restricted: a guest; ``ultra_restricted`` one of a single channel.
    """

    id: str
    team: "Team" = field(repr=False)
    handle: str
    name: str
    email: str
    bot: bool = False
    deleted: bool = False
    restricted: bool = False
    ultra_restricted: bool = False
    admin: bool = False
    owner: bool = False

    def json(self, seen_from: "Team", *, email: bool) -> JSON:
        """Return the user object, as a bot of some team sees it."""
        stranger = seen_from is not self.team
        common: JSON = {
            "id": self.id, "team_id": self.team.id, "name": self.handle, "deleted": self.deleted,
            "real_name": self.name, "tz": "Europe/Berlin", "updated": 1_700_000_000,
            "profile": self._profile(email=email and not self.bot),
            "is_bot": self.bot, "is_app_user": False,
        }  # fmt: skip
        if stranger:
            return {**common, "is_stranger": True, "who_can_share_contact_card": "EVERYONE"}
        if self.deleted:
            return common
        return {
            **common, "color": "9f69e7", "tz_label": "Central European Time", "tz_offset": 3600,
            "is_admin": self.admin, "is_owner": self.owner, "is_primary_owner": self.owner,
            "is_restricted": self.restricted or self.ultra_restricted,
            "is_ultra_restricted": self.ultra_restricted, "is_email_confirmed": True,
        }  # fmt: skip

    def _profile(self, *, email: bool) -> JSON:
        profile: JSON = {
            "real_name": self.name, "real_name_normalized": self.name, "display_name": self.handle,
            "display_name_normalized": self.handle, "title": "", "team": self.team.id,
            "avatar_hash": "g0123456789a", "status_text": "",
        }  # fmt: skip
        return {**profile, "email": self.email} if email else profile

    def brief(self) -> JSON:
        """Return what a payload tells of who acted."""
        return {
            "id": self.id, "username": self.handle, "name": self.handle, "team_id": self.team.id,
        }  # fmt: skip


@dataclass(eq=False)
class Channel:
    """A public or private channel, or a conversation of the bot with one user.

    :ivar kind: ``public``, ``private`` or ``im``.
    :ivar user: whom a direct conversation is with.
    :ivar shared_with: other teams that share it (Slack Connect).
    """

    id: str
    team: "Team" = field(repr=False)
    name: str
    kind: str = "public"
    members: set[User] = field(default_factory=set[User], repr=False)
    user: User | None = None
    archived: bool = False
    shared_with: list["Team"] = field(default_factory=list["Team"], repr=False)
    messages: list["Message"] = field(default_factory=list["Message"], repr=False)

    def visible_to(self, team: "Team") -> bool:
        """Return whether a team's bot may know of it."""
        if team is not self.team and team not in self.shared_with:
            return False
        return self.kind == "public" or team.bot in self.members

    def json(self, team: "Team") -> JSON:
        """Return the channel object, as a bot of some team sees it."""
        common: JSON = {
            "id": self.id, "created": 1_700_000_000, "updated": 1_700_000_000_000,
            "is_archived": self.archived, "is_im": self.kind == "im", "is_mpim": False,
            "is_org_shared": False, "context_team_id": team.id,
        }  # fmt: skip
        if self.user is not None:
            return {**common, "user": self.user.id, "is_user_deleted": self.user.deleted}
        connected = [self.team, *self.shared_with]
        return {
            **common, "name": self.name, "name_normalized": self.name,
            "is_channel": self.kind == "public", "is_group": False,
            "is_private": self.kind == "private", "is_general": False,
            "is_member": team.bot in self.members, "is_shared": bool(self.shared_with),
            "is_ext_shared": bool(self.shared_with), "creator": self.team.bot.id,
            "shared_team_ids": [one.id for one in connected],
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "num_members": len(self.members),
        }  # fmt: skip

    def brief(self) -> JSON:
        """Return what a payload tells of where something happened."""
        names = {"public": self.name, "private": "privategroup", "im": "directmessage"}
        return {"id": self.id, "name": names[self.kind]}


@dataclass(eq=False)
class Team:
    """A workspace with the application installed.

    :ivar bot: the application's user.
    :ivar bot_token: the installation's token.
    :ivar scopes: what the token may; take some away to see ``missing_scope``.
    :ivar token_error: what every call is answered, such as ``token_revoked``; empty while it works.
    :ivar homes: the home tab of each user, by the user's id.
    """

    id: str
    domain: str
    name: str
    bot_id: str
    bot_token: str
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))
    token_error: str = ""
    users: dict[str, User] = field(default_factory=dict[str, User], repr=False)
    channels: dict[str, Channel] = field(default_factory=dict[str, Channel], repr=False)
    homes: dict[str, "View"] = field(default_factory=dict[str, "View"], repr=False)
    bot: User = field(init=False, repr=False)

    def json(self) -> JSON:
        """Return what a payload tells of the team."""
        return {"id": self.id, "domain": self.domain}

    @property
    def url(self) -> str:
        """Its address, which nobody calls."""
        return f"https://{self.domain}.slack.example/"
