"""Interaction payloads: what the application is told that a user did."""

import secrets
from typing import Any, Final

from tests.support.discord_message import Message, find_component
from tests.support.discord_people import JSON, PERMISSIONS, Channel, User
from tests.support.discord_world import Interaction, Modal, World

_ANSWERS_ALONE: Final = (1, 2)
_USER: Final = 6
_CHANNEL: Final = 7
_ROLE: Final = 8
_CASTS: Final = {3: str, 4: int, 5: bool, 10: float}


def begin(
    world: World, kind: int, user: User, channel: Channel, source: Message | None = None
) -> Interaction:
    """Return an interaction of a user in a channel, its payload complete but for ``data``.

    :raises LookupError: the user is not there.
    """
    guild = channel.guild
    identity = world.snowflakes.new()
    interaction = Interaction(
        identity, secrets.token_urlsafe(48), kind, user, channel, world.bot.id, source
    )
    payload: JSON = {
        "id": str(identity),
        "application_id": str(world.bot.id),
        "type": kind,
        "token": interaction.token,
        "version": 1,
        "channel_id": str(channel.id),
        "channel": channel.json() | {"permissions": PERMISSIONS},
        "app_permissions": PERMISSIONS,
        "locale": "en-US",
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": {"0": str(guild.id) if guild else "0"},
        "context": 0 if guild else 1,
        "attachment_size_limit": 10_485_760,
    }
    if guild is None:
        if channel.recipient is not user:
            raise LookupError(f"{user.name} is not in the conversation with {channel.name}")
        payload["user"] = user.json()
    else:
        if user.id not in guild.members:
            raise LookupError(f"{user.name} is no member of {guild.name}")
        member = guild.member_json(user) | {"permissions": PERMISSIONS}
        payload |= {"guild_id": str(guild.id), "guild_locale": "en-US", "member": member}
        payload["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
    if source is not None:
        payload["message"] = source.json()
    interaction.payload = payload
    return interaction


def pressed(interaction: Interaction, custom_id: str, values: list[str], *, stale: bool) -> None:
    """Complete the payload of a pressed button, or of a choice.

    :param stale: the user still sees an earlier version of the message.
    :raises LookupError: the message has no such component, or it cannot be pressed.
    """
    message = interaction.source
    assert message is not None
    versions = [message.json(), *(reversed(message.history) if stale else ())]
    for version in versions:
        component = find_component(version["components"], custom_id)
        if component is not None and not component.get("disabled"):
            break
    else:
        raise LookupError(f"no component {custom_id!r} can be pressed")
    if message.deleted and not stale:
        raise LookupError("the message is deleted")
    if message.only_for not in {None, interaction.user}:
        raise LookupError(f"{interaction.user.name} cannot see the message")
    data: JSON = {"custom_id": custom_id, "component_type": component["type"]}
    if "id" in component:
        data["id"] = component["id"]
    interaction.payload["message"] = version
    interaction.payload["data"] = data | ({"values": values} if component["type"] != 2 else {})


def submitted(interaction: Interaction, modal: Modal, values: dict[str, str]) -> None:
    """Complete the payload of a modal that was filled in.

    :raises ValueError: a value is missing, too short, too long, or belongs to no input.
    """
    if unknown := set(values) - set(modal.inputs):
        raise ValueError(f"no such inputs: {sorted(unknown)}")
    components = [_filled(part, values) for part in modal.components]
    interaction.payload["data"] = {"custom_id": modal.custom_id, "components": components}


def _filled(part: JSON, values: dict[str, str]) -> JSON:
    about: JSON = {key: part[key] for key in ("type", "id") if key in part}
    if "components" in part:
        return about | {"components": [_filled(inner, values) for inner in part["components"]]}
    if "component" in part:
        return about | {"component": _filled(part["component"], values)}
    if "custom_id" not in part:
        return about
    value = values.get(part["custom_id"], part.get("value") or "")
    if part["type"] != 4:
        return about | {"custom_id": part["custom_id"], "values": [value] if value else []}
    least = int(part.get("min_length") or (1 if part.get("required", True) else 0))
    if (value or part.get("required", True)) and len(value) < least:
        raise ValueError(f"{part['custom_id']} needs {least} characters")
    if len(value) > int(part.get("max_length") or 4000):
        raise ValueError(f"{part['custom_id']} is too long")
    return about | {"custom_id": part["custom_id"], "value": value}


def called(world: World, interaction: Interaction, name: str, options: JSON, focused: str) -> None:
    """Complete the payload of a slash command.

    :param name: with the names of a group and a subcommand, such as ``assentry decide``.
    :param focused: the option that the user is typing, when suggestions are asked for.
    :raises LookupError: no such command is registered there.
    :raises ValueError: a required option is missing, or one is not known.
    """
    first, *path = name.split()
    command = find_command(world, interaction.channel, first)
    resolved: JSON = {}
    inner, level = command, [command]
    for word in path:
        inner = _named(inner.get("options") or [], word)
        level.append(inner)
    known: list[JSON] = inner.get("options") or []
    if any(option["type"] in _ANSWERS_ALONE for option in known):
        raise LookupError(f"/{name} is no complete command")
    missing = [x["name"] for x in known if x.get("required") and x["name"] not in options]
    if missing and not focused:
        raise ValueError(f"/{name} needs {missing}")
    given = [
        _option(world, _named(known, key), value, resolved)
        | ({"focused": True} if key == focused else {})
        for key, value in options.items()
    ]
    for part in reversed(level[1:]):
        given = [{"name": part["name"], "type": part["type"], "options": given}]
    data: JSON = {"id": command["id"], "name": first, "type": 1, "options": given}
    if "guild_id" in command:
        data["guild_id"] = command["guild_id"]
    interaction.payload["data"] = data | ({"resolved": resolved} if resolved else {})


def find_command(world: World, channel: Channel, name: str) -> JSON:
    """Return a command as it is registered for a channel's guild, or for all.

    :raises LookupError: it is not.
    """
    guild = channel.guild
    scopes = [guild.id, None] if guild else [None]
    for scope in scopes:
        for command in world.commands.get(scope, []):
            if command["name"] == name and command["type"] == 1:
                return command
    raise LookupError(f"/{name} is not registered")


def _named(options: list[JSON], name: str) -> JSON:
    for option in options:
        if option["name"] == name:
            return option
    raise ValueError(f"no option {name!r}")


def _option(world: World, option: JSON, value: Any, resolved: JSON) -> JSON:
    kind = option["type"]
    if kind in _CASTS:
        return {"name": option["name"], "type": kind, "value": _CASTS[kind](value)}
    identity = str(getattr(value, "id", value))
    if kind == _USER:
        resolved.setdefault("users", {})[identity] = world.users[int(identity)].json()
    elif kind == _CHANNEL:
        resolved.setdefault("channels", {})[identity] = world.channels[int(identity)].json()
    elif kind == _ROLE:
        roles = [role for guild in world.guilds.values() for role in guild.roles]
        role = next(role for role in roles if str(role.id) == identity)
        resolved.setdefault("roles", {})[identity] = role.json()
    return {"name": option["name"], "type": kind, "value": identity}
