"""The played Slack against the real slack_sdk: what a client needs works, what is wrong fails."""

import asyncio
from typing import Any, TypeAlias

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.support.slack_message import Message
from tests.support.slack_sample import buttons, section
from tests.support.slack_server import Slack

Client: TypeAlias = Any  # to slack_sdk's types every field of an answer may be None
POST = "chat.postMessage"


async def post(vendor: Slack, client: Client, **more: Any) -> Message:
    """Post a message with buttons."""
    said = {"text": "Please", "blocks": [section("*Deploy*"), buttons("approve", "deny")], **more}
    await client.chat_postMessage(channel=said.pop("channel", vendor.world.approvals.id), **said)
    assert vendor.last is not None
    return vendor.last


def refused(error: pytest.ExceptionInfo[SlackApiError]) -> dict[str, Any]:
    """Return what the client was answered."""
    response: Any = error.value.response
    return response.data


async def test_who_am_i(vendor: Slack, client: Client) -> None:
    said = await client.auth_test()
    acme = vendor.world.acme
    assert (said["team_id"], said["user_id"], said["bot_id"]) == (acme.id, acme.bot.id, acme.bot_id)
    assert "chat:write" in said.headers["x-oauth-scopes"]


async def test_post(vendor: Slack, client: Client) -> None:
    said = await client.chat_postMessage(
        channel=vendor.world.approvals.id, text="Please", blocks=[section("a"), buttons("approve")]
    )
    message = vendor.last
    assert message is not None and message.channel is vendor.world.approvals
    assert (said["ts"], said["channel"], message.text) == (message.ts, message.channel.id, "Please")
    assert said["message"]["bot_profile"]["app_id"] == vendor.world.app.id
    assert [block["block_id"] for block in said["message"]["blocks"]] == ["b0000", "decide"]
    assert [one["action_id"] for one in message.buttons] == ["approve"]
    (call,) = vendor.calls_of(POST)
    assert (call.team, call.status, call.text("text")) == (vendor.world.acme, 200, "Please")


async def test_update(vendor: Slack, client: Client) -> None:
    message = await post(vendor, client)
    at = {"channel": message.channel.id, "ts": message.ts}
    await client.chat_update(**at, text="changed")
    assert (message.text, len(message.blocks), message.edited != "") == ("changed", 2, True)
    await client.chat_update(**at, text="decided", blocks=[section("over")])
    assert (message.shown, message.buttons, len(message.versions)) == ("over", [], 3)
    with pytest.raises(SlackApiError, match="msg_too_long"):
        await client.chat_update(**at, text="&" * 801)
    await client.chat_update(**at, text="é" * 2000)
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel=message.channel.id, ts="1.000001", text="x")


async def test_delete(vendor: Slack, client: Client) -> None:
    message = await post(vendor, client)
    await client.chat_delete(channel=message.channel.id, ts=message.ts)
    assert message.deleted
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel=message.channel.id, ts=message.ts, text="x")
    with pytest.raises(LookupError):
        await vendor.press(message, "approve")


async def test_ephemeral(vendor: Slack, client: Client) -> None:
    world = vendor.world
    at = {"channel": world.approvals.id, "text": "psst"}
    said = await client.chat_postEphemeral(**at, user=world.ben.id)
    message = vendor.last
    assert message is not None and message.only_for is world.ben and said["message_ts"]
    assert message.visible_to(world.ben) and not message.visible_to(world.anna)
    history = await client.conversations_history(channel=world.approvals.id)
    assert history["messages"] == []
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel=world.approvals.id, ts=message.ts, text="x")
    with pytest.raises(SlackApiError, match="user_not_in_channel"):
        await client.chat_postEphemeral(**at, user=world.mallory.id)


async def test_long_texts_are_cut(vendor: Slack, client: Client) -> None:
    at = vendor.world.approvals.id
    said = await client.chat_postMessage(channel=at, text="x" * 40_001)
    assert said["response_metadata"]["warnings"] == ["message_truncated"]
    assert vendor.last is not None and len(vendor.last.text) == 40_000
    with pytest.raises(SlackApiError, match="no_text"):
        await client.api_call(POST, json={"channel": at, "text": ""})


async def test_threads_and_links(vendor: Slack, client: Client) -> None:
    first = await post(vendor, client)
    at = first.channel.id
    await client.chat_postMessage(channel=at, text="later", thread_ts=first.ts)
    assert vendor.last is not None and vendor.last.thread_ts == first.ts
    said = await client.chat_getPermalink(channel=at, message_ts=first.ts)
    assert first.ts.replace(".", "") in said["permalink"]


