"""What the vendor remembers: its cast, messages, interactions, open modals."""

from dataclasses import dataclass, field
from typing import Any, Final

from app.clock import SystemClock
from tests.support.discord_message import EPHEMERAL, LOADING, Attachment, Message, walk
from tests.support.discord_people import JSON, Channel, Guild, Role, Snowflakes, User

PING: Final = 1
COMMAND: Final = 2
COMPONENT: Final = 3
SUGGESTION: Final = 4
MODAL: Final = 5


@dataclass(eq=False)
class Modal:
    """A dialogue that is open before a user.

    :ivar opened_by: the interaction that it answered.
    """

    user: User
    custom_id: str
    title: str
    components: list[JSON]
    opened_by: "Interaction"

    @property
    def inputs(self) -> dict[str, JSON]:
        """What can be filled in, by custom id."""
        return {part["custom_id"]: part for part in walk(self.components) if "custom_id" in part}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the application's endpoint answered to one POST."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(eq=False)
class Interaction:
    """Something that a user did, and what the application made of it.

    :ivar payload: what was sent to the application.
    :ivar source: the message that the pressed button belongs to.
    :ivar response: the callback's type: 4 message, 5 deferred message, 6 deferred update,
        7 update, 8 suggestions, 9 modal; None as long as there is none.
    :ivar data: the callback's data.
    :ivar message: the message that the response made or changed.
    :ivar deliveries: what the endpoint answered, in HTTP mode; one for each repetition.
    :ivar refused: the errors for which an endpoint's answer was thrown away.
    :ivar late: the time for a response is over; the user sees "This interaction failed".
    :ivar expired: set it to end the token's fifteen minutes.
    """

    id: int
    token: str
    kind: int
    user: User
    channel: Channel
    application_id: int
    source: Message | None = None
    payload: JSON = field(default_factory=dict[str, Any])
    response: int | None = None
    data: JSON = field(default_factory=dict[str, Any])
    message: Message | None = None
    modal: Modal | None = None
    followups: list[Message] = field(default_factory=list[Message])
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    refused: JSON | None = None
    late: bool = False
    expired: bool = False

    @property
    def text(self) -> str:
        """What the response lets one read."""
        return "" if self.message is None else self.message.text

    @property
    def ephemeral(self) -> bool:
        """Whether the response is for this user's eyes only."""
        return self.message is not None and self.message.ephemeral

    @property
    def status(self) -> int | None:
        """The status of the endpoint's first answer; None over the gateway."""
        return self.deliveries[0].status if self.deliveries else None

    def stamp(self) -> JSON:
        """Return the part of a message object that names this interaction."""
        metadata: JSON = {
            "id": str(self.id),
            "type": self.kind,
            "user": self.user.json(),
            "authorizing_integration_owners": self.payload["authorizing_integration_owners"],
        }
        if self.source is not None:
            metadata["interacted_message_id"] = str(self.source.id)
        if self.kind == MODAL:
            metadata["triggering_interaction_metadata"] = {**metadata, "type": COMPONENT}
        identity = str(self.application_id)
        return {
            "application_id": identity,
            "webhook_id": identity,
            "interaction_metadata": metadata,
        }


