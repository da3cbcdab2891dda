"""The door that Discord posts to: forged, old, repeated and odd posts decide nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Never

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request

from app.clock import SystemClock
from tests.support.discord_endpoint import SIGNATURE, TIMESTAMP, Signed, Tamper
from tests.support.discord_scene import Scene, scene
from tests.support.discord_server import Discord

pytestmark = pytest.mark.requirement("CH-2", "T18")


@pytest.fixture
async def stage(vendor: Discord) -> AsyncIterator[Scene]:
    async with scene(vendor, "http") as one:
        yield one


def now() -> int:
    return SystemClock().now() // 1_000_000


async def test_discord_s_own_checks(stage: Scene) -> None:
    pong = await stage.vendor.ping()
    assert (pong.status, json.loads(pong.body)) == (200, {"type": 1})
    assert (await stage.vendor.probe()).status == 401


async def test_a_good_post_is_accepted_without_a_body(stage: Scene) -> None:
    message = await stage.post()
    done = await stage.press("Approve send", stage.vendor.world.anna)
    await stage.settled(message)
    assert (done.status, done.deliveries[0].body) == (202, "")


@pytest.mark.parametrize(
    "tamper",
    [
        Tamper(key=Ed25519PrivateKey.generate()),
        Tamper(signature="00" * 64),
        Tamper(signature="no hexadecimal"),
        Tamper(signature="é" * 128),
        Tamper(signature=""),
        Tamper(timestamp="1"),
        Tamper(timestamp="x"),
        Tamper(timestamp="１２３"),
        Tamper(timestamp="-5"),
        Tamper(timestamp="9" * 400),
        Tamper(signed_at=1),
        Tamper(signed_at=now() - 400),
        Tamper(signed_at=now() + 100_000),
        Tamper(body=b'{"type": 1}'),
        Tamper(body=b""),
        Tamper(body=b"x" * ((1 << 19) + 1)),
        Tamper(without=(SIGNATURE,)),
        Tamper(without=(TIMESTAMP,)),
        Tamper(without=(SIGNATURE, TIMESTAMP)),
    ],
)
async def test_tampered(stage: Scene, tamper: Tamper) -> None:
    await stage.post()
    answer = await stage.press("Approve send", stage.vendor.world.anna, tamper=tamper)
    assert (answer.status, answer.response) == (401, None)
    assert stage.desk.asked == 0 and stage.desk.unsigned[-1] == ("discord", "127.0.0.1")


@pytest.mark.parametrize("when", ["", "1", "x"])
async def test_a_body_is_not_read_before_its_headers(stage: Scene, when: str) -> None:
    async def receive() -> Never:
        pytest.fail("the body was read")

    headers = [(TIMESTAMP.lower().encode(), when.encode()),
               (SIGNATURE.lower().encode(), b"0" * 128)]  # fmt: skip
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": None}
    (route,) = stage.way.routes()
    answer = await route.endpoint(Request(scope, receive))
    assert answer.status_code == 401 and stage.desk.unsigned[-1] == ("discord", "")


@pytest.mark.parametrize("name", [SIGNATURE, TIMESTAMP])
async def test_headers_that_come_twice(stage: Scene, name: str) -> None:
    vendor = stage.vendor
    signed = vendor.endpoint.sign(b'{"type": 1}')
    headers = [*signed.headers.items(), (name, signed.headers[name])]
    assert vendor.world.endpoint is not None
    async with (
        aiohttp.ClientSession() as session,
        session.post(vendor.world.endpoint, data=signed.body, headers=headers) as answer,
    ):
        assert answer.status == 401


async def test_a_replayed_post_is_harmless(stage: Scene) -> None:
    message = await stage.post()
    done = await stage.press("Approve send", stage.vendor.world.anna, repeat=3)
    await stage.settled(message)
    first = stage.vendor.endpoint.sent[-1]
    assert (await stage.vendor.replay(first)).status == 202
    callbacks = "POST /interactions/{interaction_id}/{token}/callback"
    await stage.vendor.wait_for(
        lambda: (
            [call.status for call in stage.vendor.calls if call.route == callbacks]
            == [204, 400, 400, 400]
        )
    )
    assert len(stage.desk.said) == 1 and stage.desk.asked == 1
    assert done.followups == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"application_id": "7"}, 401), ({"application_id": None}, 401), ({"type": 99}, 400),
        ({"type": 4}, 400), ({"type": "3"}, 400), ({"type": [3]}, 400), ({"id": "x"}, 400),
        ({"token": "a b"}, 400), ({"token": ""}, 400), ({"member": None}, 400),
        ({"member": {"user": {"id": "../1"}}}, 400), ({"member": "x"}, 400), ({"id": 5}, 400),
        ({"guild_id": 5}, 400), ({"data": None}, 202), ({"data": {"custom_id": 3}}, 202),
        ({"data": {"custom_id": "assentry:approve:"}}, 202), ({"data": ["x"]}, 202),
        ({"data": {"components": {"components": 1}, "custom_id": "assentry:deny-why:x"}}, 202),
    ],
)  # fmt: skip
async def test_odd_bodies_that_are_signed(
    stage: Scene, change: dict[str, Any], status: int
) -> None:
    await stage.post()
    vendor = stage.vendor
    done = await stage.press("Deny", vendor.world.ben, tamper=Tamper(signature="00" * 64))
    body = json.dumps({**done.payload, **change}).encode()
    stage.desk.linked.clear()
    assert (await vendor.replay(vendor.endpoint.sign(body))).status == status
    assert stage.desk.said == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
async def test_bodies_that_are_none(stage: Scene, body: bytes) -> None:
    signed: Signed = stage.vendor.endpoint.sign(body)
    assert (await stage.vendor.replay(signed)).status == 400


async def test_other_methods(stage: Scene) -> None:
    assert stage.vendor.world.endpoint is not None
    async with aiohttp.ClientSession() as session:
        for method in ("GET", "HEAD", "OPTIONS", "PUT"):
            async with session.request(method, stage.vendor.world.endpoint) as answer:
                assert answer.status == 405


async def test_a_slow_answer_is_no_slow_post(stage: Scene) -> None:
    message = await stage.post()
    stage.desk.gate.clear()
    async with asyncio.timeout(2):
        done = await stage.press("Approve send", stage.vendor.world.anna)
    assert (done.status, done.response) == (202, 6)
    stage.desk.gate.set()
    await stage.settled(message)