async def test_marks_are_seen(vendor: Slack, client: Client) -> None:
    words = "<!channel> <https://x.example|fine> <b> &lt;!here&gt;"
    message = await post(vendor, client, text="x", blocks=[section(words)])
    assert message.specials == ["<!channel>", "<https://x.example|fine>"]


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("random", "not_in_channel"), ("vault", "channel_not_found"), ("old", "is_archived"),
        ("lobby", "channel_not_found"),
    ],
)  # fmt: skip
async def test_places_out_of_reach(vendor: Slack, client: Client, place: str, error: str) -> None:
    with pytest.raises(SlackApiError, match=error):
        await post(vendor, client, channel=getattr(vendor.world, place).id)
    assert vendor.last is None


async def test_direct_messages(vendor: Slack, client: Client) -> None:
    world = vendor.world
    said = await client.conversations_open(users=[world.ben.id])
    message = await post(vendor, client, channel=said["channel"]["id"])
    assert message.channel.user is world.ben and not message.visible_to(world.anna)
    assert (await post(vendor, client, channel=world.ben.id)).channel is message.channel
    with pytest.raises(SlackApiError, match="user_disabled"):
        await client.conversations_open(users=[world.dora.id])
    with pytest.raises(SlackApiError, match="user_not_found"):
        await client.conversations_open(users=["U0"])


async def test_people(vendor: Slack, client: Client) -> None:
    world = vendor.world
    said = await client.users_lookupByEmail(email="BEN@acme.example")
    assert said["user"]["id"] == world.ben.id
    for email in (world.dora.email, world.mallory.email, "x@x.example"):
        with pytest.raises(SlackApiError, match="users_not_found"):
            await client.users_lookupByEmail(email=email)
    assert (await client.users_info(user=world.gus.id))["user"]["is_restricted"]
    assert (await client.users_info(user=world.dora.id))["user"]["deleted"]
    assert (await client.users_info(user=world.mallory.id))["user"]["is_stranger"]
    world.acme.scopes.discard("users:read.email")
    assert "email" not in (await client.users_info(user=world.ben.id))["user"]["profile"]


async def test_lists_come_in_pages(vendor: Slack, client: Client) -> None:
    kinds, names = "public_channel,private_channel", list[str]()
    async for page in await client.conversations_list(types=kinds, limit=2, exclude_archived=True):
        assert len(page["channels"]) <= 2
        names += [channel["name"] for channel in page["channels"]]
    assert names == ["approvals", "on-call", "random", "partners"]
    said = await client.conversations_info(channel=vendor.world.partners.id)
    assert said["channel"]["is_ext_shared"]
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await client.conversations_info(channel=vendor.world.vault.id)
    members = await client.conversations_members(channel=vendor.world.on_call.id)
    assert vendor.world.anna.id in members["members"]
    with pytest.raises(SlackApiError, match="invalid_cursor"):
        await client.users_list(cursor="nonsense")


async def test_what_else_can_be_looked_up(vendor: Slack, client: Client) -> None:
    world = vendor.world
    assert (await client.team_info())["team"]["name"] == "Acme"
    members = (await client.users_list())["members"]
    assert {world.ben.id, world.dora.id} <= {one["id"] for one in members}
    with pytest.raises(SlackApiError, match="user_not_found"):
        await client.users_info(user="U0")
    with pytest.raises(SlackApiError, match="not_in_channel"):
        await client.conversations_history(channel=world.random.id)
    with pytest.raises(SlackApiError, match="cannot_dm_bot"):
        await client.conversations_open(users=[world.robot.id])
    said = await client.conversations_open(users=[world.ben.id], return_im=True)
    assert said["channel"]["user"] == world.ben.id
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_getPermalink(channel=world.approvals.id, message_ts="1.1")
    world.acme.scopes.discard("groups:read")
    with pytest.raises(SlackApiError, match="missing_scope"):
        await client.conversations_list(types="private_channel")
    with pytest.raises(SlackApiError, match="missing_scope"):
        await client.conversations_join(channel=world.random.id)
    world.acme.scopes |= {"channels:join"}
    await client.conversations_join(channel=world.random.id)
    assert world.acme.bot in world.random.members


