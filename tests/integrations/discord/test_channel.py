"""Cards in Discord over its REST interface: what is posted, changed, and what failures become."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.approval_card import ApprovalCard
from app.core.card import Block
from app.core.ports import DeliveryFailed, Digest
from app.core.request import Status
from integrations.discord.channel import DiscordChannel
from integrations.discord.paint import message
from integrations.discord.rest import Refused
from tests.support.discord_desk import PAGE, card, channel, http_settings
from tests.support.discord_server import Discord

pytestmark = pytest.mark.requirement("CH-2")
POST = "POST /channels/{channel_id}/messages"
EDIT = "PATCH /channels/{channel_id}/messages/{message_id}"


@pytest.fixture
async def discord(vendor: Discord) -> AsyncIterator[DiscordChannel]:
    made = channel(vendor)
    yield made
    await made.close()


def decided() -> ApprovalCard:
    return replace(card(), pending=False, status=Status.APPROVED, state="Approved by Ada (link)")


@pytest.fixture
def place(vendor: Discord) -> str:
    return f"channel:{vendor.world.approvals.id}"


async def test_a_card_is_posted_and_changed(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    posted = await discord.deliver(card(), place)
    shown = vendor.world.last
    assert posted.reference == {"channel": str(shown.channel.id), "message": str(shown.id)}
    assert posted.complete and posted.display == message(card()).display
    assert shown.content == "" and "Approve send" in shown.buttons
    after = await discord.refresh(decided(), place, posted.reference)
    again = await discord.refresh(decided(), place, posted.reference)
    assert after == again and after.reference == posted.reference
    assert vendor.world.messages == [shown]
    assert shown.buttons == {} and "Approved by Ada" in shown.text
    assert shown.allowed_mentions == [{"parse": []}] * 3 and shown.pinged == []


@pytest.mark.parametrize("form", ["{}", "user:{}"])
async def test_a_person_is_written_to(vendor: Discord, discord: DiscordChannel, form: str) -> None:
    recipient = form.format(vendor.world.anna.id)
    for text in ("one", "two"):
        await discord.deliver(card(text), recipient)
        assert vendor.world.last.channel.recipient is vendor.world.anna
    routes = [call.route for call in vendor.calls]
    assert routes.count("POST /users/@me/channels") == 1
    assert routes.count("GET /users/@me") == 1


@pytest.mark.requirement("T4")
async def test_what_does_not_fit_has_no_approve_button(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    large = replace(card(), blocks=(Block("Body", "x" * 20_000),))
    posted = await discord.deliver(large, place)
    assert not posted.complete
    assert list(vendor.world.last.buttons) == ["Deny", "Deny with reason"]
    assert PAGE in str(vendor.world.last.components)


@pytest.mark.requirement("T6")
async def test_nobody_is_called(vendor: Discord, discord: DiscordChannel, place: str) -> None:
    anna = vendor.world.anna.mention
    await discord.deliver(card(f"@everyone {anna}", f"@here {anna}"), place)
    await discord.digest(Digest(f"@everyone {anna}", (f"@here {anna}",), PAGE), place)
    assert [at.pinged for at in vendor.world.messages] == [[], []]
    assert {str(at.allowed_mentions) for at in vendor.world.messages} == {"[{'parse': []}]"}


async def test_a_digest(vendor: Discord, discord: DiscordChannel, place: str) -> None:
    posted = await discord.digest(Digest("2 requests wait", ("a: soon", "b: later"), PAGE), place)
    assert not posted.complete and "2 requests wait" in vendor.world.last.text
    assert vendor.world.last.buttons == {} and PAGE in str(vendor.world.last.components)


async def test_a_lost_answer_makes_no_second_message(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    vendor.fault(POST, lost="after")
    with pytest.raises(DeliveryFailed) as caught:
        await discord.deliver(card(), place)
    assert not caught.value.permanent
    posted = await discord.deliver(card(), place)
    assert len(vendor.world.messages) == 1
    assert posted.reference["message"] == str(vendor.world.last.id)
    await discord.deliver(replace(card(), token="token-2"), place)
    assert len(vendor.world.messages) == 2


@pytest.mark.parametrize(
    ("fault", "words", "permanent", "after"),
    [
        ({"status": 500}, "(500)", False, None), ({"status": 503}, "(503)", False, None),
        ({"status": 400}, "(400)", True, None), ({"status": 401}, "(401)", False, None),
        ({"status": 403}, "(403)", True, None), ({"status": 404}, "(404)", True, None),
        ({"status": 429, "retry_after": 7.5}, "(429)", False, 7.5),
        ({"status": 429, "retry_after": 900.0, "scope": "global"}, "(429)", False, 900.0),
        ({"status": 429, "retry_after": 0.2, "scope": "shared"}, "(429)", False, 0.2),
        ({"status": 429, "scope": "cloudflare"}, "(429)", False, None),
        ({"hang": True}, "did not answer in time", False, None),
        ({"lost": "before"}, "Discord c", False, None),
        ({"text": "VENDORTEXT"}, "could not be understood", False, None),
        ({"text": "[]"}, "as documented", False, None),
        ({"text": "{}"}, "as documented", False, None),
        ({"text": '{"id": 7}'}, "as documented", False, None),
    ],
)  # fmt: skip
async def test_failures(
    vendor: Discord, place: str, fault: dict[str, Any], words: str, permanent: bool,
    after: float | None,
) -> None:  # fmt: skip
    made = channel(vendor, timeout=0.5)
    posted = await made.deliver(card("before"), place)
    tries = [(POST, lambda: made.deliver(card(), place))]
    if fault.get("text", "[]") == "[]":  # nobody reads what an edit answers
        tries.append((EDIT, lambda: made.refresh(decided(), place, posted.reference)))
    for route, attempt in tries:
        befallen = vendor.fault(route, left=None, **fault)
        with pytest.raises(DeliveryFailed) as caught:
            await attempt()
        assert befallen.hits == 1
        befallen.lift()
        failure = caught.value
        assert words in failure.detail and failure.permanent is permanent
        assert failure.retry_after == after
        assert "VENDORTEXT" not in failure.detail and vendor.world.token not in failure.detail
    await made.close()


async def test_many_at_once_wait_for_nothing(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    vendor.fault(POST, status=429, retry_after=30.0)
    with pytest.raises(DeliveryFailed):
        await discord.deliver(card(), place)
    await asyncio.gather(*(discord.deliver(card(str(at)), place) for at in range(16)))
    assert len(vendor.world.messages) == 16


async def test_a_limit_that_is_used_up_is_not_run_into(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    await discord.deliver(card(), place)
    calls, now = len(vendor.calls), asyncio.get_running_loop().time()
    assert discord.rest._http is not None
    for bucket in discord.rest._http._buckets.values():
        bucket.remaining, bucket.expires = 0, now + 5
    with pytest.raises(Refused) as caught:
        await discord.deliver(card("other"), place)
    assert len(vendor.calls) == calls
    assert caught.value.retry_after == pytest.approx(5, abs=1)
    for bucket in discord.rest._http._buckets.values():
        bucket.expires = now
    await discord.deliver(card("other"), place)


async def test_what_discord_does_not_let_us(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    world = vendor.world
    world.ben.accepts_dms = False
    for recipient, code in ((str(world.ben.id), 50007), (str(world.robot.id), 50007)):
        with pytest.raises(Refused, match=f"403, code {code}") as caught:
            await discord.deliver(card(), recipient)
        assert caught.value.permanent
    posted = await discord.deliver(card(), place)
    world.last.deleted = True
    with pytest.raises(Refused, match="404, code 10008") as caught:
        await discord.refresh(decided(), place, posted.reference)
    assert caught.value.permanent
    world.approvals.writable = False
    with pytest.raises(Refused, match="403, code 50013"):
        await discord.deliver(card("other"), place)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["", "user:", "channel:x", "role:1", "1 ", "1\n", "-1", "1" * 21, "user:1/../2", "١"]
        ),
    )
)
async def test_what_is_no_place_is_refused(vendor: Discord, recipient: str) -> None:
    if recipient.isascii() and recipient.isdigit() and len(recipient) <= 20:
        return
    with pytest.raises(DeliveryFailed, match="not a place in Discord") as caught:
        await channel(vendor).deliver(card(), recipient)
    assert caught.value.permanent and vendor.calls == []


@pytest.mark.parametrize("reference", [{}, {"channel": "1"}, {"channel": 1, "message": "x/../"}])
async def test_a_reference_that_is_none(discord: DiscordChannel, reference: dict[str, Any]) -> None:
    with pytest.raises(DeliveryFailed):
        await discord.refresh(card(), "1", reference)


@pytest.mark.requirement("T17")
async def test_other_servers_are_not_written_to(vendor: Discord) -> None:
    made = channel(vendor, guilds=str(vendor.world.acme.id))
    await made.deliver(card(), f"channel:{vendor.world.approvals.id}")
    with pytest.raises(DeliveryFailed, match="not of a Discord server") as caught:
        await made.deliver(card(), f"channel:{vendor.world.lobby.id}")
    assert caught.value.permanent and len(vendor.world.messages) == 1
    await made.close()


async def test_the_check_says_who_we_are(vendor: Discord, discord: DiscordChannel) -> None:
    assert await discord.check() == f"assentry ({vendor.world.bot.id}), by gateway"
    posts = DiscordChannel(http_settings(vendor), discord.rest)
    assert (await posts.check()).endswith("by http")
    for wrong, words in (({"public_key": "0" * 64}, "PUBLIC_KEY"),
                         ({"application_id": "7"}, "APPLICATION_ID")):  # fmt: skip
        with pytest.raises(DeliveryFailed, match=words):
            await DiscordChannel(http_settings(vendor, **wrong), discord.rest).check()


async def test_a_wrong_token(vendor: Discord, place: str) -> None:
    made = channel(vendor, token="wrong-token")
    with pytest.raises(DeliveryFailed, match="refuses our bot token") as caught:
        await made.check()
    assert not caught.value.permanent and "wrong-token" not in caught.value.detail
    vendor.world.token = "wrong-token"
    assert (await made.deliver(card(), place)).complete
    await made.close()


async def test_nobody_is_there(vendor: Discord) -> None:
    made = channel(vendor, api_url="http://127.0.0.1:1/api/v10")
    with pytest.raises(DeliveryFailed, match="cannot be reached") as caught:
        await made.check()
    assert not caught.value.permanent
    await made.close()


async def test_it_works_again_after_it_was_closed(
    vendor: Discord, discord: DiscordChannel, place: str
) -> None:
    await discord.close()
    await discord.deliver(card(), place)
    await discord.close()
    await discord.close()
    assert len(vendor.world.messages) == 1
