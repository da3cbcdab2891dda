"""What Slack tells an application of what people do: whole payloads, as the reference has them."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.slack_blocks import elements
from tests.support.slack_message import Message
from tests.support.slack_people import JSON, Channel, Team, User
from tests.support.slack_view import View, chosen, initial
from tests.support.slack_world import World


@dataclass(frozen=True, slots=True)
class Target:
    """What somebody presses or chooses, and where.

    :ivar block_id: says which, if several elements share the action id; a button's value does too.
    :ivar forge: it need not be there; if it once was, it is pressed as it was.
    """

    where: Message | View
    action_id: str
    block_id: str = ""
    value: Any = None
    forge: bool = False

    def action(self) -> JSON:
        """Return the action of the payload.

        :raises LookupError: there is no such thing to press.
        """
        pressable = [one for shown in self._shown() for one in self._pressable(shown)]
        fitting = [one for one in pressable if one[1]["action_id"] == self.action_id]
        exact = [one for one in fitting if self.value is None or one[1].get("value") == self.value]
        for block, element in exact or fitting:
            return _told(block, element, self.value)
        if not self.forge:
            known = [element["action_id"] for _, element in pressable]
            raise LookupError(f"nothing called {self.action_id!r} to press; there is {known}")
        return self._forged()

    def _shown(self) -> Iterator[list[JSON]]:
        """Yield the blocks that are there, and those of older versions if that is enough."""
        where = self.where
        if isinstance(where, View):
            every = [version["blocks"] for version in where.versions]
        else:
            every = [version.all_blocks for version in where.versions]
        yield from every[::-1] if self.forge else every[-1:]

    def _pressable(self, shown: list[JSON]) -> Iterator[tuple[JSON, JSON]]:
        for block, element in elements(shown):
            silent = block["type"] == "input" and not block.get("dispatch_action")
            other = self.block_id not in {"", block["block_id"]}
            if "action_id" in element and not (silent or other):
                yield block, element

    def _forged(self) -> JSON:
        text = {"type": "plain_text", "text": "…", "emoji": True}
        block = self.block_id or "gone"
        forged = {"type": "button", "action_id": self.action_id, "block_id": block, "text": text}
        return forged if self.value is None else {**forged, "value": self.value}


class Payloads:
    """Writes the payloads of a world.

    In a channel that several teams share, ``team`` is the one whose bot wrote the message, while
    ``user.team_id`` is the user's own; of a modal, ``team`` is the user's own and the bot's is
    ``view.app_installed_team_id``.

    :ivar url: address of the vendor.
    """

    def __init__(self, world: World) -> None:
        """Write about this one."""
        self.world = world
        self.url = ""

    def _common(self, kind: str, team: Team, user: User) -> JSON:
        return {
            "type": kind, "user": user.brief(), "api_app_id": self.world.app.id,
            "token": self.world.app.verification_token, "team": team.json(), "enterprise": None,
            "is_enterprise_install": False,
        }  # fmt: skip

    def press(self, target: Target, user: User) -> JSON:
        """Return the payload of a pressed button or a chosen option."""
        action = {**target.action(), "action_ts": self.world.ts()}
        if isinstance(target.where, View):
            return self._press_view(target.where, action, user)
        return self._press_message(target.where, action, user)

    def _press_message(self, message: Message, action: JSON, user: User) -> JSON:
        channel, ephemeral = message.channel, message.only_for is not None
        hook = self.world.add_hook("actions", message.team, user, channel, message)
        container = {
            "type": "message", "message_ts": message.ts, "channel_id": channel.id,
            "is_ephemeral": ephemeral,
        }  # fmt: skip
        payload: JSON = {
            **self._common("block_actions", message.team, user),
            "container": container, "channel": channel.brief(), "state": {"values": {}},
            "trigger_id": self.world.add_trigger(message.team, user).id,
            "response_url": self.url + hook.path, "actions": [action],
        }  # fmt: skip
        return payload if ephemeral else {**payload, "message": message.json()}

    def _press_view(self, view: View, action: JSON, user: User) -> JSON:
        return {
            **self._common("block_actions", user.team, user),
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": self.world.add_trigger(view.team, user, view).id,
            "view": view.json(), "actions": [action],
        }  # fmt: skip

    def submit(self, view: View, values: JSON, user: User) -> JSON:
        """Return the payload of a modal that was sent."""
        return {
            **self._common("view_submission", user.team, user),
            "trigger_id": self.world.add_trigger(view.team, user, view).id,
            "view": view.json(values), "response_urls": [],
        }  # fmt: skip

    def close(self, view: View, user: User, *, everything: bool) -> JSON:
        """Return the payload of a modal that was closed."""
        return {
            **self._common("view_closed", user.team, user),
            "view": view.json(), "is_cleared": everything,
        }  # fmt: skip

    def command(self, name: str, text: str, user: User, channel: Channel) -> JSON:
        """Return the fields of a slash command."""
        team, hook = user.team, self.world.add_hook("commands", user.team, user, channel)
        return {
            "token": self.world.app.verification_token, "team_id": team.id,
            "team_domain": team.domain, "channel_id": channel.id,
            "channel_name": channel.brief()["name"], "user_id": user.id, "user_name": user.handle,
            "command": name, "text": text, "api_app_id": self.world.app.id,
            "is_enterprise_install": "false", "response_url": self.url + hook.path,
            "trigger_id": self.world.add_trigger(team, user).id,
        }  # fmt: skip

    def home(self, user: User, tab: str) -> JSON:
        """Return the event of somebody who opens the application's home."""
        channel, view = self.world.direct(user.team, user), user.team.homes.get(user.id)
        event: JSON = {
            "type": "app_home_opened", "user": user.id, "channel": channel.id, "tab": tab,
        }  # fmt: skip
        return {**event, "view": view.json()} if view else event

    def event(self, team: Team, event: JSON) -> JSON:
        """Return an event in its wrapper."""
        ts = self.world.ts()
        grant = {
            "enterprise_id": None, "team_id": team.id, "user_id": team.bot.id, "is_bot": True,
            "is_enterprise_install": False,
        }  # fmt: skip
        return {
            "token": self.world.app.verification_token, "team_id": team.id,
            "context_team_id": team.id, "context_enterprise_id": None,
            "api_app_id": self.world.app.id, "event": {**event, "event_ts": ts},
            "type": "event_callback", "event_id": self.world.names.new("Ev"),
            "event_time": int(self.world.now()), "authorizations": [grant],
            "is_ext_shared_channel": False,
        }  # fmt: skip

    def challenge(self) -> JSON:
        """Return what asks for a proof that the application listens at a URL."""
        return {
            "token": self.world.app.verification_token,
            "challenge": self.world.names.new("challenge"), "type": "url_verification",
        }  # fmt: skip


def _told(block: JSON, element: JSON, value: Any) -> JSON:
    names = {"action_id": element["action_id"], "block_id": block["block_id"]}
    told = chosen(element, initial(element) if value is None else value)
    kept = ("text", "value", "style", "url") if element["type"] == "button" else ("placeholder",)
    more = {name: element[name] for name in kept if name in element}
    if element["type"] == "button" and value is not None:
        more["value"] = value
    return copy.deepcopy({**names, **more, **told})


def merged(payload: JSON, changes: JSON) -> JSON:
    """Return a payload with changes put into it, also deep inside."""
    whole = dict(payload)
    for name, value in changes.items():
        inner = whole.get(name)
        both = isinstance(value, dict) and isinstance(inner, dict)
        whole[name] = merged(inner, value) if both and isinstance(inner, dict) else value
    return whole
