"""The played Discord's other doors: interactions posted with a signature, and the page."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from app.clock import SystemClock
from tests.support.discord_endpoint import SIGNATURE, TIMESTAMP, Tamper
from tests.support.discord_limits import Refused
from tests.support.discord_message import EPHEMERAL
from tests.support.discord_server import Discord

WINDOW = 60
BUTTONS: list[dict[str, Any]] = [
    {
        "type": 1,
        "components": [
            {"type": 2, "style": 3, "label": "Approve", "custom_id": "approve"},
            {"type": 2, "style": 4, "label": "Deny", "custom_id": "deny"},
            {"type": 2, "style": 1, "label": "Off", "custom_id": "off", "disabled": True},
        ],
    }
]
MODAL: dict[str, Any] = {
    "custom_id": "why",
    "title": "Why <not>?",
    "components": [
        {
            "type": 18,
            "label": "Reason",
            "component": {"type": 4, "custom_id": "reason", "style": 2, "max_length": 50},
        }
    ],
}


@dataclass
class App:
    """An application that checks signatures, age and repetition.

    :ivar answer: what it says to a button, as status and body.
    """

    key: Ed25519PublicKey
    seen: set[str] = field(default_factory=set[str])
    answer: tuple[int, object] = (200, {"type": 7, "data": {"content": "done"}})
    url: str = ""
    lax: bool = False

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.lax and not self._signed(request, body):
            return web.Response(status=401, text="bad signature")
        told = json.loads(body)
        if told["type"] == 1:
            return web.json_response({"type": 1})
        if told["id"] in self.seen:
            return web.Response(status=409, text="seen before")
        self.seen.add(told["id"])
        return self._act(told)

    def _act(self, told: dict[str, Any]) -> web.Response:
        if told["type"] == 5:
            reason = told["data"]["components"][0]["component"]["value"]
            said = {"type": 7, "data": {"content": f"denied: {reason}", "components": []}}
            return web.json_response(said)
        if told["type"] == 2:
            (group,) = told["data"]["options"]
            data = {"content": group["options"][0]["value"], "flags": EPHEMERAL}
            return web.json_response({"type": 4, "data": data})
        if told["data"]["custom_id"] == "deny":
            return web.json_response({"type": 9, "data": MODAL})
        status, body = self.answer
        return web.Response(
            status=status,
            text=body if isinstance(body, str) else json.dumps(body),
            content_type="application/json",
        )

    def _signed(self, request: web.Request, body: bytes) -> bool:
        stamp = request.headers.get(TIMESTAMP, "")
        try:
            self.key.verify(
                bytes.fromhex(request.headers.get(SIGNATURE, "")), stamp.encode() + body
            )
        except (InvalidSignature, ValueError):
            return False
        return abs(SystemClock().now() // 1_000_000 - int(stamp)) <= WINDOW


@pytest.fixture
async def vendor() -> AsyncIterator[Discord]:
    async with Discord() as played:
        played.world.post(played.world.approvals, {"content": "Please", "components": BUTTONS}, [])
        yield played


@pytest.fixture
async def app(vendor: Discord) -> AsyncIterator[App]:
    """An application that the vendor knows."""
    made = App(Ed25519PublicKey.from_public_bytes(bytes.fromhex(vendor.public_key)))
    server = web.Application()
    server.router.add_post("/discord", made.serve)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/discord"
    await vendor.set_endpoint(made.url)
    yield made
    await runner.cleanup()


async def test_the_endpoint_is_verified(vendor: Discord, app: App) -> None:
    assert (await vendor.ping()).status == 200
    assert (await vendor.probe()).status == 401
    app.lax = True
    with pytest.raises(Refused, match="Invalid Form Body"):
        await vendor.set_endpoint(app.url)
    app.lax = False
    with pytest.raises(Refused):
        await vendor.set_endpoint("http://127.0.0.1:1/discord")
    assert vendor.world.endpoint == app.url
    change = {"interactions_endpoint_url": "http://127.0.0.1:1/"}
    headers = {"Authorization": f"Bot {vendor.world.token}"}
    async with aiohttp.ClientSession(vendor.url, headers=headers) as session:
        async with session.patch("/api/v10/applications/@me", json=change) as answer:
            assert answer.status == 400
        async with session.get("/api/v10/applications/@me") as answer:
            said = await answer.json()
    assert said["verify_key"] == vendor.public_key
    assert said["interactions_endpoint_url"] == app.url


async def test_a_signed_press(vendor: Discord, app: App) -> None:
    done = await vendor.press(vendor.world.last, "approve", user=vendor.world.anna)
    assert (done.status, done.response, done.text) == (200, 7, "done")
    assert done.payload["member"]["roles"] == [str(vendor.world.security.id)]
    assert done.payload["message"]["content"] == "Please"
    assert vendor.endpoint.sent[-1].headers["User-Agent"].startswith("Discord-Interactions/1.0")


async def test_a_signed_command(vendor: Discord, app: App) -> None:
    option = {"name": "which", "description": "d", "type": 3, "required": True}
    group = {"name": "show", "description": "d", "type": 1, "options": [option]}
    one = {"id": "1", "name": "assentry", "type": 1, "options": [group]}
    vendor.world.commands[None] = [one]
    answer = await vendor.command("assentry show", {"which": "all"}, user=vendor.world.ben)
    assert answer.payload["data"]["options"][0]["name"] == "show"
    assert (answer.text, answer.ephemeral) == ("all", True)


async def test_a_signed_modal(vendor: Discord, app: App) -> None:
    opened = await vendor.press(vendor.world.last, "deny", user=vendor.world.ben)
    assert opened.modal is not None and list(opened.modal.inputs) == ["reason"]
    done = await vendor.submit(opened.modal, {"reason": "no"})
    assert (done.response, vendor.world.last.content) == (7, "denied: no")


@pytest.mark.parametrize(
    "tamper",
    [
        Tamper(key=Ed25519PrivateKey.generate()),
        Tamper(signature="00" * 64),
        Tamper(signature="no hexadecimal"),
        Tamper(timestamp="1"),
        Tamper(signed_at=1),
        Tamper(body=b'{"type": 1}'),
        Tamper(without=(SIGNATURE,)),
        Tamper(without=(TIMESTAMP,)),
        Tamper(headers={TIMESTAMP: ""}),
    ],
)
async def test_tampered(vendor: Discord, app: App, tamper: Tamper) -> None:
    answer = await vendor.press(vendor.world.last, "approve", user=vendor.world.anna, tamper=tamper)
    assert (answer.status, answer.response, answer.late) == (401, None, True)
    assert app.seen == set() and vendor.world.last.content == "Please"


async def test_replayed(vendor: Discord, app: App) -> None:
    done = await vendor.press(vendor.world.last, "approve", user=vendor.world.anna, repeat=3)
    assert [one.status for one in done.deliveries] == [200, 409, 409]
    assert (done.response, len(vendor.world.last.history)) == (7, 1)
    assert (await vendor.replay(vendor.endpoint.sent[-1])).status == 409
    first, second, *_ = vendor.endpoint.sent[-4:]
    assert first == second


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ((500, "oops"), False),
        ((200, "no json"), True),
        ((200, {"type": 99}), True),
        ((200, {"type": 4, "data": {"content": "x" * 2001}}), True),
        ((200, {"type": 4, "data": {}}), True),
    ],
)
async def test_bad_answers(
    vendor: Discord, app: App, answer: tuple[int, object], refused: bool
) -> None:
    vendor.deadline = 0.05
    app.answer = answer
    said = await vendor.press(vendor.world.last, "approve", user=vendor.world.anna)
    assert said.late and (said.refused is not None) is refused


async def test_an_answer_that_comes_over_rest(vendor: Discord, app: App) -> None:
    app.answer = (202, "")
    press = asyncio.ensure_future(
        vendor.press(vendor.world.last, "approve", user=vendor.world.anna)
    )
    token = str(await vendor.wait_for(lambda: next(iter(vendor.world.interactions), None)))
    waiting = vendor.world.interactions[token]
    path = f"/api/v10/interactions/{waiting.id}/{token}/callback"
    async with (
        aiohttp.ClientSession(vendor.url) as session,
        session.post(path, json={"type": 5, "data": {"flags": EPHEMERAL}}) as answer,
    ):
        assert answer.status == 204
    done = await press
    assert (done.response, done.ephemeral, done.status) == (5, True, 202)
    assert done.message is not None and done.message.loading
    path = f"/api/v10/webhooks/{vendor.world.bot.id}/{token}/messages/@original"
    async with aiohttp.ClientSession(vendor.url) as session:
        async with session.patch(path, json={"content": "at last"}) as answer:
            assert answer.status == 200
        done.expired = True
        async with session.get(path) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 50027)
    assert done.text == "at last" and not done.message.loading


async def test_nobody_is_there(vendor: Discord) -> None:
    vendor.deadline = 0.05
    assert (await vendor.press(vendor.world.last, "approve", user=vendor.world.anna)).late
    vendor.world.endpoint = "http://127.0.0.1:1/"
    answer = await vendor.press(vendor.world.last, "approve", user=vendor.world.anna)
    assert (answer.status, answer.late) == (0, True)


def form(page: str, action: str, label: str) -> dict[str, str]:
    """Return the hidden fields of the form whose button has a label."""
    for found in re.findall(
        rf'<form method="post" action="{action}">(.*?)</form>', page, re.DOTALL
    ):
        if f">{label}</button>" in found:
            return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', found))
    raise LookupError(label)


async def test_the_page_acts(vendor: Discord, app: App) -> None:
    world = vendor.world
    async with aiohttp.ClientSession(vendor.url) as session:
        page = await (await session.get("/")).text()
        assert "Acme" in page and "Please" in page and "Elsewhere" not in page
        fields = form(page, "/press", "Deny")
        page = await (await session.post("/press", data=fields)).text()
        assert "Why &lt;not&gt;?" in page and len(world.modals) == 1
        other = await (await session.get("/", params={"user": world.ben.id})).text()
        assert "Why" not in other
        fields = form(page, "/submit", "Submit") | {"value:reason": "<script>"}
        page = await (await session.post("/submit", data=fields)).text()
        assert "denied: &lt;script&gt;" in page and "<script" not in page
        said = await (await session.post("/press", data=fields | {"message": "1"})).text()
        assert "no such message" in said
        odd = await session.post("/press", data=fields, headers={"Origin": "http://x.example"})
        assert odd.status == 403


async def test_the_page_escapes(vendor: Discord) -> None:
    evil = "<script>alert(1)</script>\"'"
    field_ = {"name": evil, "value": evil}
    world = vendor.world
    world.post(
        world.approvals,
        {
            "content": evil,
            "embeds": [
                {"title": evil, "description": evil, "fields": [field_], "footer": {"text": evil}}
            ],
            "components": [
                {
                    "type": 1,
                    "components": [
                        {"type": 2, "style": 1, "label": evil, "custom_id": evil},
                        {"type": 2, "style": 5, "label": evil, "url": "javascript:alert(1)"},
                    ],
                }
            ],
        },
        [],
    )
    async with aiohttp.ClientSession(vendor.url) as session:
        answer = await session.get("/", params={"said": evil})
        page = await answer.text()
    assert "<script" not in page and "javascript:" not in page
    assert page.count("&lt;script&gt;") >= 8
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_the_page_shows_each_what_is_theirs(vendor: Discord) -> None:
    world = vendor.world
    world.post(world.dm(world.ben), {"content": "for Ben"}, [])
    async with aiohttp.ClientSession(vendor.url) as session:
        query = {"user": str(world.ben.id), "channel": str(world.dm(world.ben).id)}
        assert "for Ben" in await (await session.get("/", params=query)).text()
        query["user"] = str(world.mallory.id)
        page = await (await session.get("/", params=query)).text()
        assert "for Ben" not in page and "Please" not in page and "lobby" in page