async def test_tokens_and_scopes(vendor: Slack, client: Client) -> None:
    acme, app = vendor.world.acme, vendor.world.app
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await client.apps_connections_open(app_token=acme.bot_token)
    with pytest.raises(SlackApiError, match="invalid_auth"):
        await AsyncWebClient("xoxb-no", base_url=vendor.api_url).auth_test()
    with pytest.raises(SlackApiError, match="not_authed"):
        await AsyncWebClient(base_url=vendor.api_url).auth_test()
    with pytest.raises(SlackApiError, match="unknown_method"):
        await client.api_call("no.such")
    acme.scopes.discard("chat:write")
    with pytest.raises(SlackApiError) as error:
        await post(vendor, client)
    assert (refused(error)["error"], refused(error)["needed"]) == ("missing_scope", "chat:write")
    acme.token_error = "token_revoked"
    with pytest.raises(SlackApiError, match="token_revoked"):
        await client.auth_test()
    assert (await client.apps_connections_open(app_token=app.app_token))["url"].startswith("ws://")


async def test_rate_limits(vendor: Slack, client: Client) -> None:
    fault = vendor.fault(POST, status=429, retry_after=7)
    with pytest.raises(SlackApiError) as error:
        await post(vendor, client)
    response = error.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert (refused(error)["error"], fault.hits, vendor.last) == ("ratelimited", 1, None)
    assert (await post(vendor, client)).text == "Please"
    assert [call.status for call in vendor.calls_of(POST)] == [429, 200]


async def test_trouble_on_request(vendor: Slack, client: Client) -> None:
    fault = vendor.fault(POST, status=503, count=None)
    for _ in range(2):
        with pytest.raises(SlackApiError) as error:
            await post(vendor, client)
        assert error.value.response.status_code == 503
    fault.lift()
    vendor.fault(POST, error="internal_error", more={"warning": "w"})
    with pytest.raises(SlackApiError, match="internal_error"):
        await post(vendor, client)
    vendor.fault(POST, text="{not json")
    with pytest.raises(SlackApiError):
        await post(vendor, client)
    vendor.fault("*", status=500, when=lambda call: call.text("text") == "other")
    assert (await post(vendor, client)).text == "Please"
    assert len(vendor.world.messages) == 1


async def test_lost_connections(vendor: Slack, client: Client) -> None:
    client.retry_handlers.clear()
    vendor.fault(POST, drop=True)
    with pytest.raises(aiohttp.ClientError):
        await post(vendor, client)
    assert vendor.last is None
    vendor.fault(POST, drop=True, after=True)
    with pytest.raises(aiohttp.ClientError):
        await post(vendor, client)
    assert len(vendor.world.messages) == 1
    assert [call.status for call in vendor.calls] == [0, 0]


async def test_a_client_that_tries_again_posts_twice(vendor: Slack, client: Client) -> None:
    vendor.fault(POST, drop=True, after=True)
    await post(vendor, client)
    assert len(vendor.world.messages) == 2


async def test_a_call_that_hangs(vendor: Slack, client: Client) -> None:
    fault = vendor.fault(POST, hang=True)
    sending = asyncio.ensure_future(post(vendor, client))
    await vendor.wait_for(lambda: fault.hits)
    assert not sending.done() and vendor.last is None
    fault.lift()
    assert (await sending).text == "Please"
    late = vendor.fault(POST, hang=True, after=True)
    sending = asyncio.ensure_future(post(vendor, client, text="late"))
    await vendor.wait_for(lambda: late.hits and vendor.last and vendor.last.text == "late")
    late.lift()
    await sending
    assert len(vendor.world.messages) == 2


async def test_a_client_gives_up(vendor: Slack, client: Client) -> None:
    vendor.fault(POST, hang=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(post(vendor, client), 0.05)
    assert vendor.last is None


async def test_response_urls(vendor: Slack, client: Client) -> None:
    world = vendor.world
    message = await post(vendor, client)
    hook = world.add_hook("actions", world.acme, world.anna, message.channel, message)
    sender = AsyncWebhookClient(vendor.url + hook.path)
    assert (await sender.send(text="psst")).status_code == 200
    assert vendor.last is not None and vendor.last.only_for is world.anna
    await sender.send(text="all", response_type="in_channel")
    assert vendor.last.only_for is None and vendor.last.by_response
    await sender.send(text="other", replace_original=True)
    assert message.text == "other"
    await sender.send(delete_original=True)
    assert message.deleted
    await sender.send(text="fifth")
    assert "used_url" in (said := await sender.send(text="sixth")).body and said.status_code == 404
    other = world.add_hook("commands", world.acme, world.anna, message.channel)
    other.expired = True
    sender = AsyncWebhookClient(vendor.url + other.path)
    assert "expired_url" in (await sender.send(text="late")).body
    assert len(vendor.calls_of("response_url")) == 7


async def test_waiting_has_an_end(vendor: Slack) -> None:
    with pytest.raises(TimeoutError):
        await vendor.wait_for(lambda: vendor.last, 0.01)
