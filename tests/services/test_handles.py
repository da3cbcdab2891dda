"""Handles: used where there is leave, refused elsewhere, resolved only on the way out."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Forbidden, InvalidField
from app.core.principals import Permission
from app.core.request import Request, Status
from app.core.targets import Credential, CredentialGrant, Target
from app.services.handles import CredentialNotGranted
from tests.support.canary import CANARY, WILD, leaks
from tests.support.upstream import Upstream
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("VLT-2")
HEADER = {"x-key": "Token {{default/shop.token}}"}


@pytest.fixture
async def place(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        await opened.target(upstream.url)
        yield opened


async def item(place: World) -> Credential:
    return await place.services.vault.create(
        place.anne, name="shop", kind="item", fields={"token": CANARY, "user": "jo", "wild": WILD},
        public_fields=["user"], domains=["example.com"],
    )  # fmt: skip


async def granted(place: World, agent: str = "*") -> CredentialGrant:
    target = await place.services.store.read(lambda tx: tx.targets.named("upstream"))
    assert target is not None
    grant = CredentialGrant((await item(place)).id, target.id, agent)
    await place.services.vault.grant(place.anne, grant)
    return grant


async def run(place: World, request: Request) -> Request:
    await place.vote(request)
    await place.services.execution.run(request.id)
    return await place.get(request)


@pytest.mark.requirement("T63", "T47")
async def test_a_handle_is_filled_in_on_the_way_out_alone(place: World, upstream: Upstream) -> None:
    await granted(place, place.agent.id)
    request = await place.call(
        "POST", "/echo?k=%7B%7Bdefault/shop.wild%7D%7D", headers=HEADER,
        json={"user": "{{default/shop.user}}", "n": 1},
    )  # fmt: skip
    detail = await place.services.requests.detail(place.anne, request.id)
    assert detail.injected == (
        "{{default/shop.token}}", "{{default/shop.user}}", "{{default/shop.wild}}",
    )  # fmt: skip
    after = await run(place, request)
    assert after.status is Status.SUCCEEDED, after.outcome
    (got,) = upstream.log
    assert got.header("x-key") == [f"Token {CANARY}"]
    assert json.loads(got.body) == {"user": "jo", "n": 1}
    assert got.target == "/echo?k=cnry%2F9f%2BZk%3D47~q%25w%26%227d"
    result = await place.services.requests.result(place.robot, request.id)
    assert result is not None and result.redacted
    assert leaks([("result", result.body), ("payload", after.payload)]) == []
    assert b"{{default/shop.token}}" in after.payload


@pytest.mark.requirement("T63")
async def test_without_leave_it_is_refused_when_asked(place: World, upstream: Upstream) -> None:
    target = await place.target(upstream.url, name="elsewhere")
    grant = await granted(place, place.agent.id)
    bad = [
        "{{default/shop.other}}", "{{other/shop.token}}", "{{default/none.token}}",
    ]  # fmt: skip
    for text in bad:
        with pytest.raises(CredentialNotGranted, match="may use"):
            await place.call("GET", "/echo", headers={"x-key": text})
    with pytest.raises(CredentialNotGranted):
        await place.call("GET", "/echo", target=target.name, headers=HEADER)
    await place.services.vault.revoke(place.anne, grant)
    with pytest.raises(CredentialNotGranted):
        await place.call("GET", "/echo", headers=HEADER)
    assert not upstream.log


@pytest.mark.requirement("T63")
async def test_leave_taken_back_after_the_approval_counts(place: World, upstream: Upstream) -> None:
    grant = await granted(place)
    request = await place.call("POST", "/echo", headers=HEADER)
    await place.vote(request)
    await place.services.vault.revoke(place.anne, grant)
    await place.services.execution.run(request.id)
    after = await place.get(request)
    trail = await place.services.requests.trail(place.anne, request.id)
    assert after.status is Status.CANCELLED and "credential_not_granted" in repr(trail[-1])
    assert not upstream.log


@pytest.mark.requirement("T47")
async def test_what_a_call_left_there_is_redacted_for_later_calls(
    place: World, upstream: Upstream
) -> None:
    another = await place.services.agents.create(place.anne, name="another")
    await granted(place, another.id)
    request = await place.call("POST", "/echo", text=f"somebody left {CANARY} and jo here")
    await run(place, request)
    result = await place.services.requests.result(place.robot, request.id)
    assert result is not None and b"somebody left [redacted] and jo here" in result.body
    assert leaks([("result", result.body)]) == []


async def test_items_are_found_by_domain(place: World) -> None:
    await granted(place, place.agent.id)
    search = place.services.vault.search
    for domain in ("", "example.com", "api.example.com", "EXAMPLE.com"):
        (found,) = await search(place.robot, domain)
        assert (found.item.name, found.targets) == ("shop", ("upstream",))
    for domain in ("com.example", "myexample.com", "127.0.0.1", "127.0.0.2"):
        assert await search(place.robot, domain) == []
    with pytest.raises(Forbidden):
        await search(place.ben, "")


@pytest.mark.requirement("KEY-2")
async def test_a_search_knows_only_targets_that_the_key_may_use(place: World) -> None:
    await granted(place, place.agent.id)
    search = place.services.vault.search
    assert place.robot.key is not None
    for permissions, found in (
        ((Permission("upstream"),), 1),
        ((Permission("upstream", methods=("POST",)),), 1),
        ((Permission("elsewhere"),), 0),
        ((Permission("upstream", denied=True),), 0),
        ((), 0),
    ):
        robot = replace(place.robot, key=replace(place.robot.key, permissions=permissions))
        assert len(await search(robot, "example.com")) == found, permissions


async def test_an_item_is_no_targets_credential(place: World) -> None:
    made = await item(place)
    with pytest.raises(InvalidField) as refused:
        await place.services.targets.create(
            place.anne, name="t", base_url="https://api.example.org", credential_id=made.id
        )
    assert refused.value.pointer == "/credential_id"


async def test_a_targets_own_grants_leave_those_of_items_alone(place: World) -> None:
    grant = await granted(place)
    services = place.services
    other = await services.vault.create(
        place.anne, name="c", kind="bearer", fields={"token": CANARY}
    )
    changed: Target = await services.targets.update(
        place.anne, grant.target_id, credential_id=other.id, grant_agents=["*"]
    )
    await services.targets.update(place.anne, changed.id, credential_id=None)
    assert await services.vault.grants(place.anne, grant.credential_id) == [grant]
    assert await services.vault.grants(place.anne, other.id) == []
