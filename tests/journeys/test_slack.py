"""A request goes out to Slack, is decided there by a linked account, and executed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, link, signed_in
from tests.support.server import EMAIL, PASSWORD, Installation, installation
from tests.support.slack_message import Message
from tests.support.slack_server import Slack
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("CH-1", "T16", "T17"),
    pytest.mark.timeout(120),
]

PATH = "/integrations/slack"


def slack_settings(slack: Slack, door: str) -> dict[str, Any]:
    """Return the settings that lead a product to the played Slack."""
    world = slack.world
    found = {"slack_bot_token": world.acme.bot_token, "slack_api_url": slack.api_url}
    if door == "socket":
        return {**found, "slack_app_token": world.app.app_token}
    return {**found, "slack_signing_secret": world.app.signing_secret, "slack_app_id": world.app.id}


class Human:
    """The administrator and the agent, with the notes to write to."""

    def __init__(self, product: Installation, upstream: Upstream) -> None:
        self.admin = Api(product.base_url, product.admin_key)
        self.agent = Api(product.base_url, product.agent_key)
        self._base_url, self._upstream = product.base_url, upstream

    async def prepare(self, account: str) -> None:
        """Make the target, and link the administrator's account."""
        await self.admin.made("/api/targets", name="notes", base_url=self._upstream.url,
                              settings={"networks": ["127.0.0.0/8"]})  # fmt: skip
        people = (await self.admin.call("GET", "/api/people"))[1]["items"]
        async with signed_in(self._base_url, EMAIL, PASSWORD) as browser:
            await link(browser, PASSWORD, person_id=people[0]["id"], channel="slack",
                       account=account)  # fmt: skip

    async def ask(self, path: str) -> str:
        """Let the agent ask to delete something; return the request's id."""
        asked = await self.agent.made(
            "/api/requests", action="http.request", target="notes", reason="tidy <!channel> up",
            params={"method": "DELETE", "path": path},
        )  # fmt: skip
        return str(asked["id"])

    async def outcome(self, request_id: str) -> dict[str, Any]:
        """Return a request when it is over."""
        return (await self.agent.call("GET", f"/api/requests/{request_id}?wait=20"))[1]


@pytest.mark.parametrize("door", ["http", "socket"])
async def test_asked_and_decided_in_slack(database_url: str, tmp_path: Path, door: str) -> None:
    async with Upstream() as upstream, Slack() as slack:
        given = slack_settings(slack, door)
        with installation(tmp_path / "data", database_url=database_url, **given) as product:
            world = slack.world
            if door == "http":
                world.app.set_request_url(f"{product.base_url}{PATH}")
            else:
                await slack.wait_for(lambda: slack.sockets.live or None)
            human = Human(product, upstream)
            await human.prepare(f"{world.acme.id}:{world.anna.id}")
            await approved(human, slack)
            await denied_with_reason(human, slack)
            await asyncio.to_thread(product.stop)
        assert [received.method for received in upstream.log] == ["DELETE"]


async def approved(human: Human, slack: Slack) -> None:
    """One is approved after others were turned away."""
    request_id = await human.ask("/echo/7")
    card = await slack.wait_for(lambda: slack.last)
    assert card.channel.user is slack.world.anna
    assert "DELETE" in card.shown and "tidy" in card.shown and not card.content.specials
    await turned_away(slack, card)
    assert (await slack.press(card, "approve")).good
    final = await human.outcome(request_id)
    assert final["status"] == "succeeded", final
    await slack.wait_for(lambda: "Approved and done" in card.shown)
    assert [button["action_id"] for button in card.buttons] == ["open"]
    trail = (await human.admin.call("GET", f"/api/requests/{request_id}/audit"))[1]["items"]
    (decided,) = [item for item in trail if item["event"] == "request.approved"]
    assert decided["details"]["channel"] == "slack" and len(decided["details"]["display"]) == 64


async def turned_away(slack: Slack, card: Message) -> None:
    """Nobody else decides, however they press."""
    world = slack.world
    for user in (world.ben, world.gus, world.dora, world.robot, world.mallory):
        await slack.press(card, "approve", user=user, anyway=True)
    assert "Waiting" in card.shown


async def denied_with_reason(human: Human, slack: Slack) -> None:
    """Another is denied by the form."""
    before = slack.last
    request_id = await human.ask("/echo/8")
    card = await slack.wait_for(lambda: None if slack.last is before else slack.last)
    await slack.press(card, "reason")
    form = await slack.wait_for(lambda: slack.view)
    assert (await slack.submit(form, {"comment": "not today"})).good
    final = await human.outcome(request_id)
    assert final["status"] == "denied"
    await slack.wait_for(lambda: "Denied by" in card.shown)
    assert "not today" in card.shown
