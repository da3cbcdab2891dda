"""A request goes out to Discord; somebody links an account there, decides, and it is executed."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api
from tests.support.discord_message import Message
from tests.support.discord_people import User
from tests.support.discord_server import Discord
from tests.support.discord_world import Interaction
from tests.support.server import EMAIL, PASSWORD, Installation, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("CH-2", "T17", "PPL-2"),
    pytest.mark.timeout(120),
]

PATH = "/integrations/discord"
RULE = {"name": "ask", "match": {"action": "http.request"}, "effect": "review"}


def discord_settings(discord: Discord, door: str) -> dict[str, Any]:
    """Return the settings that lead a product to the played Discord."""
    world = discord.world
    found = {"discord_token": world.token, "discord_api_url": discord.api_url,
             "discord_guilds": world.acme.id}  # fmt: skip
    if door == "gateway":
        return found
    return {**found, "discord_mode": "http", "discord_application_id": world.bot.id,
            "discord_public_key": discord.public_key}  # fmt: skip


class Story:
    """The administrator, the agent, and what they see in Discord."""

    def __init__(self, product: Installation, discord: Discord) -> None:
        self.product, self.discord, self.world = product, discord, discord.world
        self.admin = Api(product.base_url, product.admin_key)
        self.agent = Api(product.base_url, product.agent_key)

    async def prepare(self, upstream: Upstream, door: str) -> None:
        """Make the target and the policy; let Discord find us."""
        await self.admin.made("/api/targets", name="notes", base_url=upstream.url,
                              settings={"networks": ["127.0.0.0/8"]})  # fmt: skip
        places = [f"channel:{self.world.approvals.id}", "seats"]
        route = {"notify": [{"channel": "discord", "to": places}]}
        rule = {**RULE, "route": route}
        await self.admin.made("/api/policies", name="deletes", rules=[rule])
        if door == "http":
            await self.discord.set_endpoint(f"{self.product.base_url}{PATH}")
        else:
            await self.discord.ready(1)
        await self.discord.wait_for(lambda: self.world.commands.get(None), 20)

    async def ask(self, path: str) -> str:
        """Let the agent ask to delete something; return the request's id."""
        asked = await self.agent.made(
            "/api/requests", action="http.request", target="notes", reason="tidy @everyone up",
            params={"method": "DELETE", "path": path},
        )  # fmt: skip
        return str(asked["id"])

    async def cards(self, request_id: str, count: int) -> list[Message]:
        """Return the messages about a request once there are so many."""

        def found() -> list[Message]:
            own = [at for at in self.world.messages if not at.ephemeral]
            shown = [at for at in own if request_id.replace("_", "\\_") in at.text
                     or f"Request {request_id}" in at.text]  # fmt: skip
            return shown if len(shown) >= count else []

        return await self.discord.wait_for(found, 20)

    async def press(self, card: Message, label: str, user: User | None = None) -> Interaction:
        """Press a button as Anna, unless somebody else is named."""
        return await self.discord.press(card, card.buttons[label], user=user or self.world.anna)

    async def whispered(self, to: Interaction) -> str:
        """Return what the one who pressed reads."""

        def said() -> str:
            own = [*([to.message] if to.ephemeral and to.message else ()), *to.followups]
            return "\n".join(at.text for at in own if at.text)

        return await self.discord.wait_for(said, 20)

    async def outcome(self, request_id: str) -> dict[str, Any]:
        """Return a request when it is over."""
        return (await self.agent.call("GET", f"/api/requests/{request_id}?wait=20"))[1]


@pytest.mark.parametrize("door", ["gateway", "http"])
async def test_asked_and_decided_in_discord(database_url: str, tmp_path: Path, door: str) -> None:
    async with Upstream() as upstream, Discord() as discord:
        given = discord_settings(discord, door)
        with installation(tmp_path / "data", database_url=database_url, **given) as product:
            story = Story(product, discord)
            await story.prepare(upstream, door)
            await approved_after_linking(story)
            await denied_with_a_reason(story)
            await asyncio.to_thread(product.stop)
        assert [received.method for received in upstream.log] == ["DELETE"]
        assert [who for message in discord.world.messages for who in message.pinged] == []


async def approved_after_linking(story: Story) -> None:
    """Anna is not known, links herself, and approves; a bot and a stranger cannot."""
    request_id = await story.ask("/echo/7")
    (card,) = await story.cards(request_id, 1)
    assert card.channel is story.world.approvals
    assert "DELETE" in card.text and "tidy @everyone up" in card.text
    answer = await story.press(card, "Approve DELETE", user=story.world.robot)
    assert "Bots do not decide" in answer.text
    answer = await story.press(card, "Approve DELETE")
    await link(story, await story.whispered(answer))
    assert "Waiting" in card.text
    await story.press(card, "Approve DELETE")
    final = await story.outcome(request_id)
    assert final["status"] == "succeeded", final
    await story.discord.wait_for(lambda: "Approved and done" in card.text, 20)
    assert card.buttons == {}
    trail = (await story.admin.call("GET", f"/api/requests/{request_id}/audit"))[1]["items"]
    (decided,) = [item for item in trail if item["event"] == "request.approved"]
    assert decided["details"]["channel"] == "discord" and len(decided["details"]["display"]) == 64


async def link(story: Story, text: str) -> None:
    """Follow the link, sign in, and say yes."""
    found = re.search(r"<(http\S+/account/link/\S+)>", text)
    assert found, text
    base = story.product.base_url
    page = base + found[1][found[1].index("/account/link/") :]
    async with httpx.AsyncClient(base_url=base, headers={"Origin": base}) as browser:
        signed_in = {"email": EMAIL, "password": PASSWORD}
        assert (await browser.post("/sign-in", data=signed_in)).status_code == 303
        form = re.search(r'name="form_token" value="([^"]+)"', (await browser.get(page)).text)
        assert form
        wrong = await browser.post(page, data={"form_token": form[1], "password": "guessed"})
        assert wrong.status_code == 401 and "not your password" in wrong.text
        done = await browser.post(page, data={"form_token": form[1], "password": PASSWORD})
        assert done.status_code == 303, done.text
    (identity,) = (await story.admin.call("GET", "/api/identities"))[1]["items"]
    assert identity["account"] == str(story.world.anna.id)


async def denied_with_a_reason(story: Story) -> None:
    """The next one is asked personally too, found by the command, and denied by the form."""
    request_id = await story.ask("/echo/8")
    cards = await story.cards(request_id, 2)
    own = next(at for at in cards if at.channel.recipient is story.world.anna)
    listed = await story.discord.command("assentry inbox", user=story.world.anna)
    assert request_id in (await story.whispered(listed)).replace("\\", "")
    opened = await story.press(own, "Deny with reason")
    assert opened.modal is not None
    await story.discord.submit(opened.modal, {"reason": "not today"})
    assert (await story.outcome(request_id))["status"] == "denied"
    for card in cards:
        await story.discord.wait_for(lambda card=card: "Denied by" in card.text, 20)
        assert "not today" in card.text and card.buttons == {}
