"""The methods that look up users and channels."""

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeVar

from tests.support.slack_faults import Call, Refused
from tests.support.slack_people import JSON, Channel, User
from tests.support.slack_world import World

T = TypeVar("T")
_KINDS: Final = {"public_channel": "public", "private_channel": "private", "im": "im"}
_SEES: Final = {"public": "channels:read", "private": "groups:read", "im": "im:read"}
_PAGE: Final = 100


class Directory:
    """Looks up what is in a world."""

    def __init__(self, world: World) -> None:
        """Look into this one."""
        self.world = world

    def auth(self, call: Call) -> JSON:
        """Answer ``auth.test``."""
        team = call.team
        if team is None:
            return {"ok": True, "app_id": self.world.app.id, "app_name": "Assentry"}
        return {
            "ok": True, "url": team.url, "team": team.name, "user": team.bot.handle,
            "team_id": team.id, "user_id": team.bot.id, "bot_id": team.bot_id,
            "is_enterprise_install": False,
        }  # fmt: skip

    def team(self, call: Call) -> JSON:
        """Answer ``team.info``."""
        return {"ok": True, "team": {**call.bot.json(), "name": call.bot.name}}

    def user(self, call: Call) -> JSON:
        """Answer ``users.info``."""
        user = self.world.user(call.text("user"))
        if user is None or not self.world.known_to(call.bot, user):
            raise Refused("user_not_found")
        return {"ok": True, "user": self._shown(call, user)}

    def by_email(self, call: Call) -> JSON:
        """Answer ``users.lookupByEmail``: people of the team alone, who are still there."""
        wanted = call.text("email").lower()
        for user in call.bot.users.values():
            if user.email.lower() == wanted and not (user.deleted or user.bot):
                return {"ok": True, "user": self._shown(call, user)}
        raise Refused("users_not_found")

    def users(self, call: Call) -> JSON:
        """Answer ``users.list``."""
        everyone = list(call.bot.users.values())
        return _page(call, "members", everyone, lambda user: self._shown(call, user))

    def channel(self, call: Call) -> JSON:
        """Answer ``conversations.info``."""
        return {"ok": True, "channel": self._found(call).json(call.bot)}

    def channels(self, call: Call) -> JSON:
        """Answer ``conversations.list``."""
        words = (call.text("types") or "public_channel").split(",")
        kinds = {_KINDS[word.strip()] for word in words if word.strip() in _KINDS}
        for kind in sorted(kinds):
            _allow(call, _SEES[kind])
        known = [one for team in self.world.teams.values() for one in team.channels.values()]
        seen = [
            one
            for one in known
            if one.kind in kinds and one.visible_to(call.bot)
            and not (one.archived and call.flag("exclude_archived"))
        ]  # fmt: skip
        return _page(call, "channels", seen, lambda channel: channel.json(call.bot))

    def members(self, call: Call) -> JSON:
        """Answer ``conversations.members``."""
        members = sorted(user.id for user in self._found(call).members if not user.deleted)
        return _page(call, "members", members, lambda name: name)

    def history(self, call: Call) -> JSON:
        """Answer ``conversations.history``: the newest message first, no ephemeral ones."""
        channel = self._found(call)
        if call.bot.bot not in channel.members:
            raise Refused("not_in_channel")
        there = [one for one in channel.messages if not one.deleted and one.only_for is None]
        answer = _page(call, "messages", there[::-1], lambda message: message.json())
        return {**answer, "has_more": bool(answer["response_metadata"]["next_cursor"])}

    def join(self, call: Call) -> JSON:
        """Answer ``conversations.join``."""
        channel = self._found(call)
        if channel.kind != "public":
            raise Refused("method_not_supported_for_channel_type")
        if channel.archived:
            raise Refused("is_archived")
        channel.members.add(call.bot.bot)
        return {"ok": True, "channel": channel.json(call.bot)}

    def open(self, call: Call) -> JSON:
        """Answer ``conversations.open``, for one user."""
        names = [name for name in call.text("users").split(",") if name]
        if len(names) != 1:
            raise Refused("users_list_not_supplied" if not names else "too_many_users")
        user = self.world.user(names[0])
        if user is None or not self.world.known_to(call.bot, user):
            raise Refused("user_not_found")
        if user.deleted:
            raise Refused("user_disabled")
        if user.bot:
            raise Refused("cannot_dm_bot")
        channel = self.world.direct(call.bot, user)
        whole = channel.json(call.bot) if call.flag("return_im") else {"id": channel.id}
        return {"ok": True, "channel": whole}

    def _found(self, call: Call) -> Channel:
        channel = self.world.channel(call.bot, call.text("channel"))
        if channel is None or call.text("channel") != channel.id:
            raise Refused("channel_not_found")
        _allow(call, _SEES[channel.kind])
        return channel

    def _shown(self, call: Call, user: User) -> JSON:
        return user.json(call.bot, email="users:read.email" in call.bot.scopes)


def _allow(call: Call, scope: str) -> None:
    if scope not in call.bot.scopes:
        raise Refused("missing_scope", needed=scope, provided=",".join(sorted(call.bot.scopes)))


def _page(call: Call, name: str, found: list[T], shown: Callable[[T], object]) -> JSON:
    """Return the part of a list that a cursor points at."""
    start = _start(call.text("cursor"))
    limit = call.text("limit")
    size = int(limit) if limit.isdecimal() and int(limit) else _PAGE
    end = start + size
    cursor = base64.b64encode(f"at:{end}".encode()).decode() if end < len(found) else ""
    return {
        "ok": True,
        name: [shown(one) for one in found[start:end]],
        "response_metadata": {"next_cursor": cursor},
    }


def _start(cursor: str) -> int:
    try:
        word, _, at = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("invalid_cursor") from error
    if cursor and (word != "at" or not at.isdecimal()):
        raise Refused("invalid_cursor")
    return int(at or 0)
