"""The connection to Discord's gateway: where it leads, and what becomes of it."""

import asyncio
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from app.core.ports import DeliveryFailed
from integrations.discord.gateway import GatewayLost
from integrations.discord.rest import Rest
from tests.support.discord_desk import FakeDesk, inbound, settings
from tests.support.discord_scene import scene
from tests.support.discord_server import Discord

pytestmark = pytest.mark.requirement("CH-2")


async def run(vendor: Discord, **given: Any) -> None:
    made = settings(vendor, **given)
    rest = Rest(made)
    try:
        async with asyncio.timeout(5):
            await inbound(made, rest, FakeDesk(set())).run()
    finally:
        await rest.close()


async def test_it_asks_for_nothing_but_presses(vendor: Discord) -> None:
    async with scene(vendor, "gateway"):
        (session,) = vendor.gateway.connected
        assert session.intents == 0
        assert vendor.api_url == Route.BASE
        assert vendor.gateway.url in str(DiscordWebSocket.DEFAULT_GATEWAY)


async def test_the_command_is_registered(vendor: Discord) -> None:
    async with scene(vendor, "gateway"):
        (command,) = vendor.world.commands[None]
        assert command["name"] == "assentry"
        assert [option["name"] for option in command["options"]] == ["inbox", "show"]


async def test_presses_for_another_application_are_not_heard(vendor: Discord) -> None:
    async with scene(vendor, "gateway", application_id=str(vendor.world.bot.id)) as stage:
        await stage.post()
        await stage.press("Deny", vendor.world.anna)
        await vendor.wait_for(lambda: stage.desk.said)
    vendor.deadline = 0.2
    async with scene(vendor, "gateway") as stage:
        message = await stage.post(user=vendor.world.anna.id)
        before = vendor.world.bot.id
        token = message.buttons["Deny"]
        vendor.world.bot.id = 7
        answer = await vendor.press(message, token, user=vendor.world.anna)
        vendor.world.bot.id = before
        assert answer.late and stage.desk.said == []


@pytest.mark.parametrize("url", ["ws://gateway.example/", "http://127.0.0.1/", "", None, 7])
async def test_a_gateway_that_is_none_gets_no_token(vendor: Discord, url: object) -> None:
    answer = f'{{"url": {"null" if url is None else repr(url).replace(chr(39), chr(34))}}}'
    vendor.fault("GET /gateway/bot", text=answer)
    with pytest.raises(DeliveryFailed, match="no wss address"):
        await run(vendor)
    assert vendor.gateway.identifies == 0


@pytest.mark.parametrize("route", [
    "GET /users/@me", "GET /gateway/bot", "POST /applications/{application_id}/commands",
    "GET /oauth2/applications/@me",
])  # fmt: skip
async def test_what_fails_is_raised(vendor: Discord, route: str) -> None:
    vendor.fault(route, status=503)
    with pytest.raises(DeliveryFailed, match="503"):
        await run(vendor)


@pytest.mark.parametrize("code", [4004, 4014])
async def test_a_connection_that_is_refused_is_raised(vendor: Discord, code: int) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ended(vendor))
        await vendor.ready(1)
        await vendor.gateway.close(code)
        assert isinstance(await task, discord.ClientException)


async def ended(vendor: Discord) -> Exception | None:
    """Return what ends it."""
    try:
        await run(vendor)
    except discord.ClientException as error:
        return error
    return None


async def test_an_end_without_an_error_is_an_error(
    vendor: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discord.client.Client.start", _at_once)
    with pytest.raises(GatewayLost):
        await run(vendor)


async def test_a_session_that_is_forgotten_begins_anew(
    vendor: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discord.client.Client.before_identify_hook", _at_once)
    async with scene(vendor, "gateway") as stage:
        await vendor.gateway.invalidate()
        await vendor.wait_for(lambda: vendor.gateway.identifies == 2, 15)
        message = await stage.post()
        await stage.press("Deny", vendor.world.anna)
        await stage.settled(message)


async def _at_once(*_given: Any, **_more: Any) -> None:
    """Do nothing, and take no time for it."""


async def test_suggestions_are_not_made(vendor: Discord) -> None:
    async with scene(vendor, "gateway") as stage:
        vendor.deadline = 0.1
        options = {"id": "r"}
        assert await vendor.suggest("assentry show", options, "id", user=vendor.world.anna) == []
        assert stage.desk.asked == 0


@pytest.mark.parametrize("answer", ["{}", '{"id": 7}'])
async def test_an_application_without_an_id(vendor: Discord, answer: str) -> None:
    vendor.fault("GET /oauth2/applications/@me", text=answer)
    with pytest.raises(DeliveryFailed, match="as documented"):
        await run(vendor)
