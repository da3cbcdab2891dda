"""Writing messages: what Discord checks first, and whom it tells afterwards."""

from tests.support.discord_gateway import DIRECT_MESSAGES, GUILD_MESSAGES, Gateway
from tests.support.discord_limits import Refused, check_message
from tests.support.discord_message import Attachment, Message
from tests.support.discord_people import JSON, Channel
from tests.support.discord_world import Interaction, World

_PARTS = ("content", "embeds", "components", "sticker_ids", "poll", "attachments")


class Messages:
    """Posts, edits and deletes, with all that Discord says against it."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        """Write into a world, and tell a gateway."""
        self.world = world
        self.gateway = gateway

    def channel(self, channel_id: int) -> Channel:
        """Return a channel that the bot may see.

        :raises Refused: there is none.
        """
        channel = self.world.channels.get(channel_id)
        if channel is None:
            raise Refused(404, 10003, "Unknown Channel")
        guild = channel.guild
        if not channel.visible or (guild and self.world.bot.id not in guild.members):
            raise Refused(403, 50001, "Missing Access")
        return channel

    def find(self, channel_id: int, message_id: int) -> Message:
        """Return a message that the bot may see in a channel.

        :raises Refused: there is none; an ephemeral one counts as none.
        """
        channel = self.channel(channel_id)
        message = self.world.message(message_id)
        if message is None or message.deleted or message.ephemeral:
            raise Refused(404, 10008, "Unknown Message")
        if message.channel is not channel:
            raise Refused(404, 10008, "Unknown Message")
        return message

    async def post(self, channel: Channel, body: JSON, files: list[Attachment]) -> Message:
        """Post as the bot.

        :raises Refused: as Discord does.
        """
        self._may_write(channel)
        check_body(body, files)
        nonce = body.get("nonce")
        if body.get("enforce_nonce") and nonce is not None:
            for message in self.world.messages:
                if message.channel is channel and message.nonce == str(nonce):
                    return message
        reference = body.get("message_reference") or {}
        there = self.world.message(int(reference.get("message_id") or 0))
        if reference.get("fail_if_not_exists", True) and reference and _absent(there):
            errors = {
                "_errors": [{"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}]
            }
            raise Refused(400, 50035, "Invalid Form Body", {"message_reference": errors})
        return await self._tell("MESSAGE_CREATE", self.world.post(channel, body, files))

    async def answer(self, by: Interaction, body: JSON, files: list[Attachment]) -> Message:
        """Post an interaction's answer; the body is checked already."""
        return await self._tell("MESSAGE_CREATE", self.world.post(by.channel, body, files, by))

    async def edit(self, message: Message, body: JSON, files: list[Attachment]) -> Message:
        """Edit a message of the bot.

        :raises Refused: as Discord does.
        """
        if message.author is not self.world.bot:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        kept = {"content": message.content, "embeds": message.embeds} | body
        kept.setdefault("components", message.components)
        flags = int(body.get("flags") or 0) | message.flags
        check_body({**kept, "flags": flags}, [*files, *message.attachments])
        message.edit(body, files, self.world.snowflakes.now())
        return await self._tell("MESSAGE_UPDATE", message)

    async def delete(self, message: Message) -> None:
        """Delete a message."""
        message.deleted = True
        await self._tell("MESSAGE_DELETE", message)

    def _may_write(self, channel: Channel) -> None:
        if not channel.writable:
            raise Refused(403, 50013, "Missing Permissions")
        person = channel.recipient
        if person is None:
            return
        if person.bot or not person.accepts_dms:
            raise Refused(403, 50007, "Cannot send messages to this user")
        if not any(person.id in guild.members for guild in self.world.bot_guilds()):
            raise Refused(403, 50278, "Cannot send messages to this user")

    async def _tell(self, event: str, message: Message) -> Message:
        if message.ephemeral:
            return message
        guild = message.channel.guild
        data = message.json()
        if event == "MESSAGE_DELETE":
            data = {"id": data["id"], "channel_id": data["channel_id"]}
        if guild is not None:
            data["guild_id"] = str(guild.id)
        await self.gateway.dispatch(event, data, GUILD_MESSAGES if guild else DIRECT_MESSAGES)
        return message


def _absent(message: Message | None) -> bool:
    return message is None or message.deleted


def check_body(body: JSON, files: list[Attachment], prefix: str = "") -> None:
    """Refuse a message that says nothing, or more than Discord takes.

    :raises Refused: as Discord does.
    """
    if not files and not any(body.get(part) for part in _PARTS):
        raise Refused(400, 50006, "Cannot send an empty message")
    check_message(body, prefix)