class World:
    """Everything that the vendor remembers; change what you like, at any time.

    Anna has the role of guild ``acme`` and owns it, Ben is a member without a role, Robot a bot of
    someone else; Mallory is in the guild ``elsewhere`` alone, where the bot is too.

    :ivar token: the bot's token.
    :ivar commands: the registered commands: of each guild, and the global ones with None.
    :ivar endpoint: where interactions are posted; None sends them over the gateway.
    """

    def __init__(self, clock: SystemClock) -> None:
        """Enter the cast."""
        self.snowflakes = Snowflakes(clock)
        self.token = "MTE5MDAwMDAwMDAwMDAwMDAwMQ.GpLaYd.a-played-token-that-opens-nothing"
        self.application_name = "Assentry"
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: list[Message] = []
        self.commands: dict[int | None, list[JSON]] = {}
        self.interactions: dict[str, Interaction] = {}
        self.modals: list[Modal] = []
        self.endpoint: str | None = None
        self.verify_key = ""
        self.bot = self.add_user("assentry", bot=True)
        self.anna, self.ben = self.add_user("Anna"), self.add_user("Ben")
        self.robot = self.add_user("robot", bot=True)
        self.mallory = self.add_user("Mallory")
        self.acme = self.add_guild("Acme", self.anna, self.ben, self.robot)
        self.elsewhere = self.add_guild("Elsewhere", self.mallory)
        self.security = self.add_role(self.acme, "security")
        self.acme.join(self.anna, self.security)
        self.approvals = self.add_channel(self.acme, "approvals")
        self.on_call = self.add_channel(self.acme, "on-call")
        self.lobby = self.add_channel(self.elsewhere, "lobby")

    def add_user(self, name: str, *, bot: bool = False, accepts_dms: bool = True) -> User:
        """Make a user, who is in no guild yet."""
        user = User(self.snowflakes.new(), name.lower(), name, bot, accepts_dms)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, owner: User, *members: User) -> Guild:
        """Make a guild with the bot, its owner and other members, who have no roles."""
        guild = Guild(self.snowflakes.new(), name, owner)
        for user in (self.bot, owner, *members):
            guild.join(user)
        self.guilds[guild.id] = guild
        return guild

    def add_role(self, guild: Guild, name: str) -> Role:
        """Make a role that nobody has yet."""
        role = Role(self.snowflakes.new(), name)
        guild.roles.append(role)
        return role

    def add_channel(self, guild: Guild, name: str) -> Channel:
        """Make a text channel."""
        channel = Channel(self.snowflakes.new(), name, guild)
        self.channels[channel.id] = channel
        return channel

    def dm(self, user: User) -> Channel:
        """Return the bot's conversation with a user, begun now where there was none."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.snowflakes.new(), user.name, recipient=user)
        self.channels[channel.id] = channel
        return channel

    @property
    def people(self) -> list[User]:
        """The users who are no bots."""
        return [user for user in self.users.values() if not user.bot]

    @property
    def last(self) -> Message:
        """The newest message that is still there."""
        return next(message for message in reversed(self.messages) if not message.deleted)

    def message(self, message_id: int) -> Message | None:
        """Return a message by its id, deleted ones too."""
        return next((message for message in self.messages if message.id == message_id), None)

    def bot_guilds(self) -> list[Guild]:
        """Return the guilds that the bot is in."""
        return [guild for guild in self.guilds.values() if self.bot.id in guild.members]

    def post(
        self,
        channel: Channel,
        body: JSON,
        files: list[Attachment],
        by: Interaction | None = None,
    ) -> Message:
        """Enter a message of the bot, as such or as an interaction's answer."""
        message = Message(self.snowflakes.new(), channel, self.bot, self.snowflakes.now())
        flags = int(body.get("flags") or 0)
        if by is not None:
            message.stamp = by.stamp
            message.kind = 20 if by.kind == COMMAND else 0
            message.only_for = by.user if flags & EPHEMERAL else None
        reference = (body.get("message_reference") or {}).get("message_id")
        message.reference = self.message(int(reference)) if reference else None
        message.nonce = None if body.get("nonce") is None else str(body["nonce"])
        message.write(body, files)
        message.flags |= flags & (LOADING | EPHEMERAL) if by is not None else 0
        self.messages.append(message)
        return message

    def application_json(self) -> JSON:
        """Return the application object."""
        return {
            "id": str(self.bot.id),
            "name": self.application_name,
            "icon": None,
            "description": "",
            "bot_public": False,
            "bot_require_code_grant": False,
            "owner": self.anna.json(),
            "team": None,
            "verify_key": self.verify_key,
            "flags": 0,
            "hook": True,
            "summary": "",
            "interactions_endpoint_url": self.endpoint,
            "redirect_uris": [],
            "approximate_guild_count": len(self.bot_guilds()),
        }
