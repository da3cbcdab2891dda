"""The played Slack's Socket Mode against the clients of slack_sdk and slack_bolt."""

import asyncio
import json

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.support.slack_message import Content, Message
from tests.support.slack_sample import PING, Sample, buttons, over_socket, section
from tests.support.slack_server import Slack


@pytest.fixture
def message(vendor: Slack) -> Message:
    """A message that asks."""
    content = Content("Please", [section("Deploy"), buttons("approve", "open")])
    return vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)


async def test_the_client_of_slack_sdk(vendor: Slack, message: Message) -> None:
    token, heard = vendor.world.app.app_token, list[SocketModeRequest]()

    async def listen(client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        response = SocketModeResponse(request.envelope_id, {"text": "heard"})
        await client.send_socket_mode_response(response)

    opener = AsyncWebClient(token, base_url=vendor.api_url)
    client = SocketModeClient(token, web_client=opener, ping_interval=PING)
    client.socket_mode_request_listeners.append(listen)
    await client.connect()
    try:
        answer = await vendor.press(message, "open")
        assert (answer.json, answer.signed) == ({"text": "heard"}, None)
        await vendor.event({"type": "app_uninstalled"}, retry_num=1, retry_reason="timeout")
    finally:
        await client.close()
    assert [one.type for one in heard] == ["interactive", "events_api"]
    assert (heard[0].accepts_response_payload, heard[1].accepts_response_payload) == (True, False)
    assert (heard[1].retry_attempt, heard[1].retry_reason) == (1, "timeout")


async def test_pings_both_ways(vendor: Slack, linked: Sample) -> None:
    (link,) = vendor.sockets.live
    await vendor.wait_for(lambda: link.pings >= 2)
    await vendor.sockets.ping()
    assert link.pongs == 1


@pytest.mark.parametrize("reason", ["refresh_requested", "warning", "link_disabled"])
async def test_makes_way(vendor: Slack, linked: Sample, message: Message, reason: str) -> None:
    await vendor.sockets.disconnect(reason)
    await vendor.wait_for(lambda: len(vendor.sockets.connections) == 2)
    await vendor.wait_for(lambda: vendor.sockets.connections[0].socket.closed)
    assert (await vendor.press(message, "open")).good
    first, second = vendor.sockets.connections
    assert (len(first.envelopes), len(second.envelopes), second.is_live) == (0, 1, True)
    assert len(vendor.calls_of("apps.connections.open")) == 2


async def test_comes_back_after_a_break(vendor: Slack, linked: Sample, message: Message) -> None:
    await vendor.sockets.drop()
    assert (await vendor.press(message, "open")).good
    assert len(vendor.sockets.connections) == 2 and len(linked.seen) == 1


async def test_comes_back_when_opening_fails(
    vendor: Slack, linked: Sample, message: Message
) -> None:
    fault = vendor.fault("apps.connections.open", status=500, count=2)
    await vendor.sockets.drop()
    assert (await vendor.press(message, "open")).good
    assert fault.hits == 2


async def test_a_press_without_connection(vendor: Slack, message: Message) -> None:
    vendor.sockets.deadline = 0.02
    answer = await vendor.press(message, "open")
    assert (answer.status, answer.error) == (0, "no connection")
    with pytest.raises(ValueError, match="no signature"):
        await vendor.replay(answer)
    vendor.sockets.deadline = 3.0
    sample = Sample(vendor)
    async with over_socket(sample):
        assert (await vendor.redeliver(answer)).good
    assert sample.seen[0]["actions"] == answer.payload["actions"]


async def test_redelivered(vendor: Slack, linked: Sample) -> None:
    answer = await vendor.event({"type": "app_uninstalled"})
    again = await vendor.redeliver(answer, retry_num=2)
    assert again.good and linked.seen[0]["event_id"] == linked.seen[1]["event_id"]
    (link,) = vendor.sockets.live
    first, second = link.envelopes
    assert first["envelope_id"] != second["envelope_id"] and first["retry_attempt"] == 0
    assert (second["retry_attempt"], second["retry_reason"]) == (2, "timeout")


async def test_two_connections_take_turns(vendor: Slack, linked: Sample, message: Message) -> None:
    other = Sample(vendor)
    async with over_socket(other):
        for _ in range(4):
            assert (await vendor.press(message, "open")).good
    assert (len(linked.seen), len(other.seen)) == (2, 2)


async def test_nobody_acknowledges(vendor: Slack, message: Message) -> None:
    url = vendor.sockets.new_url()
    vendor.sockets.deadline = 0.05
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json()
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        answer = await vendor.press(message, "open")
        assert (answer.status, answer.error) == (0, "TimeoutError()")
        envelope = await socket.receive_json()
        vendor.sockets.deadline = 5.0
        pressing = asyncio.ensure_future(vendor.press(message, "open"))
        second = await socket.receive_json()
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        await socket.send_str("nonsense")
        await socket.send_str(json.dumps({"envelope_id": second["envelope_id"], "payload": {}}))
        assert (await pressing).good and envelope["payload"] == answer.payload
        assert vendor.sockets.live[0].odd == ["nonsense"]


async def test_tickets_open_once(vendor: Slack) -> None:
    url = vendor.sockets.new_url()
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(url)
            assert error.value.status == 400
        fault = vendor.fault("link", status=503)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(vendor.sockets.new_url())
        assert fault.hits == 1


async def test_no_more_than_ten(vendor: Slack) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(vendor.sockets.new_url()) for _ in range(10)]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(vendor.sockets.new_url())
        await sockets[0].close()
        await vendor.wait_for(lambda: len(vendor.sockets.live) == 9)
        sockets.append(await session.ws_connect(vendor.sockets.new_url()))
        for socket in sockets:
            await socket.close()


async def test_a_wrong_token_opens_nothing(vendor: Slack) -> None:
    client = AsyncWebClient(base_url=vendor.api_url)
    for token, error in (("xapp-wrong", "invalid_auth"), ("", "not_authed")):
        with pytest.raises(SlackApiError, match=error):
            await client.apps_connections_open(app_token=token)
    vendor.world.app.app_scopes.clear()
    with pytest.raises(SlackApiError, match="missing_scope"):
        await client.apps_connections_open(app_token=vendor.world.app.app_token)
    assert vendor.sockets.tickets == set()
