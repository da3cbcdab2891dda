"""The played Slack's page: what it shows to whom, and what its forms do."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import aiohttp
import pytest

from tests.support.slack_message import Content, Message
from tests.support.slack_people import Channel, User
from tests.support.slack_sample import Sample, button, buttons, marked, modal, plain, section
from tests.support.slack_server import Slack

EVIL = "<script>alert(1)</script>\"'"


class Reader:
    """Somebody who reads the page and sends its forms."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.page = ""

    async def open(self, **query: str) -> str:
        async with self.session.get("/", params=query) as answer:
            assert answer.status == 200
            self.page = await answer.text()
        return self.page

    async def send(self, action: str, label: str, **more: Any) -> str:
        """Send the form whose button has a label."""
        form = aiohttp.FormData([*self._form(action, label).items(), *_pairs(more)])
        async with self.session.post(f"/{action}", data=form) as answer:
            self.page = await answer.text()
        return self.page

    def _form(self, action: str, label: str) -> dict[str, str]:
        pattern = rf'<form[^>]* action="/{action}">(.*?)</form>'
        for found in re.findall(pattern, self.page, re.DOTALL):
            if f">{label}</button>" in found:
                pairs = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found)
                return {name: unescape(value) for name, value in pairs}
        raise LookupError(label)


def _pairs(more: dict[str, Any]) -> list[tuple[str, str]]:
    listed = ((name, one) for name, one in more.items())
    return [
        (name.replace("value_", "value:"), value)
        for name, one in listed
        for value in (one if isinstance(one, list) else [one])
    ]


@pytest.fixture
async def reader(vendor: Slack) -> AsyncIterator[Reader]:
    async with aiohttp.ClientSession(vendor.url) as session:
        yield Reader(session)


def write(vendor: Slack, *blocks: Any, text: str = "Please", **more: Any) -> Message:
    """Write a message to approvals."""
    place: Channel = more.pop("place", vendor.world.approvals)
    only: User | None = more.pop("only_for", None)
    content = Content(text, list(blocks), more.pop("attachments", []))
    return vendor.world.add_message(vendor.world.acme, place, content, only_for=only)


async def test_pressing_and_submitting(vendor: Slack, sample: Sample, reader: Reader) -> None:
    world = vendor.world
    message = write(vendor, section("*Deploy*"), buttons("approve", "deny"))
    page = await reader.open(user=world.ben.id, channel=world.approvals.id)
    assert "<strong>Deploy</strong>" in page and "Elsewhere" in page
    page = await reader.send("press", "Deny")
    view = await vendor.wait_for(lambda: vendor.view)
    assert view.user is world.ben
    page = await reader.open(user=world.ben.id, channel=world.approvals.id)
    assert "<h2>Why?</h2>" in page and 'maxlength="50"' in page and "required" in page
    assert "Why?" not in await reader.open(user=world.anna.id)
    await reader.open(user=world.ben.id)
    assert "must be filled in" in await reader.send("submit", "Deny")
    sample.answer = {"response_action": "errors", "errors": {"why": "too <short>"}}
    assert "too &lt;short&gt;" in await reader.send("submit", "Deny", value_why="no")
    sample.answer = None
    assert "Why?" not in await reader.send("submit", "Deny", value_why="no")
    assert sample.seen[-1]["view"]["state"]["values"]["why"]["reason"]["value"] == "no"
    await reader.send("press", "Approve")
    await vendor.wait_for(lambda: message.edited)
    assert "edited" in await reader.open() and "<strong>done</strong>" in reader.page


async def test_commands_and_home(vendor: Slack, sample: Sample, reader: Reader) -> None:
    world = vendor.world
    await reader.open(user=world.ben.id, channel=world.approvals.id)
    page = await reader.send("command", "Send", command="/assentry all")
    assert "waiting: all" in page and "only you can see this" in page
    assert "begins with" in await reader.send("command", "Send", command="assentry")
    assert "Nothing is published" in await reader.open(user=world.ben.id, channel="home")
    await reader.send("home", "Open")
    await vendor.wait_for(lambda: world.acme.homes.get(world.ben.id))
    assert "waits" in await reader.open(user=world.ben.id, channel="home")
    await reader.send("press", "Open")
    assert sample.seen[-1]["actions"][0]["action_id"] == "open"


