"""Leases: kept while something runs, and told when they are lost (EXE-2)."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.request import Request, Status
from app.services.execution import Claimed
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("EXE-2")


@pytest.fixture
async def there(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    """A small installation whose clock stands still."""
    async with world(database_url, tmp_path, clock=FakeClock()) as opened:
        yield opened


async def _claimed(place: World) -> Request:
    await place.target("http://127.0.0.1:1")
    await place.policy("all", "allow", {"target": "upstream"})
    request = await place.call("GET", "/x")
    execution = place.services.execution
    claimed = await place.services.store.write(lambda tx: execution.claim(tx, request.id))
    assert isinstance(claimed, Claimed)
    return claimed.request


async def test_a_lease_is_renewed_from_the_second_look_on(there: World) -> None:
    request, leases, lost = await _claimed(there), there.services.execution.leases, list[str]()
    with leases.keeping(request, 500, lost.append):
        await leases.renew()
        assert (await there.get(request)).lease_until == request.lease_until
        await leases.renew()
        after = await there.get(request)
    assert after.lease_until is not None and request.lease_until is not None
    assert after.lease_until > request.lease_until and not lost
    assert after.version == request.version
    await leases.renew()
    assert (await there.get(request)).lease_until == after.lease_until


async def test_the_holder_of_a_lost_lease_is_told(there: World) -> None:
    request, leases, lost = await _claimed(there), there.services.execution.leases, list[str]()
    with leases.keeping(request, 500, lost.append):
        await there.services.store.write(
            lambda tx: tx.requests.renew(request.id, request.fence, tx.now, tx.now)
        )
        await there.services.sweeps.tick()
        await leases.renew()
        await leases.renew()
    assert lost == ["lease_lost"]
    assert (await there.get(request)).status is not Status.EXECUTING


@pytest.mark.parametrize("code", ["agent_frozen", "key_revoked", "target_disabled"])
async def test_who_is_stopped_meanwhile_is_told_and_keeps_the_lease(
    there: World, code: str
) -> None:
    request, ended = await _claimed(there), list[str]()
    services, anne = there.services, there.anne
    with services.execution.leases.keeping(request, 500, ended.append):
        await services.execution.leases.renew()
        if code == "agent_frozen":
            await services.agents.freeze(anne, there.agent.id)
        elif code == "key_revoked":
            await services.agents.revoke_key(anne, there.key.id)
        else:
            await services.targets.update(anne, request.target_id or "", enabled=False)
        await services.execution.leases.renew()
        after = await there.get(request)
    assert ended == [code]
    assert (after.lease_until or 0) > (request.lease_until or 0)


async def test_another_fence_renews_nothing(there: World) -> None:
    request = await _claimed(there)
    kept = await there.services.store.write(
        lambda tx: tx.requests.renew(request.id, request.fence + 1, tx.now, tx.now)
    )
    assert not kept
