"""Sending webhooks: signatures, checked addresses, what counts as taken."""

import hashlib
import hmac
import json

import pytest
from standardwebhooks import Webhook

from app.clock import SystemClock
from app.core.ports import DeliveryFailed, Parcel
from integrations.webhooks.sender import Sender
from tests.support.receiver import Receiver

SECRET = "whsec_" + "QUJD" * 11 + "QQ=="
OTHER = "whsec_" + "REVG" * 11 + "RA=="
HOME = ("127.0.0.0/8",)

pytestmark = pytest.mark.requirement("HOOK-1")


def parcel(url: str, *, networks: tuple[str, ...] = HOME, bearer: bool = False) -> Parcel:
    body = json.dumps({"data": "ä"}, ensure_ascii=False).encode()
    return Parcel("evt_1", url, body, (SECRET, OTHER), networks, bearer=bearer)


async def test_both_live_secrets_sign_and_the_plain_header_too() -> None:
    async with Receiver() as receiver:
        sender = Sender(SystemClock())
        assert await sender.send(parcel(receiver.url)) == 200
        await sender.close()
    (got,) = receiver.log
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(got.body, got.headers) == {"data": "ä"}
    with pytest.raises(Exception, match="No matching"):
        Webhook("whsec_" + "R0dH" * 11).verify(got.body, got.headers)
    plain = hmac.new(SECRET.encode(), got.body.encode(), hashlib.sha256).hexdigest()
    assert got.headers["x-assentry-signature"] == f"sha256={plain}"
    former = hmac.new(OTHER.encode(), got.body.encode(), hashlib.sha256).hexdigest()
    assert got.headers["x-assentry-signature-previous"] == f"sha256={former}"
    assert got.headers["webhook-id"] == "evt_1"


@pytest.mark.requirement("HOOK-2")
async def test_agent_runtimes_get_a_bearer_token() -> None:
    async with Receiver() as receiver:
        sender = Sender(SystemClock())
        await sender.send(parcel(receiver.url, bearer=True))
        await sender.close()
    (got,) = receiver.log
    assert got.headers["authorization"] == f"Bearer {SECRET}"
    assert "webhook-signature" not in got.headers


@pytest.mark.requirement("HOOK-2")
@pytest.mark.parametrize(("status", "tokens"), [(401, [SECRET, OTHER]), (500, [SECRET])])
async def test_a_runtime_that_does_not_know_the_new_token_gets_the_one_before(
    status: int, tokens: list[str]
) -> None:
    async with Receiver(answer=lambda number: (200 if number > 1 else status, {})) as receiver:
        sender = Sender(SystemClock())
        if status == 401:
            assert await sender.send(parcel(receiver.url, bearer=True)) == 200
        else:
            with pytest.raises(DeliveryFailed):
                await sender.send(parcel(receiver.url, bearer=True))
        await sender.close()
    assert [got.headers["authorization"] for got in receiver.log] == [
        f"Bearer {token}" for token in tokens
    ]


@pytest.mark.parametrize(
    ("status", "headers", "wait", "permanent"),
    [
        (500, {}, None, False),
        (429, {"retry-after": "17"}, 17.0, False),
        (503, {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}, 86_400.0, False),
        (503, {"retry-after": "soon"}, None, False),
        (503, {"retry-after": "9" * 400}, 86_400.0, False),
        (404, {"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, None, False),
        (404, {"retry-after": "Mon, 01 Jan 9999 23:59:59 -2359"}, 86_400.0, False),
        (410, {}, None, True),
        (302, {"location": "http://127.0.0.1:1/"}, None, False),
    ],
)
async def test_what_is_no_success(
    status: int, headers: dict[str, str], wait: float | None, permanent: bool
) -> None:
    async with Receiver(answer=lambda _number: (status, headers)) as receiver:
        sender = Sender(SystemClock())
        with pytest.raises(DeliveryFailed) as caught:
            await sender.send(parcel(receiver.url))
        await sender.close()
    assert (caught.value.retry_after, caught.value.permanent) == (wait, permanent)
    assert len(receiver.log) == 1


@pytest.mark.requirement("T49")
@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["93.184.216.34", "127.0.0.1"], ["::1"],
     ["::ffff:127.0.0.1"], []],
)  # fmt: skip
async def test_names_that_lead_inside_are_not_connected_to(answers: list[str]) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return answers

    async with Receiver() as receiver:
        port = receiver.url.rsplit(":", 1)[1].split("/")[0]
        sender = Sender(SystemClock(), lookup=lookup)
        with pytest.raises(DeliveryFailed, match="not permitted"):
            await sender.send(parcel(f"http://hooks.example:{port}/x", networks=()))
        await sender.close()
    assert receiver.log == []


@pytest.mark.requirement("HOOK-2", "T49")
@pytest.mark.parametrize("address", ["93.184.216.34", "10.0.0.1", "127.0.0.2"])
async def test_a_bare_secret_goes_in_clear_to_opened_networks_alone(address: str) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1", address]

    async with Receiver() as receiver:
        port = receiver.url.rsplit(":", 1)[1].split("/")[0]
        sender = Sender(SystemClock(), lookup=lookup)
        sent = sender.send(parcel(f"http://agent.example:{port}/x", bearer=True))
        if address == "127.0.0.2":
            assert await sent == 200
        else:
            with pytest.raises(DeliveryFailed, match="not permitted"):
                await sent
        await sender.close()
    assert len(receiver.log) == (address == "127.0.0.2")


@pytest.mark.requirement("T49")
async def test_the_checked_address_is_the_one_that_is_used() -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with Receiver() as receiver:
        port = receiver.url.rsplit(":", 1)[1].split("/")[0]
        sender = Sender(SystemClock(), lookup=lookup)
        await sender.send(parcel(f"http://hooks.example:{port}/x"))
        await sender.close()
    assert asked == ["hooks.example"]
    assert receiver.log[0].headers["host"] == f"hooks.example:{port}"


async def test_who_hangs_or_is_not_there_fails_in_time() -> None:
    async with Receiver(hangs=True) as receiver:
        sender = Sender(SystemClock(), seconds=0.2)
        with pytest.raises(DeliveryFailed, match="in time"):
            await sender.send(parcel(receiver.url))
        with pytest.raises(DeliveryFailed, match="could not be reached"):
            await sender.send(parcel("http://127.0.0.1:1/"))
        await sender.close()