async def test_closing(vendor: Slack, sample: Sample, reader: Reader) -> None:
    sample.deny = modal(notify_on_close=True, close=plain("Back"))
    write(vendor, buttons("deny"))
    await reader.open()
    await reader.send("press", "Deny")
    await vendor.wait_for(lambda: vendor.view)
    await reader.open()
    await reader.send("close", "Back")
    assert vendor.view is None and sample.seen[-1]["type"] == "view_closed"


async def test_choosing(vendor: Slack, posted: Sample, reader: Reader) -> None:
    options = [{"text": plain(word), "value": word} for word in ("all", "none")]
    select = {"type": "static_select", "action_id": "choose", "options": options}
    confirm = {"title": plain("Sure?"), "text": plain("No way back"), "confirm": plain("Yes"),
               "deny": plain("No")}  # fmt: skip
    row = {"type": "actions", "elements": [button("open", confirm=confirm)]}
    several = {"type": "checkboxes", "action_id": "choose", "options": options}
    write(vendor, section("Which?", accessory=select), row, section("And?", accessory=several))
    page = await reader.open()
    assert "Sure?" in page and '<option value="none">' in page and 'type="checkbox"' in page
    await reader.send("press", "Choose", value="none")
    assert posted.seen[-1]["actions"][0]["selected_option"]["value"] == "none"
    await reader.send("press", "Yes")
    assert posted.seen[-1]["actions"][0]["action_id"] == "open"
    await vendor.press(vendor.world.messages[0], "choose", block_id="b0002", value=["all"])
    assert len(posted.seen[-1]["actions"][0]["selected_options"]) == 1


async def test_many_kinds_of_fields(vendor: Slack, posted: Sample, reader: Reader) -> None:
    options = [{"text": plain(word), "value": word} for word in ("a", "b")]
    kinds: dict[str, dict[str, Any]] = {
        "checkboxes": {"options": options, "initial_options": options[:1]},
        "radio_buttons": {"options": options},
        "multi_static_select": {"options": options},
        "users_select": {},
        "datepicker": {},
        "datetimepicker": {},
        "plain_text_input": {"multiline": True, "initial_value": EVIL},
    }
    posted.deny = modal(
        *(
            {
                "type": "input", "block_id": kind, "label": plain(kind), "optional": True,
                "element": {"type": kind, "action_id": "x", **more},
            }
            for kind, more in kinds.items()
        )
    )  # fmt: skip
    write(vendor, buttons("deny"))
    await reader.open()
    await reader.send("press", "Deny")
    page = await vendor.wait_for(lambda: vendor.view) and await reader.open()
    assert 'type="date"' in page and 'value="a" checked' in page and "<script" not in page
    filled = {"value_multi_static_select": ["a", "b"], "value_radio_buttons": "b",
              "value_users_select": vendor.world.gus.id, "value_datetimepicker": "12"}  # fmt: skip
    await reader.send("submit", "Deny", **filled)
    told = {name: one["x"] for name, one in posted.seen[-1]["view"]["state"]["values"].items()}
    assert told["checkboxes"]["selected_options"] == []
    assert told["radio_buttons"]["selected_option"]["value"] == "b"
    assert len(told["multi_static_select"]["selected_options"]) == 2
    assert told["users_select"]["selected_user"] == vendor.world.gus.id
    assert (told["datetimepicker"]["selected_date_time"], told["datepicker"]["selected_date"]) == (
        12,
        None,
    )
    assert told["plain_text_input"]["value"] is None


def rich(world: Any) -> dict[str, Any]:
    """Return a rich text block with many kinds of parts."""
    words = {"type": "text", "text": EVIL, "style": {"bold": True, "code": True}}
    leaves = [
        words, {"type": "link", "url": "javascript:alert(1)", "text": EVIL},
        {"type": "user", "user_id": world.ben.id}, {"type": "emoji", "name": "wave"},
        {"type": "channel", "channel_id": world.random.id},
        {"type": "broadcast", "range": "here"},
        {"type": "date", "timestamp": 1, "format": "{date}", "fallback": "long ago"},
    ]  # fmt: skip
    part = {"type": "rich_text_section", "elements": leaves}
    return {
        "type": "rich_text",
        "elements": [
            part,
            {"type": "rich_text_list", "style": "bullet", "elements": [part]},
            {"type": "rich_text_preformatted", "elements": [words]},
            {"type": "rich_text_quote", "elements": [words]},
        ],
    }


