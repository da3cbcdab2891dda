"""However odd a call is that is signed, it is refused, not a bug of ours (T16)."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.slack.shape import check_shape
from tests.support.cards import card
from tests.support.slack_desk import Product, product
from tests.support.slack_server import Slack

pytestmark = [pytest.mark.requirement("CH-1", "T16"), pytest.mark.timeout(60)]

ODD: tuple[Any, ...] = (5, "x", [], [1], {"a": 1}, None)
SHALLOW = {"blocks", "message", "token", "challenge", "is_enterprise_install"}
Path = tuple[str | int, ...]


def paths(part: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the places of a payload, blocks left out."""
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    for name, value in inside:
        yield (*at, name)
        if isinstance(value, dict | list) and name not in SHALLOW:
            yield from paths(value, (*at, name))


def changed(payload: Any, path: Path, value: Any) -> Any:
    """Return a payload with another value in one place; None takes it out."""
    made = copy.deepcopy(payload)
    part = made
    for name in path[:-1]:
        part = part[name]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return made


async def calls(vendor: Slack, ours: Product) -> list[Any]:
    """Return a good call of every kind."""
    world = vendor.world
    await ours.channel.deliver(ours.desk.shown, f"{world.acme.id}:{world.anna.id}")
    message = await vendor.wait_for(lambda: vendor.last)
    pressed = await vendor.press(message, "reason")
    form = await vendor.wait_for(lambda: vendor.view)
    done = [
        pressed, await vendor.submit(form, {"comment": "no"}),
        await vendor.press(message, "approve"), await vendor.command("/assentry", "list"),
        await vendor.open_home(), await vendor.verify(world.app.interactivity or ""),
    ]  # fmt: skip
    assert all(answer.good for answer in done)
    return [answer.payload for answer in done]


async def test_odd_calls_are_refused_one_by_one(vendor: Slack) -> None:
    async with product(vendor, card()) as ours:
        url, seen = vendor.world.app.interactivity or "", Counter[int]()
        for payload in await calls(vendor, ours):
            check_shape(payload)
            for path in paths(payload):
                for value in ODD:
                    body = json.dumps(changed(payload, path, value)).encode()
                    signed = vendor.endpoint.sign(url, body, "application/json", {})
                    answer = await vendor.endpoint.post(signed)
                    assert answer.status in (200, 400, 401, 404), (path, value)
                    seen[answer.status] += 1
        assert seen[400] > 300


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "block_actions", "user": {"id": "U1"}, "actions": []},
        {"type": "block_actions", "user": {"id": "U1"}, "actions": [None]},
        {"type": "block_actions", "user": "U1", "actions": [{"action_id": "approve"}]},
        {"type": "view_submission", "user": {"id": "U1"}, "view": []},
        {"type": "event_callback", "event": {}},
        {"type": "event_callback", "event": {"type": "x", "user": 5}},
        {"type": "url_verification"},
        {"type": {}},
        {"user": {"id": ["U1"]}},
        {"authorizations": 5},
        {"authorizations": ["x"]},
        {"response_urls": {"a": 1}},
    ],
)
def test_what_slack_does_not_send(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_shape(payload)


async def test_nothing_odd_meets_the_library(vendor: Slack) -> None:
    """Another application's call is a 401 whatever is wrong with it besides, and nothing counts."""
    async with product(vendor, card()) as ours:
        url = vendor.world.app.interactivity or ""
        for payload in ({}, {"type": "x"}, {"api_app_id": "A0OTHER"}, {"api_app_id": None}):
            body = json.dumps(payload).encode()
            signed = vendor.endpoint.sign(url, body, "application/json", {})
            assert (await vendor.endpoint.post(signed)).status == 401
        assert not ours.desk.ballots
