"""A small Bolt application for the tests of the played Slack: it asks, and does what it is told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.support.slack_people import JSON, Team
from tests.support.slack_server import Slack

PING: Final = 0.05
"""Seconds between the pings of the Socket Mode client, and until it connects again."""


def plain(words: str) -> JSON:
    """Return a text object without markup."""
    return {"type": "plain_text", "text": words}


def marked(words: str) -> JSON:
    """Return a text object with markup."""
    return {"type": "mrkdwn", "text": words}


def section(words: str, **more: Any) -> JSON:
    """Return a section."""
    return {"type": "section", "text": marked(words), **more}


def button(action_id: str, value: str = "7", **more: Any) -> JSON:
    """Return a button."""
    label = plain(action_id.title())
    return {"type": "button", "action_id": action_id, "text": label, "value": value, **more}


def buttons(*actions: str, block_id: str = "decide") -> JSON:
    """Return a row of buttons."""
    row = [button(action) for action in actions]
    return {"type": "actions", "block_id": block_id, "elements": row}


def modal(*blocks: JSON, title: str = "Why?", **more: Any) -> JSON:
    """Return a modal; with no blocks it asks for a reason."""
    asked = {"type": "plain_text_input", "action_id": "reason", "max_length": 50}
    field = {"type": "input", "block_id": "why", "label": plain("Reason"), "element": asked}
    return {
        "type": "modal", "callback_id": "deny", "title": plain(title), "submit": plain("Deny"),
        "blocks": list(blocks or (field,)), **more,
    }  # fmt: skip


class Sample:
    """Approves, denies with a reason, answers ``/assentry``, and has a home tab.

    :ivar bolt: the application.
    :ivar seen: what it heard, in order.
    :ivar deny: the modal that it opens.
    :ivar answer: what it answers to a modal that is submitted; None closes it.
    """

    def __init__(self, slack: Slack, team: Team | None = None) -> None:
        """Act for one team of a vendor."""
        self.slack = slack
        token = (team or slack.world.acme).bot_token
        self.client = AsyncWebClient(token, base_url=slack.api_url)
        self.bolt = AsyncApp(client=self.client, signing_secret=slack.world.app.signing_secret)
        self.seen: list[JSON] = []
        self.deny: JSON = modal(private_metadata="7")
        self.answer: JSON | None = None
        self._listen()

    def _listen(self) -> None:
        for name in ("approve", "deny", "thank", "open", "more", "choose"):
            self.bolt.action(name)(getattr(self, f"on_{name}"))
        self.bolt.view("deny")(self.on_denied)
        self.bolt.view_closed("deny")(self.on_closed)
        self.bolt.command("/assentry")(self.on_command)
        self.bolt.event("app_home_opened")(self.on_home)
        self.bolt.event("app_uninstalled")(self.on_event)

    async def on_approve(self, ack: Any, body: JSON) -> None:
        """Write that it is done."""
        await ack()
        self.seen.append(body)
        at = body["container"]
        await self.client.chat_update(
            channel=at["channel_id"], ts=at["message_ts"], text="done", blocks=[section("*done*")]
        )

    async def on_deny(self, ack: Any, body: JSON) -> None:
        """Ask why."""
        await ack()
        self.seen.append(body)
        await self.client.views_open(trigger_id=body["trigger_id"], view=self.deny)

    async def on_thank(self, ack: Any, body: JSON, respond: Any) -> None:
        """Say thank you through the ``response_url``, and take the buttons away."""
        await ack()
        self.seen.append(body)
        await respond("thank you")
        await respond(text="thanked", replace_original=True)

    async def on_open(self, ack: Any, body: JSON) -> None:
        """Hear which one."""
        await ack()
        self.seen.append(body)

    async def on_more(self, ack: Any, body: JSON) -> None:
        """Put another modal on top."""
        await ack()
        self.seen.append(body)
        await self.client.views_push(trigger_id=body["trigger_id"], view=modal(title="More"))

    async def on_choose(self, ack: Any, body: JSON) -> None:
        """Hear what was chosen."""
        await ack()
        self.seen.append(body)

    async def on_denied(self, ack: Any, body: JSON) -> None:
        """Answer as the test wants it."""
        self.seen.append(body)
        await (ack() if self.answer is None else ack(**self.answer))

    async def on_closed(self, ack: Any, body: JSON) -> None:
        """Hear that nobody answered."""
        await ack()
        self.seen.append(body)

    async def on_command(self, ack: Any, command: JSON) -> None:
        """Say it back."""
        self.seen.append(command)
        await (ack(f"waiting: {command['text']}") if command["text"] else ack())

    async def on_home(self, event: JSON) -> None:
        """Publish the home tab."""
        self.seen.append(event)
        blocks = [section("waits", accessory=button("open")), buttons("open", block_id="second")]
        await self.client.views_publish(
            user_id=event["user"], view={"type": "home", "blocks": blocks}
        )

    async def on_event(self, body: JSON) -> None:
        """Hear of it."""
        self.seen.append(body)


@asynccontextmanager
async def over_http(sample: Sample) -> AsyncGenerator[str]:
    """Serve an application, and tell the vendor its address."""

    async def serve(request: web.Request) -> web.Response:
        return await to_aiohttp_response(
            await sample.bolt.async_dispatch(await to_bolt_request(request))
        )

    site = web.Application()
    site.router.add_post("/slack", serve)
    runner = web.AppRunner(site, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack"
        sample.slack.world.app.set_request_url(url)
        yield url
    finally:
        sample.slack.world.app.set_request_url(None)
        await runner.cleanup()


@asynccontextmanager
async def over_socket(sample: Sample) -> AsyncGenerator[AsyncSocketModeHandler]:
    """Connect an application by Socket Mode."""
    slack = sample.slack
    token = slack.world.app.app_token
    opener = AsyncWebClient(token, base_url=slack.api_url)
    handler = AsyncSocketModeHandler(sample.bolt, token, web_client=opener, ping_interval=PING)
    before = len(slack.sockets.live)
    try:
        await handler.connect_async()
        await slack.wait_for(lambda: len(slack.sockets.live) > before)
        yield handler
    finally:
        await handler.close_async()