async def test_every_block_is_painted_and_escaped(vendor: Slack, reader: Reader) -> None:
    image = {"type": "image", "alt_text": EVIL, "image_url": "https://x.example/x.png"}
    field = {"type": "plain_text_input", "action_id": "i"}
    write(
        vendor,
        {"type": "header", "text": plain(EVIL)},
        section(
            EVIL, fields=[marked(EVIL), plain(EVIL)], accessory=button("open", text=plain(EVIL))
        ),
        {"type": "context", "elements": [marked(EVIL), image]},
        {"type": "divider"},
        rich(vendor.world),
        {"type": "markdown", "text": EVIL},
        image,
        {"type": "input", "label": plain(EVIL), "element": field},
        {"type": "actions", "elements": [button("go", url="javascript:alert(1)")]},
        attachments=[{"text": EVIL, "fallback": EVIL}, {"fallback": EVIL}],
    )
    async with reader.session.get("/", params={"said": EVIL}) as answer:
        page = await answer.text()
    assert "<script" not in page and 'href="javascript:' not in page and "<img" not in page
    assert page.count("&lt;script&gt;") >= 16
    assert "<li>" in page and "@Ben" in page and "@here" in page and "long ago" in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("source", "painted"),
    [
        ("*a* _b_ ~c~ `*d*`", "<strong>a</strong> <em>b</em> <s>c</s> <code>*d*</code>"),
        ("2*3*4 snake_case_name", "2*3*4 snake_case_name"),
        ("```a\n*b*```", "<pre>a\n*b*</pre>"),
        ("&lt;!channel&gt; &amp;", "&lt;!channel&gt; &amp;"),
        ("<b>", "&lt;b&gt;"),
        ("<!channel>", '<span class="mention">@channel</span>'),
        ("<!date^1^{date}|then>", '<span class="mention">then</span>'),
        ("<https://x.example|*y*>", '<a href="https://x.example" rel="noreferrer">*y*</a>'),
        ("<javascript:alert(1)|y>", "y"),
        ("a < b ` c", "a &lt; b ` c"),
    ],
)
async def test_marks(vendor: Slack, reader: Reader, source: str, painted: str) -> None:
    write(vendor, section(source))
    assert f'<div class="text">{painted}</div>' in await reader.open()


async def test_everybody_sees_what_is_theirs(vendor: Slack, reader: Reader) -> None:
    world = vendor.world
    write(vendor, text="for all")
    write(vendor, text="for Ben", only_for=world.ben)
    write(vendor, text="directly", place=world.direct(world.acme, world.ben))
    write(vendor, text="gone").deleted = True
    here = {"channel": world.approvals.id}
    page = await reader.open(user=world.ben.id, **here)
    assert "for all" in page and "for Ben" in page and "gone" not in page and "Dora" not in page
    assert "for Ben" not in await reader.open(user=world.anna.id, **here)
    direct = {"channel": world.direct(world.acme, world.ben).id}
    assert "directly" in await reader.open(user=world.ben.id, **direct)
    assert "directly" not in await reader.open(user=world.anna.id, **direct)
    page = await reader.open(user=world.mallory.id, **here)
    assert "for all" not in page and "lobby" in page and "vault" not in page


async def test_what_goes_wrong_is_said(vendor: Slack, reader: Reader) -> None:
    vendor.sockets.deadline = 0.02
    message = write(vendor, buttons("approve"))
    await reader.open()
    assert "trouble connecting" in await reader.send("press", "Approve")
    message.deleted = True
    form = {"user": vendor.world.anna.id, "action_id": "approve", "message": message.ts}
    form["place"] = message.channel.id
    async with reader.session.post("/press", data=form) as answer:
        assert "no such message" in await answer.text()
    async with reader.session.post("/close", data=form | {"view": "V0"}) as answer:
        assert "no such view" in await answer.text()
    odd = {"Origin": "http://x.example"}
    async with reader.session.post("/press", data=form, headers=odd) as answer:
        assert answer.status == 403
