"""The rules of Block Kit that the played Slack enforces, through the real slack_sdk."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.support.slack_sample import button, buttons, marked, modal, plain, section
from tests.support.slack_server import Slack


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def rich(*leaves: dict[str, Any]) -> dict[str, Any]:
    """Return a rich text block with one section."""
    part = {"type": "rich_text_section", "elements": list(leaves)}
    return {"type": "rich_text", "elements": [part]}


def select(count: int, **more: Any) -> dict[str, Any]:
    options = [{"text": plain(str(at)), "value": str(at)} for at in range(count)]
    return {"type": "static_select", "action_id": "s", "options": options, **more}


async def refused(client: AsyncWebClient, channel: str, blocks: object) -> dict[str, Any]:
    """Return what a refused post was answered."""
    with pytest.raises(SlackApiError) as error:
        await client.api_call(
            "chat.postMessage", json={"channel": channel, "text": "x", "blocks": blocks}
        )
    response: Any = error.value.response
    return response.data


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        ([section("x" * 3001)], "/blocks/0/text"),
        ([section("")], "/blocks/0/text"),
        ([{"type": "section"}], "/blocks/0"),
        ([{"type": "section", "fields": [marked("x")] * 11}], "/blocks/0/fields"),
        ([{"type": "section", "fields": [marked("x" * 2001)]}], "/blocks/0/fields/0/text"),
        ([{"type": "header", "text": plain("x" * 151)}], "/blocks/0/text/text"),
        ([{"type": "header", "text": marked("x")}], "/blocks/0/text/type"),
        ([{"type": "context", "elements": [marked("x")] * 11}], "/blocks/0/elements"),
        ([{"type": "context", "elements": []}], "/blocks/0/elements"),
        ([{"type": "nothing"}], "/blocks/0/type"),
        ([{"type": "divider", "colour": "red"}], "colour"),
        ([{"type": "divider"}] * 51, "no more than 50"),
        ([section("x", block_id="a"), section("y", block_id="a")], "block_id already exists"),
        ([actions(button("a"), button("a"))], "action_id already exists"),
        ([actions(*[button(str(at)) for at in range(26)])], "/blocks/0/elements"),
        ([actions()], "/blocks/0/elements"),
        ([actions(button("a", style="default"))], "/blocks/0/elements/0/style"),
        ([actions(button("a", value="x" * 2001))], "/blocks/0/elements/0/value"),
        ([actions(button("a" * 256))], "/blocks/0/elements/0/action_id"),
        ([actions(button("x" * 76) | {"action_id": "a"})], "/blocks/0/elements/0/text"),
        ([actions({"type": "button", "text": marked("x")})], "/blocks/0/elements/0/text"),
        ([actions(select(101))], "/blocks/0/elements/0/options"),
        ([actions({"type": "plain_text_input", "action_id": "a"})], "/blocks/0/elements/0/type"),
        ([section("x", accessory=[])], "/blocks/0/accessory"),
        ([rich({"type": "text"})], "missing required field: text"),
        ([rich({"type": "broadcast", "range": "all"})], "must be one of"),
    ],
)
async def test_limits(
    vendor: Slack, client: AsyncWebClient, blocks: list[dict[str, Any]], where: str
) -> None:
    said = await refused(client, vendor.world.approvals.id, blocks)
    assert said["error"] == "invalid_blocks" and any(where in one for one in said["errors"])
    assert said["response_metadata"]["messages"] == [f"[ERROR] {one}" for one in said["errors"]]
    assert vendor.last is None


async def test_blocks_of_another_shape(vendor: Slack, client: AsyncWebClient) -> None:
    at = vendor.world.approvals.id
    for blocks in ("no json", {"type": "divider"}, ["x"]):
        assert (await refused(client, at, blocks))["error"] == "invalid_blocks_format"
    many = [section("x" * 3000)] * 5
    assert (await refused(client, at, many))["error"] == "msg_blocks_too_long"


async def test_what_is_just_within_the_limits(vendor: Slack, client: AsyncWebClient) -> None:
    row = actions(*[button(str(at), value="x" * 2000) for at in range(25)])
    head = {"type": "header", "text": plain("x" * 150)}
    notes = {"type": "context", "elements": [marked("x")] * 10}
    blocks = [section("x" * 3000), head, notes, row, rich({"type": "text", "text": "x"})]
    await client.chat_postMessage(channel=vendor.world.approvals.id, text="x", blocks=blocks)
    await client.chat_postMessage(
        channel=vendor.world.approvals.id, text="x", blocks=[{"type": "divider"}] * 50
    )
    assert len(vendor.world.messages) == 2


INPUT = {
    "type": "input", "label": plain("l"),
    "element": {"type": "plain_text_input", "action_id": "a"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("view", "where"),
    [
        (modal(title="x" * 25), "/view/title/text"),
        (modal(submit=plain("x" * 25)), "/view/submit/text"),
        (modal(private_metadata="x" * 3001), "/view/private_metadata"),
        (modal(callback_id="x" * 256), "/view/callback_id"),
        (modal(*[{"type": "divider"}] * 101), "no more than 100"),
        (modal(odd=True), "odd"),
        (modal(INPUT | {"label": marked("x")}), "/view/blocks/0/label"),
        (modal(INPUT | {"element": button("a")}), "/view/blocks/0/element/type"),
        ({"type": "modal", "title": plain("t"), "blocks": [INPUT]}, "submit"),
        ({"type": "home", "blocks": []}, "/view/type"),
        ({"type": "modal", "blocks": []}, "title"),
    ],
)
async def test_limits_of_modals(
    vendor: Slack, client: AsyncWebClient, view: dict[str, Any], where: str
) -> None:
    trigger = vendor.world.add_trigger(vendor.world.acme, vendor.world.anna)
    with pytest.raises(SlackApiError, match="invalid_arguments") as error:
        await client.views_open(trigger_id=trigger.id, view=view)
    response: Any = error.value.response
    assert any(where in one for one in response["response_metadata"]["messages"])
    assert vendor.view is None and not trigger.used


async def test_limits_of_home_tabs(vendor: Slack, client: AsyncWebClient) -> None:
    world = vendor.world
    home: dict[str, Any] = {"type": "home", "blocks": [{"type": "divider"}] * 100}
    await client.views_publish(user_id=world.anna.id, view=home)
    assert world.acme.homes[world.anna.id].kind == "home"
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await client.views_publish(user_id=world.anna.id, view={**home, "title": plain("x")})
    with pytest.raises(SlackApiError, match="user_not_found"):
        await client.views_publish(user_id=world.mallory.id + "0", view=home)


async def test_attachments_are_checked(vendor: Slack, client: AsyncWebClient) -> None:
    bad = [{"color": "#fff", "blocks": [buttons("a"), {"type": "nothing"}]}]
    with pytest.raises(SlackApiError, match="invalid_attachments") as error:
        await client.chat_postMessage(channel=vendor.world.approvals.id, text="x", attachments=bad)
    response: Any = error.value.response
    assert "/attachments/0/blocks/1/type" in response["errors"][0]
