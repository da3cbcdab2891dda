"""What the vendor remembers: its cast, messages, views, and the permissions that it gave out."""

import hashlib
from dataclasses import dataclass
from typing import Final

from app.clock import SystemClock
from tests.support.slack_message import Content, Message
from tests.support.slack_people import Application, Channel, Names, Team, User
from tests.support.slack_view import View

_MICROS: Final = 1_000_000


@dataclass(eq=False)
class Trigger:
    """The permission to open a modal, which an action gives for three seconds.

    :ivar view: the modal in which the action happened.
    :ivar expired: set it to end the three seconds.
    """

    id: str
    user: User
    team: Team
    made: float
    view: View | None = None
    used: bool = False
    expired: bool = False


@dataclass(eq=False)
class Hook:
    """What stands behind a ``response_url``: five answers within thirty minutes.

    :ivar message: the message that the action was taken on.
    :ivar expired: set it to end the thirty minutes.
    """

    path: str
    user: User
    team: Team
    channel: Channel
    message: Message | None = None
    uses: int = 0
    expired: bool = False


class World:
    """Everything that the vendor remembers; change what you like, at any time.

    In ``acme`` there are Anna, who owns it, Ben, the guest Gus, Dora, who has left, and a bot of
    somebody else's; in ``elsewhere`` Mallory. The application is in both. It is a member of
    ``approvals``, of the private ``on_call``, of ``partners``, which both teams share, and of
    ``lobby`` elsewhere; not of ``random`` nor of the private ``vault``; ``old`` is archived.
    """

    def __init__(self, clock: SystemClock) -> None:
        """Enter the cast."""
        self.clock = clock
        self.names = Names()
        self._last = 0
        secret = hashlib.sha256(b"played").hexdigest()
        own = self.names.new("A")
        self.app = Application(
            own, secret[:32], secret[32:56], "-".join(("xapp", "1", own, secret[:20]))
        )
        self.teams: dict[str, Team] = {}
        self.messages: list[Message] = []
        self.views: list[View] = []
        self.triggers: dict[str, Trigger] = {}
        self.hooks: dict[str, Hook] = {}
        self._cast()

    def _cast(self) -> None:
        self.acme = self.add_team("Acme")
        self.elsewhere = self.add_team("Elsewhere")
        self.anna = self.add_user(self.acme, "Anna")
        self.anna.admin = self.anna.owner = True
        self.ben = self.add_user(self.acme, "Ben")
        self.gus = self.add_user(self.acme, "Gus")
        self.gus.restricted = True
        self.dora = self.add_user(self.acme, "Dora")
        self.robot = self.add_user(self.acme, "robot", bot=True)
        self.mallory = self.add_user(self.elsewhere, "Mallory")
        everyone = (self.acme.bot, self.anna, self.ben, self.gus, self.dora, self.robot)
        self.approvals = self.add_channel(self.acme, "approvals", *everyone)
        self.on_call = self.add_channel(self.acme, "on-call", *everyone[:2], kind="private")
        self.random = self.add_channel(self.acme, "random", self.anna, self.ben)
        self.vault = self.add_channel(self.acme, "vault", self.anna, kind="private")
        self.old = self.add_channel(self.acme, "old", *everyone)
        self.old.archived = True
        strangers = (self.elsewhere.bot, self.mallory)
        self.partners = self.add_channel(self.acme, "partners", *everyone[:3], *strangers)
        self.partners.shared_with.append(self.elsewhere)
        self.lobby = self.add_channel(self.elsewhere, "lobby", *strangers)
        self.dora.deleted = True

    def add_team(self, name: str) -> Team:
        """Make a workspace with the application in it."""
        token = "-".join(("xoxb", str(len(self.teams) + 1), "played", name.lower()))
        team = Team(self.names.new("T"), name.lower(), name, self.names.new("B"), token)
        team.bot = self.add_user(team, "Assentry", bot=True)
        self.teams[team.id] = team
        return team

    def add_user(self, team: Team, name: str, *, bot: bool = False) -> User:
        """Make a user, who is in no channel yet."""
        email = f"{name.lower()}@{team.domain}.example"
        user = User(self.names.new("U"), team, name.lower(), name, email, bot)
        team.users[user.id] = user
        return user

    def add_channel(self, team: Team, name: str, *members: User, kind: str = "public") -> Channel:
        """Make a channel with its members."""
        channel = Channel(self.names.new("C"), team, name, kind, set(members))
        team.channels[channel.id] = channel
        return channel

    def direct(self, team: Team, user: User) -> Channel:
        """Return the conversation of a team's bot with a user; make it if it is the first."""
        for channel in team.channels.values():
            if channel.user is user:
                return channel
        made = Channel(self.names.new("D"), team, "", "im", {team.bot, user}, user)
        team.channels[made.id] = made
        return made

    def channel(self, team: Team, name: str) -> Channel | None:
        """Return the channel that a team's bot means by an id, or by ``#name``."""
        known = [channel for one in self.teams.values() for channel in one.channels.values()]
        seen = [channel for channel in known if channel.visible_to(team)]
        bare = name.removeprefix("#")
        return next((one for one in seen if name == one.id or (bare and bare == one.name)), None)

    def user(self, name: str) -> User | None:
        """Return the user of an id, in whatever team."""
        return next((one.users[name] for one in self.teams.values() if name in one.users), None)

    def known_to(self, team: Team, user: User) -> bool:
        """Return whether a team's bot may see a user: at home there, or in a shared channel."""
        shared = (channel for one in self.teams.values() for channel in one.channels.values())
        return user.team is team or any(
            user in channel.members and channel.visible_to(team) for channel in shared
        )

    def token_team(self, token: str) -> Team | None:
        """Return the team whose bot token it is."""
        return next((team for team in self.teams.values() if team.bot_token == token), None)

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        return self.clock.now() / _MICROS

    def ts(self) -> str:
        """Return a timestamp that no message has."""
        self._last = max(self._last + 1, self.clock.now())
        return f"{self._last // _MICROS}.{self._last % _MICROS:06}"

    def message(self, channel: Channel, ts: str) -> Message | None:
        """Return a message that is there."""
        return next((one for one in channel.messages if one.ts == ts and not one.deleted), None)

    def add_message(
        self, team: Team, channel: Channel, content: Content, *, only_for: User | None = None
    ) -> Message:
        """Write something as a team's bot."""
        message = Message(self.ts(), team, channel, [content.numbered()], self.app.id, only_for)
        channel.messages.append(message)
        self.messages.append(message)
        return message

    def add_trigger(self, team: Team, user: User, view: View | None = None) -> Trigger:
        """Permit a modal to be opened."""
        number = len(self.triggers) + 1
        digest = hashlib.sha256(f"{self.app.signing_secret}{number}".encode()).hexdigest()[:32]
        name = f"{number}.{int(self.now())}.{digest}"
        self.triggers[name] = trigger = Trigger(name, user, team, self.now(), view)
        return trigger

    def add_hook(
        self, kind: str, team: Team, user: User, channel: Channel, message: Message | None = None
    ) -> Hook:
        """Permit answers by ``response_url``; the kind is ``actions`` or ``commands``."""
        digest = hashlib.sha256(f"hook{len(self.hooks)}".encode()).hexdigest()[:24]
        path = f"/{kind}/{team.id}/{len(self.hooks) + 1}/{digest}"
        self.hooks[path] = hook = Hook(path, user, team, channel, message)
        return hook

    def open_views(self, user: User) -> list[View]:
        """Return the modals that a user has on the screen, the uppermost last."""
        return [view for view in self.views if view.is_open and view.user is user]
