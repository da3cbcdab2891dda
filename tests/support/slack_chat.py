"""The methods that write messages, and the posts to a ``response_url``."""

from typing import Any, Final

from tests.support.slack_blocks import message_problems, too_long
from tests.support.slack_faults import Call, Refused
from tests.support.slack_message import Content, Message, escaped
from tests.support.slack_people import JSON, Channel, Team, User
from tests.support.slack_world import Hook, World

TEXT: Final = 40_000
"""Characters of a posted text; what is longer is cut off, with a warning."""

UPDATED_TEXT: Final = 4000
"""Bytes of an updated text, counted with its entities."""

_USES: Final = 5


class Chat:
    """Writes messages in a world."""

    def __init__(self, world: World) -> None:
        """Write in this one."""
        self.world = world

    def post(self, call: Call) -> JSON:
        """Answer ``chat.postMessage``."""
        channel = self.place(call.bot, call.text("channel"))
        content = read_content(call.arguments)
        long = len(content.text) > TEXT
        kept = Content(content.text[:TEXT], content.blocks, content.attachments)
        message = self.world.add_message(call.bot, channel, kept)
        message.thread_ts = call.text("thread_ts")
        message.metadata = call.arguments.get("metadata")
        answer: JSON = {
            "ok": True, "channel": channel.id, "ts": message.ts, "message": message.json(),
        }  # fmt: skip
        return {**answer, "response_metadata": _CUT} if long else answer

    def update(self, call: Call) -> JSON:
        """Answer ``chat.update``; blocks and attachments that are not given stay as they are."""
        message = self._own(call, "cant_update_message")
        kept: JSON = {"blocks": message.blocks, "attachments": message.content.attachments}
        content = read_content({**kept, **call.arguments})
        if len(escaped(content.text).encode()) > UPDATED_TEXT:
            raise Refused("msg_too_long")
        self.change(message, content)
        return {
            "ok": True, "channel": message.channel.id, "ts": message.ts, "text": message.text,
            "message": message.json(),
        }  # fmt: skip

    def delete(self, call: Call) -> JSON:
        """Answer ``chat.delete``."""
        message = self._own(call, "cant_delete_message")
        message.deleted = True
        return {"ok": True, "channel": message.channel.id, "ts": message.ts}

    def whisper(self, call: Call) -> JSON:
        """Answer ``chat.postEphemeral``."""
        channel = self.place(call.bot, call.text("channel"))
        user = self.world.user(call.text("user"))
        if user is None or user not in channel.members or user.deleted:
            raise Refused("user_not_in_channel")
        content = read_content(call.arguments)
        message = self.world.add_message(call.bot, channel, content, only_for=user)
        return {"ok": True, "message_ts": message.ts}

    def permalink(self, call: Call) -> JSON:
        """Answer ``chat.getPermalink``."""
        channel = self.world.channel(call.bot, call.text("channel"))
        if channel is None:
            raise Refused("channel_not_found")
        ts = call.text("message_ts")
        if self.world.message(channel, ts) is None:
            raise Refused("message_not_found")
        path = f"archives/{channel.id}/p{ts.replace('.', '')}"
        return {"ok": True, "channel": channel.id, "permalink": channel.team.url + path}

    def change(self, message: Message, content: Content) -> None:
        """Give a message another version."""
        message.versions.append(content.numbered())
        message.edited = self.world.ts()

    def place(self, team: Team, name: str) -> Channel:
        """Return where a bot may write.

        :raises Refused: it may not, or there is no such channel.
        """
        user = self.world.user(name)
        if user is not None and not user.deleted and self.world.known_to(team, user):
            return self.world.direct(team, user)
        channel = self.world.channel(team, name)
        if channel is None:
            raise Refused("channel_not_found")
        if team.bot not in channel.members and "chat:write.public" not in team.scopes:
            raise Refused("not_in_channel")
        if channel.archived:
            raise Refused("is_archived")
        return channel

    def _own(self, call: Call, foreign: str) -> Message:
        channel = self.world.channel(call.bot, call.text("channel"))
        if channel is None:
            raise Refused("channel_not_found")
        message = self.world.message(channel, call.text("ts"))
        if message is None or message.only_for is not None:
            raise Refused("message_not_found")
        if message.team is not call.bot:
            raise Refused(foreign)
        return message

    def respond(self, call: Call) -> JSON:
        """Take a post to a ``response_url``."""
        hook = self.world.hooks.get(call.text("path"))
        if hook is None:
            raise Refused("invalid_url")
        if hook.expired:
            raise Refused("expired_url")
        if hook.uses >= _USES:
            raise Refused("used_url")
        hook.uses += 1
        self.answer(hook, call.arguments)
        return {"ok": True}

    def answer(self, hook: Hook, said: JSON) -> Message | None:
        """Write, change or delete as an answer to an action asks for."""
        old = hook.message
        if said.get("delete_original") and old is not None:
            old.deleted = True
            return old
        content = read_content(said, "no_text", summed=False)
        if said.get("replace_original") and old is not None:
            self.change(old, content)
            return old
        everybody = said.get("response_type") == "in_channel"
        only_for: User | None = None if everybody else hook.user
        made = self.world.add_message(hook.team, hook.channel, content, only_for=only_for)
        made.by_response = True
        return made


_CUT_WORDS: Final = (
    "[WARN] Your message was truncated but still posted. "
    "The `text` field accepts up to 40,000 characters."
)
_CUT: Final[JSON] = {
    "warnings": ["message_truncated"],
    "messages": [_CUT_WORDS],
}


def read_content(said: JSON, empty: str = "no_text", *, summed: bool = True) -> Content:
    """Return what a message is to say.

    :param summed: the blocks have a limit together too, as they have for posts by a method.
    :raises Refused: it says nothing, or its blocks break a rule.
    """
    blocks, attachments = said.get("blocks") or [], said.get("attachments") or []
    if not isinstance(blocks, list) or not all(isinstance(one, dict) for one in blocks):
        raise Refused("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise Refused("invalid_attachments")
    refuse("invalid_blocks", message_problems(blocks))
    for at, one in enumerate(attachments):
        inner: Any = one.get("blocks") or []
        refuse("invalid_attachments", message_problems(inner, f"/attachments/{at}/blocks"))
    content = Content(str(said.get("text") or ""), blocks, attachments)
    if not (content.text or blocks or attachments):
        raise Refused(empty)
    if summed and too_long(content.all_blocks):
        raise Refused("msg_blocks_too_long")
    return content


def refuse(error: str, found: list[str]) -> None:
    """Refuse if something was found wrong.

    :raises Refused: with the findings as Slack gives them.
    """
    if found:
        messages = [f"[ERROR] {one}" for one in found]
        more: JSON = {} if error == "invalid_arguments" else {"errors": found}
        raise Refused(error, **more, response_metadata={"messages": messages})
