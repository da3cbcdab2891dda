"""The played Slack's signed requests against slack_bolt: right, wrong, old, and repeated."""

from typing import Any

import pytest

from tests.support.slack_answer import SIGNATURE, TIMESTAMP, Odd
from tests.support.slack_message import Content, Message
from tests.support.slack_sample import Sample, buttons, section
from tests.support.slack_server import Slack


@pytest.fixture
def message(vendor: Slack) -> Message:
    """A message that asks."""
    content = Content("Please", [section("Deploy"), buttons("approve", "open")])
    return vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)


async def test_what_is_signed(vendor: Slack, posted: Sample, message: Message) -> None:
    answer = await vendor.press(message, "open")
    assert answer.good and answer.signed is not None
    assert answer.signed.headers[SIGNATURE].startswith("v0=")
    assert answer.signed.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert answer.signed.body.startswith(b"payload=%7B")
    event = await vendor.event({"type": "app_uninstalled"})
    assert event.signed is not None and event.signed.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "odd",
    [
        Odd(secret="0" * 32),
        Odd(signature="v0=" + "0" * 64),
        Odd(signature=""),
        Odd(timestamp="1"),
        Odd(signed_at=1),
        Odd(signed_at=9_999_999_999),
        Odd(body=b"payload=%7B%7D"),
        Odd(without=(SIGNATURE,)),
        Odd(without=(TIMESTAMP,)),
        Odd(without=(SIGNATURE, TIMESTAMP)),
    ],
)
async def test_tampered(vendor: Slack, posted: Sample, message: Message, odd: Odd) -> None:
    answer = await vendor.press(message, "open", **odd)
    assert (answer.status, answer.good, posted.seen) == (401, False, [])


@pytest.mark.parametrize("odd", [Odd(signature="v0=é"), Odd(timestamp="no number")])
async def test_what_bolt_stumbles_over(
    vendor: Slack, posted: Sample, message: Message, odd: Odd
) -> None:
    answer = await vendor.press(message, "open", **odd)
    assert (answer.status, answer.good, posted.seen) == (500, False, [])


async def test_every_door_is_checked(vendor: Slack, posted: Sample) -> None:
    assert (await vendor.command("/assentry", "x", secret="0")).status == 401
    assert (await vendor.open_home(secret="0")).status == 401
    assert posted.seen == [] and vendor.last is None


async def test_replayed(vendor: Slack, posted: Sample, message: Message) -> None:
    answer = await vendor.press(message, "open")
    again = await vendor.replay(answer)
    assert again.signed == answer.signed and again.good
    assert posted.seen[0] == posted.seen[1] and vendor.answers == [answer, again]


async def test_redelivered(vendor: Slack, posted: Sample) -> None:
    answer = await vendor.event({"type": "app_uninstalled"})
    again = await vendor.redeliver(answer, retry_num=2, retry_reason="http_error")
    assert again.good and again.signed is not None
    assert again.signed.headers["X-Slack-Retry-Num"] == "2"
    assert again.signed.headers["X-Slack-Retry-Reason"] == "http_error"
    assert again.payload == answer.payload


async def test_a_proof_of_the_url(vendor: Slack, posted: Sample) -> None:
    url = vendor.world.app.events
    assert url is not None
    answer = await vendor.verify(url)
    assert answer.good and answer.json["challenge"] == answer.payload["challenge"]
    assert (await vendor.verify(url, secret="0")).status == 401


async def test_nobody_is_there(vendor: Slack, message: Message) -> None:
    vendor.world.app.set_request_url("http://127.0.0.1:1/slack")
    answer = await vendor.press(message, "open")
    assert (answer.status, answer.good) == (0, False) and "ConnectionRefused" in answer.error


async def test_a_late_answer(vendor: Slack, posted: Sample, message: Message) -> None:
    fault = vendor.fault("auth.test", hang=True)  # what Bolt asks before it listens
    vendor.endpoint.deadline = 0.05
    answer = await vendor.press(message, "open")
    assert (answer.status, answer.error) == (0, "TimeoutError()")
    fault.lift()


async def test_each_door_has_its_own_address(
    vendor: Slack, posted: Sample, message: Message
) -> None:
    app = vendor.world.app
    app.commands = "http://127.0.0.1:1/commands"
    assert (await vendor.command("/assentry")).status == 0
    assert (await vendor.press(message, "open")).good
    assert (await vendor.press(message, "open", url=app.commands)).status == 0


async def test_changed_payloads_are_signed(vendor: Slack, posted: Sample, message: Message) -> None:
    told: dict[str, Any] = {"team": {"id": "T0"}, "actions": []}
    answer = await vendor.press(message, "open", changes={**told, "channel": None})
    assert answer.payload["team"]["domain"] == "acme" and answer.payload["channel"] is None
    assert answer.status != 401
