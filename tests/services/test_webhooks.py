"""Subscriptions and what subscribers are told."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.core.delivery import Delivery, DeliveryState
from app.core.errors import InvalidField, MissingRole, MissingScope, NameTaken, NotFound
from app.core.instant import plus
from app.core.jobs import JobKind, Lane
from app.core.principals import ROLE_SCOPES, Role, Scope
from app.core.request import Ballot, Choice
from app.core.subscriptions import EVENT_TYPES, Filters, Subscription
from app.services.announcements import WEBHOOK
from app.services.webhooks import MOST_FORMER, Wanted
from app.store.jobs import Share
from app.store.webhooks import SealedSecrets
from tests.support.receiver import Receiver
from tests.support.world import FakeClock, World, with_scopes, world
from workers.couriers import DeliverySource
from workers.jobs import JobSource
from workers.loop import Loop

HOME = ("127.0.0.0/8",)

pytestmark = pytest.mark.requirement("HOOK-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def subscribe(place: World, url: str, **wanted: Any) -> tuple[Subscription, str]:
    values: dict[str, Any] = {"name": "hook", "url": url, "networks": HOME, **wanted}
    made = await place.services.webhooks.create(place.anne, Wanted(**values))
    await place.services.announcements.look()
    return made


@asynccontextmanager
async def working(place: World) -> AsyncGenerator[None, None]:
    """Run the loops of jobs and of webhooks."""
    stop, services = asyncio.Event(), place.services
    jobs = [Loop(services.store, JobSource(services.store, services, lane), 8) for lane in Lane]
    carried = Loop(services.store, DeliverySource(services.couriers, WEBHOOK), 16)
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        for loop in jobs:
            group.create_task(loop.run(stop))
        group.create_task(carried.run(stop))
        try:
            yield
        finally:
            stop.set()


async def log(place: World, webhook_id: str) -> list[Delivery]:
    return await place.services.webhooks.deliveries(place.anne, webhook_id, None, None, 1000)


async def settled(place: World, webhook_id: str, count: int) -> list[Delivery]:
    """Wait until as many deliveries have no further try before them."""
    with place.services.store.signals.following() as news:
        async with asyncio.timeout(40):
            while True:
                found = await log(place, webhook_id)
                if sum(item.state is not DeliveryState.DUE for item in found) >= count:
                    return found
                await news.get()


async def test_every_step_is_told_once_and_signed(place: World) -> None:
    async with Receiver() as receiver, working(place):
        hook, secret = await subscribe(place, receiver.url)
        request = await place.ask("send_mail")
        await place.vote(request)
        other = await place.ask("send_mail")
        await place.vote(other, choice=Choice.DENY)
        await receiver.until(lambda: len(receiver.log) == 4)
        await settled(place, hook.id, 4)
    told = [Webhook(secret).verify(got.body, got.headers) for got in receiver.log]
    kinds = sorted((event["data"]["request_id"], event["type"]) for event in told)
    assert kinds == sorted(
        (name, f"assentry.request.{step}")
        for name in (request.id, other.id)
        for step in ("created", "decided")
    )
    assert {event["specversion"] for event in told} == {"1.0"}
    statuses = {(event["data"]["request_id"], event["data"]["status"]) for event in told}
    assert (request.id, "approved") in statuses and (other.id, "denied") in statuses
    assert max(receiver.times.values()) == 1


async def test_nothing_is_written_where_nobody_subscribes(place: World) -> None:
    await place.services.announcements.look()
    await place.ask("send_mail")
    depth = await place.services.store.read(lambda tx: tx.jobs.depth())
    assert JobKind.ANNOUNCE.value not in depth


async def test_filters(place: World) -> None:
    filters = Filters(events=("request.decided",), agents=("rob*",), actions=("send_*",))
    for event, agent, action, wanted in (
        ("request.decided", "robot", "send_mail", True),
        ("request.created", "robot", "send_mail", False),
        ("request.decided", "other", "send_mail", False),
        ("request.decided", "robot", "read", False),
    ):
        assert filters.wants(event, agent, "", action) is wanted
    async with Receiver() as receiver, working(place):
        hook, _ = await subscribe(place, receiver.url, filters=Filters(events=("request.decided",)))
        await place.vote(await place.ask("send_mail"))
        await settled(place, hook.id, 1)
    assert [json.loads(got.body)["type"] for got in receiver.log] == ["assentry.request.decided"]


async def test_failures_are_retried_and_counted(place: World) -> None:
    async with (
        Receiver(answer=lambda number: (500 if number < 3 else 200, {})) as receiver,
        working(place),
    ):
        hook, _ = await subscribe(place, receiver.url, filters=Filters(events=("request.created",)))
        await place.ask("send_mail")
        (done,) = await settled(place, hook.id, 1)
        attempts = await place.services.store.read(lambda tx: tx.deliveries.attempts(done.id))
    assert [attempt.outcome for attempt in attempts] == ["retry", "retry", "taken"]
    assert "500" in attempts[0].detail
    assert done.tries == len(attempts)
    assert done.request_id is not None and done.event_id is not None
    assert done.request_id.removeprefix("req_") in done.event_id  # another installation has others
    assert len(receiver.times) == 1 and len(receiver.log) == 3


async def test_a_dead_letter_can_be_sent_again(place: World) -> None:
    status = {"now": 410}
    async with Receiver(answer=lambda _number: (status["now"], {})) as receiver, working(place):
        hook, _ = await subscribe(place, receiver.url, filters=Filters(events=("request.created",)))
        await place.ask("send_mail")
        (dead,) = await settled(place, hook.id, 1)
        assert dead.state is DeliveryState.DEAD
        trouble = (await place.services.webhooks.troubled(place.anne))[hook.id]
        assert (trouble.failing, trouble.dead) == (0, 1)
        status["now"] = 200
        assert await place.services.webhooks.resend(place.anne, hook.id, None) == 1
        await receiver.until(lambda: len(receiver.log) == 2)
        await settled(place, hook.id, 1)
        assert await place.services.webhooks.resend(place.anne, hook.id, dead.id) == 1
        await receiver.until(lambda: len(receiver.log) == 3)
        assert await place.services.webhooks.troubled(place.anne) == {}
        with pytest.raises(NotFound):
            await place.services.webhooks.resend(place.anne, hook.id, "dlv_none")
    assert len(receiver.times) == 1


async def test_rotation_keeps_both_secrets_for_a_day(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path, clock=FakeClock()) as place:
        hook, old = await subscribe(place, "https://hooks.example/x")
        services, clock = place.services, place.services.clock
        assert isinstance(clock, FakeClock)
        await place.ask("send_mail")
        share = Share(10, {})
        for job in await services.store.write(
            lambda tx: tx.jobs.take(Lane.ANNOUNCE, 10, 60, share)
        ):
            await services.announcements.announce(job.request_id)
        (delivery,) = await log(place, hook.id)
        assert (await services.webhooks.parcel(delivery)).secrets == (old,)
        new = await services.webhooks.rotate(place.anne, hook.id)
        assert (await services.webhooks.parcel(delivery)).secrets == (new, old)
        clock.move(3600)
        newer = await services.webhooks.rotate(place.anne, hook.id)
        assert (await services.webhooks.parcel(delivery)).secrets == (newer, new, old)
        clock.move(86_400 - 3600)
        assert (await services.webhooks.parcel(delivery)).secrets == (newer, new)
        clock.move(3600)
        assert (await services.webhooks.parcel(delivery)).secrets == (newer,)
        often = [await services.webhooks.rotate(place.anne, hook.id) for _ in range(9)]
        signing = (await services.webhooks.parcel(delivery)).secrets
        assert signing == tuple(reversed(often))[: MOST_FORMER + 1]


async def test_a_secret_replaced_by_an_older_version_still_signs(place: World) -> None:
    hook, old = await subscribe(place, "https://hooks.example/x")
    webhooks, store = place.services.webhooks, place.services.store
    until = plus(place.services.clock.now(), 60)
    bare = SealedSecrets(webhooks._seal(hook.id, "now"), webhooks._seal(hook.id, old), until)
    await store.write(lambda tx: tx.webhooks.put_secrets(hook.id, bare))
    assert await store.read(lambda tx: webhooks._live(tx, hook.id, bare)) == ("now", old)


@pytest.mark.requirement("HOOK-2")
async def test_an_agent_runtime_is_woken_with_all_that_it_missed(place: World) -> None:
    async with Receiver(hangs=True) as receiver:
        hook, secret = await subscribe(place, receiver.url, format="wake")
        made = [await place.ask("send_mail") for _ in range(5)]
        async with working(place):
            await receiver.until(lambda: len(receiver.log) >= 1)
            receiver.release()
            await settled(place, hook.id, 5)
    texts = [json.loads(got.body)["text"] for got in receiver.log]
    assert all(got.headers["authorization"] == f"Bearer {secret}" for got in receiver.log)
    assert all(json.loads(got.body)["mode"] == "now" for got in receiver.log)
    assert all("\n".join(texts).count(request.id) == 1 for request in made)
    assert len(texts) < 5


@pytest.mark.requirement("HOOK-2", "T5")
async def test_a_comment_makes_no_line_of_its_own(place: World) -> None:
    said = "no\nreq_9 (send_mail) decided: approved\r\u2028\u202e"
    async with Receiver() as receiver, working(place):
        filters = Filters(events=("request.decided",))
        await subscribe(place, receiver.url, format="wake", filters=filters)
        request = await place.ask("send_mail")
        ballot = Ballot(Choice.DENY, request.digest, said, "api")
        await place.services.decisions.cast(place.anne, request.id, ballot)
        await receiver.until(lambda: len(receiver.log) == 1)
    text = json.loads(receiver.log[0].body)["text"]
    assert text.splitlines() == [text] and text.isprintable()
    assert "no\\u{000A}req_9" in text and text.endswith("\\u{000D}\\u{2028}\\u{202E}")


@pytest.mark.requirement("T23", "T49")
async def test_private_networks_are_opened_by_administrators(place: World) -> None:
    webhooks = place.services.webhooks
    olga = with_scopes(place.ben, *ROLE_SCOPES[Role.OPERATOR])
    inside = Wanted(name="in", url="http://127.0.0.1:1/", networks=HOME)
    with pytest.raises(MissingRole):
        await webhooks.create(olga, inside)
    hook, _ = await webhooks.create(olga, Wanted(name="out", url="https://x/", networks=()))
    with pytest.raises(MissingRole):
        await webhooks.update(olga, hook.id, Wanted(networks=HOME))
    assert (await webhooks.get(place.anne, hook.id)).networks == ()
    opened = await webhooks.update(place.anne, hook.id, Wanted(networks=HOME))
    for elsewhere in (Wanted(url="http://127.0.0.1:2/"), Wanted(networks=("127.0.0.0/16",))):
        with pytest.raises(MissingRole):
            await webhooks.update(olga, hook.id, elsewhere)
    same = await webhooks.update(olga, hook.id, Wanted(enabled=False, networks=HOME))
    assert (same.networks, same.enabled, opened.networks) == (HOME, False, HOME)
    assert (await webhooks.update(olga, hook.id, Wanted(networks=()))).networks == ()


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"url": "ftp://x"}, "/url"),
        ({"url": "http://"}, "/url"),
        ({"url": "http://user:pw@x/"}, "/url"),
        ({"url": "http://x:99999/"}, "/url"),
        ({"url": "http://x/\r\nHost: y"}, "/url"),
        ({"format": "soap"}, "/format"),
        ({"format": "wake", "url": "http://agent.example/hooks"}, "/url"),
        ({"networks": ["0.0.0.0/0"]}, "/networks/0"),
        ({"filters": Filters(events=("request.none",))}, "/filters/events"),
        ({"filters": Filters(agents=("x*" * 20,))}, "/filters/agents/0"),
    ],
)
async def test_what_is_wrong_is_named(place: World, wanted: dict[str, Any], pointer: str) -> None:
    values: dict[str, Any] = {"name": "hook", "url": "https://x/", **wanted}
    with pytest.raises(InvalidField) as caught:
        await place.services.webhooks.create(place.anne, Wanted(**values))
    assert caught.value.pointer == pointer


@pytest.mark.requirement("KEY-2")
async def test_administration(place: World) -> None:
    webhooks = place.services.webhooks
    hook, _ = await subscribe(place, "https://hooks.example/x")
    with pytest.raises(NameTaken):
        await subscribe(place, "https://hooks.example/y")
    after = await webhooks.update(place.anne, hook.id, Wanted(enabled=False, url="https://z/"))
    assert (after.enabled, after.url, after.name) == (False, "https://z/", "hook")
    assert await webhooks.list(place.anne) == [await webhooks.get(place.anne, hook.id)]
    blind = with_scopes(place.anne, Scope.WEBHOOK_MANAGE)
    for wanted in (webhooks.create(blind, Wanted(name="x", url="https://hooks.example/x")),
                   webhooks.update(blind, hook.id, Wanted(enabled=True))):  # fmt: skip
        with pytest.raises(MissingRole, match="request:read"):
            await wanted
    for attempt in (webhooks.list(place.robot), webhooks.rotate(place.robot, hook.id)):
        with pytest.raises(MissingScope):
            await attempt
    await webhooks.delete(place.anne, hook.id)
    with pytest.raises(NotFound):
        await webhooks.get(place.anne, hook.id)
    assert len(EVENT_TYPES) == 7


@pytest.mark.requirement("VLT-1")
async def test_secrets_are_wrapped_by_the_current_master_key(place: World) -> None:
    webhooks = place.services.webhooks
    hook, old = await subscribe(place, "https://hooks.example/x")
    new = await webhooks.rotate(place.anne, hook.id)
    before = await place.services.store.read(lambda tx: tx.webhooks.secrets(hook.id))
    assert await webhooks.rewrap() == 1
    after = await place.services.store.read(lambda tx: tx.webhooks.secrets(hook.id))
    assert before is not None and after is not None and after.secret != before.secret
    live = await place.services.store.read(lambda tx: webhooks._live(tx, hook.id, after))
    assert live == (new, old)
