"""Limits of requests: exact over two servers, refused without a trace, free where none applies."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import RateLimited, TooManyOpenRequests
from app.core.request import Request, Status
from app.factory import services
from app.services.intake import Asked
from app.store.tx import Tx
from tests.support.world import FakeClock, World, agent_caller, world

pytestmark = pytest.mark.requirement("LIM-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


def limited(place: World, rate: str) -> None:
    """Give the agent a limit."""
    place.agent = replace(place.agent, rate=rate)
    place.robot = agent_caller(place.agent, place.key)


def recorded(tx: Tx) -> int:
    return len(tx.audit.since(0, 10_000))


async def refusal(place: World, **fields: object) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        await place.ask(**fields)  # pyright: ignore[reportArgumentType]
    return refused.value


async def test_over_the_agents_limit_nothing_is_recorded_but_a_word(
    place: World, clock: FakeClock
) -> None:
    limited(place, "3/minute")
    for _ in range(3):
        await place.ask()
    before = await place.services.store.read(recorded)
    error = await refusal(place)
    assert error.retry_after == 20
    assert error.extra == {"scope": "agent", "limit": 3, "seconds": 60}
    for _ in range(50):
        await refusal(place)
    entries = await place.services.store.read(lambda tx: tx.audit.since(0, 10_000))
    assert len(entries) == before + 1 and entries[-1][2] == "request.refused"
    clock.move(20)
    await place.ask()
    await refusal(place)


@pytest.mark.requirement("T42", "T66")
async def test_two_servers_and_parallel_calls_count_exactly(place: World, clock: FakeClock) -> None:
    limited(place, "40/hour")
    settings = place.services.settings
    async with services(settings, clock=clock, parts=[]) as second:
        doors = [place.services.intake, second.intake]
        done = await asyncio.gather(
            *(
                doors[number % 2].submit(
                    place.robot,
                    Asked(action="send_mail", params={}, context={"number": number}),
                )
                for number in range(400)
            ),
            return_exceptions=True,
        )
    assert sum(isinstance(one, Request) for one in done) == 40
    assert sum(isinstance(one, RateLimited) for one in done) == 360


async def test_a_target_and_the_whole_have_limits_of_their_own(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with world(database_url, tmp_path, clock=clock, request_rate="5/minute") as place:
        await place.target("https://api.example.org", rate="2/minute")
        await place.target("https://api.example.org", "other")
        for number in range(2):
            await place.call("GET", f"/{number}")
        with pytest.raises(RateLimited) as refused:
            await place.call("GET", "/3")
        assert refused.value.extra["scope"] == "target"
        for number in range(3):
            await place.call("GET", f"/{number}", "other")
        with pytest.raises(RateLimited) as refused:
            await place.call("GET", "/9", "other")
        assert refused.value.extra["scope"] == "global"


@pytest.mark.requirement("POL-4")
async def test_a_rule_limits_what_it_lets_through(place: World, clock: FakeClock) -> None:
    duty = {"kind": "rate_limit", "limit": 2, "per": "hour", "by": "agent"}
    await place.policy("mail", "allow", {"action": "send_mail"}, obligations=[duty])
    made = [await place.ask() for _ in range(2)]
    assert {one.status for one in made} == {Status.APPROVED}
    error = await refusal(place)
    assert error.extra["scope"] == "rule" and error.retry_after == 1800
    assert (await place.ask("other_thing")).status is Status.PENDING


async def test_a_repeat_by_its_idempotency_key_costs_nothing(place: World) -> None:
    limited(place, "1/hour")
    first = await place.ask(idempotency_key="k", context={})
    again = await place.ask(idempotency_key="k", context={})
    assert again.id == first.id
    await refusal(place)


@pytest.mark.requirement("REQ-1")
async def test_repeats_at_two_servers_at_once_take_one_token(
    place: World, clock: FakeClock
) -> None:
    """Whoever waits for the limits' lock finds what the first one made, and no refusal."""
    async with services(place.services.settings, clock=clock, parts=[]) as second:
        doors = [place.services.intake, second.intake]
        for number in range(10):
            limited(place, f"1/{number + 5000}")
            asked = Asked(
                action="send_mail", params={}, context={"number": number},
                idempotency_key=f"k{number}", fingerprint="f",
            )  # fmt: skip
            done = await asyncio.gather(
                *(doors[n % 2].submit(place.robot, asked) for n in range(8))
            )
            assert len({request.id for request in done}) == 1


async def test_where_no_limit_applies_no_bucket_is_kept(place: World, clock: FakeClock) -> None:
    await place.ask()
    assert await place.services.store.read(lambda tx: tx.limits.level("agent::1/hour")) is None
    limited(place, "2/second")
    await place.ask()
    name = f"agent:{place.agent.id}:2/second"
    assert await place.services.store.read(lambda tx: tx.limits.level(name)) is not None
    clock.move(90_000)
    await place.services.sweeps.housekeeping()
    assert await place.services.store.read(lambda tx: tx.limits.level(name)) is None


@pytest.mark.requirement("T67", "REQ-7")
async def test_repeating_oneself_counts_and_is_noted_once_a_minute(
    place: World, clock: FakeClock
) -> None:
    first = await place.ask("send_mail", context={"to": "x"})
    for _ in range(50):
        assert (await place.ask("send_mail", context={"to": "x"})).id == first.id
    clock.move(60)
    await place.ask("send_mail", context={"to": "x"})
    trail = await place.services.requests.trail(place.anne, first.id)
    assert [(one.event, one.details) for one in trail[1:]] == [
        ("request.attached", {"left_out_before": 0}),
        ("request.attached", {"left_out_before": 49}),
    ]
    limited(place, "2/minute")
    for _ in range(2):
        assert (await place.ask("send_mail", context={"to": "x"})).id == first.id
    await refusal(place, action="send_mail", context={"to": "x"})


@pytest.mark.requirement("T67")
async def test_what_policies_deny_counts_as_well(place: World) -> None:
    await place.policy("no", "deny", {"action": "send_mail"})
    limited(place, "2/minute")
    for _ in range(2):
        assert (await place.ask("send_mail")).status is Status.DENIED
    await refusal(place, action="send_mail")


@pytest.mark.requirement("REQ-7", "KEY-4")
async def test_at_once_nobody_is_asked_twice_and_the_cap_holds(place: World) -> None:
    asked = [place.ask("send_mail", context={"to": "x"}) for _ in range(100)]
    assert len({one.id for one in await asyncio.gather(*asked)}) == 1
    await place.services.agents.update(place.anne, place.agent.id, open_limit=5)
    many = [place.ask("send_mail", context={"to": n}) for n in range(100)]
    done = await asyncio.gather(*many, return_exceptions=True)
    assert sum(isinstance(one, Request) for one in done) == 4
    assert {type(one) for one in done} == {Request, TooManyOpenRequests}
