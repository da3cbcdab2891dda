"""What time does: expiry, lapse, loss, and the end of what is kept for a time only."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import RequestExpired
from app.core.request import Status
from app.services.intake import Asked
from tests.support.world import FakeClock, World, world


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


@pytest.mark.requirement("REQ-6", "T28", "T71")
async def test_undecided_requests_expire_and_only_then(place: World, clock: FakeClock) -> None:
    short, long = await place.ask(expires_in=10), await place.ask(expires_in=60)
    clock.move(9.9)
    assert await place.services.sweeps.tick() == 0
    clock.move(0.1)
    assert await place.services.sweeps.tick() == 1
    assert await place.services.sweeps.tick() == 0
    assert (await place.get(short)).status is Status.EXPIRED
    assert (await place.get(long)).status is Status.PENDING
    with pytest.raises(RequestExpired):
        await place.vote(short)


@pytest.mark.requirement("REQ-6", "T71")
async def test_nothing_expired_comes_back(place: World, clock: FakeClock) -> None:
    request = await place.ask(expires_in=10)
    clock.move(10)
    await place.services.sweeps.tick()
    clock.move(-3600)
    assert await place.services.sweeps.tick() == 0
    assert (await place.get(request)).status is Status.EXPIRED


@pytest.mark.requirement("REQ-6", "T28")
async def test_an_unused_approval_lapses(place: World, clock: FakeClock) -> None:
    await place.target("http://127.0.0.1:9")
    request = await place.vote(await place.call("POST", "/x"))
    assert request.status is Status.APPROVED
    clock.move(place.services.settings.approval_ttl)
    assert await place.services.sweeps.tick() == 1
    assert (await place.get(request)).status is Status.EXPIRED


@pytest.mark.requirement("REQ-6", "AUD-1")
async def test_many_are_swept_each_with_its_entry(place: World, clock: FakeClock) -> None:
    for _ in range(5):
        await place.ask(expires_in=10)
    clock.move(10)
    assert await place.services.sweeps.tick() == 5
    found = await place.services.audit.page(place.anne, event="request.expired")
    assert len({record.request_id for record in found}) == 5
    assert {record.actor for record in found} == {"system:assentry"}


@pytest.mark.requirement("PPL-1", "T67")
async def test_what_is_over_is_forgotten(place: World, clock: FakeClock) -> None:
    services = place.services
    key, _ = await services.agents.create_key(
        place.anne, name="k", scopes=["request:read"], agent_id=place.agent.id, rate_limit=5
    )
    await services.limits.check(key)
    token = {"idempotency_key": "one", "fingerprint": "f"}
    first = await place.ask(**token)
    assert (await place.ask(**token)).id == first.id
    await services.sweeps.housekeeping()
    assert (await place.ask(**token)).id == first.id
    clock.move(services.settings.idempotency_retention + 1)
    await services.sweeps.housekeeping()
    asked = Asked(action="send_mail", params={}, context={}, **token)  # pyright: ignore[reportArgumentType]
    assert (await services.intake.submit(place.robot, asked)).id != first.id
    assert await services.store.read(lambda tx: tx.agents.calls(key.id, 0)) == {}


@pytest.mark.requirement("PPL-1", "T15")
async def test_old_sessions_and_failures_are_forgotten(place: World, clock: FakeClock) -> None:
    services = place.services
    person = await services.people.create(
        place.anne, name="Carl", email="carl@example.org", role=place.ben.person.role,  # pyright: ignore[reportOptionalMemberAccess]
        password="four unrelated words 47",
    )  # fmt: skip
    await services.people.sign_in(person.email, "four unrelated words 47", "192.0.2.1", "")
    await services.store.write(lambda tx: tx.people.add_failure("address:x", tx.now))
    await services.sweeps.housekeeping()
    assert len(await services.store.read(lambda tx: tx.people.sessions(person.id))) == 1
    assert (await services.store.read(lambda tx: tx.people.failures("address:x")))[0] == 1
    clock.move(services.settings.session_seconds + 1)
    await services.sweeps.housekeeping()
    assert await services.store.read(lambda tx: tx.people.sessions(person.id)) == []
    assert (await services.store.read(lambda tx: tx.people.failures("address:x")))[0] == 0
