"""Targets: checked when they come in; what an approval is bound to raises the revision."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.core.calls import CallRule
from app.core.errors import AssentryError, InUse, InvalidField, MissingRole, NameTaken, NotFound
from app.core.targets import CredentialGrant, CredentialRule, Target, TargetSettings
from app.services.targets import ANY_AGENT
from tests.support.canary import CANARY
from tests.support.world import World, world

BASE = "https://api.example.org"


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def made(place: World, name: str = "upstream", **fields: Any) -> Target:
    given: dict[str, Any] = {"name": name, "base_url": BASE, **fields}
    return await place.services.targets.create(place.anne, **given)


async def credential(place: World, name: str = "github") -> str:
    found = await place.services.vault.create(
        place.anne, name=name, kind="bearer", fields={"token": CANARY}
    )
    return found.id


async def granted(place: World, credential_id: str) -> list[tuple[str, str]]:
    found = await place.services.vault.grants(place.anne, credential_id)
    return sorted((grant.target_id, grant.agent_id) for grant in found)


@pytest.mark.requirement("GW-4", "T3")
async def test_what_shapes_a_run_raises_the_revision(place: World) -> None:
    target, targets = await made(place), place.services.targets
    assert target.revision == 1
    harmless: list[dict[str, Any]] = [
        {"name": "renamed"}, {"description": "d"}, {"enabled": False},
    ]  # fmt: skip
    for changes in harmless:
        target = await targets.update(place.anne, target.id, **changes)
        assert target.revision == 1
    same = await targets.update(place.anne, target.id, base_url=BASE, settings=target.settings)
    assert same.revision == 1
    binding: list[dict[str, Any]] = [
        {"base_url": "https://other.example.org"},
        {"settings": TargetSettings(methods=("GET",))},
        {"settings": TargetSettings(allow=(CallRule(("GET",), ("/a/**",)),), deny=(CallRule(),))},
        {"credential_id": await credential(place)},
        {"credential_id": None},
    ]
    for number, changes in enumerate(binding, 2):
        target = await targets.update(place.anne, target.id, **changes)
        assert target.revision == number
    assert await targets.get(place.ben, target.id) == target
    assert await targets.list(place.ben) == [target]


@pytest.mark.requirement("GW-4")
@pytest.mark.parametrize(
    ("fields", "error", "pointer"),
    [
        ({"name": "Big"}, InvalidField, "/name"),
        ({"name": "../x"}, InvalidField, "/name"),
        ({"base_url": "ftp://example.org"}, InvalidField, "/base_url"),
        ({"base_url": "https://user:pw@example.org"}, InvalidField, "/base_url"),
        ({"base_url": "https://example.org/?q=1"}, InvalidField, "/base_url"),
        ({"base_url": "example.org"}, InvalidField, "/base_url"),
        ({"description": "x" * 2001}, InvalidField, "/description"),
        ({"settings": TargetSettings(methods=("TRACE",))}, InvalidField, "/settings/methods"),
        (
            {"settings": TargetSettings(deny=(CallRule(paths=("a",)),))}, InvalidField,
            "/settings/deny/0/paths/0",
        ),
        ({"settings": TargetSettings(methods=("get",))}, InvalidField, "/settings/methods"),
        (
            {"settings": TargetSettings(networks=("10.0.0.0/8", "10.0.0.1/8"))},
            InvalidField, "/settings/networks/1",
        ),
        (
            {"settings": TargetSettings(connect_seconds=0)},
            InvalidField, "/settings/connect_seconds",
        ),
        (
            {"settings": TargetSettings(total_seconds=float("nan"))},
            InvalidField, "/settings/total_seconds",
        ),
        (
            {"settings": TargetSettings(total_seconds=1e9)},
            InvalidField, "/settings/total_seconds",
        ),
        (
            {"settings": TargetSettings(response_bytes=1 << 40)},
            InvalidField, "/settings/response_bytes",
        ),
        ({"credential_id": "crd_none"}, NotFound, "/credential_id"),
    ],
)  # fmt: skip
async def test_targets_are_checked(
    place: World, fields: dict[str, Any], error: type[AssentryError], pointer: str
) -> None:
    with pytest.raises(error) as refused:
        await made(place, **fields)
    assert refused.value.pointer == pointer
    target = await made(place, "good")
    with pytest.raises(error):
        await place.services.targets.update(place.anne, target.id, **fields)
    assert await place.services.targets.list(place.anne) == [target]


@pytest.mark.requirement("GW-4", "T24")
async def test_what_cannot_be_changed(place: World) -> None:
    target = await made(place)
    others: dict[str, Any] = {"id": "tgt_x", "revision": 9, "kind": "ssh", "nothing": 1}
    for name, value in others.items():
        with pytest.raises(InvalidField) as refused:
            await place.services.targets.update(place.anne, target.id, **{name: value})
        assert refused.value.pointer == f"/{name}"
    with pytest.raises(NotFound):
        await place.services.targets.update(place.anne, "tgt_none", description="x")
    await made(place, "second")
    with pytest.raises(NameTaken):
        await place.services.targets.update(place.anne, target.id, name="second")


@pytest.mark.requirement("GW-4", "T23")
async def test_only_administrators_change_targets(place: World) -> None:
    target = await made(place)
    for attempt in (
        place.services.targets.create(place.ben, name="x", base_url=BASE),
        place.services.targets.update(place.ben, target.id, enabled=False),
        place.services.targets.delete(place.ben, target.id),
    ):
        with pytest.raises(MissingRole):
            await attempt


@pytest.mark.requirement("GW-4")
async def test_a_target_with_open_requests_stays(place: World) -> None:
    target = await made(place)
    request = await place.call("GET", "/x")
    with pytest.raises(InUse):
        await place.services.targets.delete(place.anne, target.id)
    await place.services.decisions.cancel(place.robot, request.id)
    await place.services.targets.delete(place.anne, target.id)
    with pytest.raises(NotFound):
        await place.services.targets.get(place.anne, target.id)
    with pytest.raises(NotFound):
        await place.call("GET", "/x")


@pytest.mark.requirement("T63")
async def test_grants_follow_the_credential_and_never_grow(place: World) -> None:
    first, second = await credential(place), await credential(place, "second")
    target = await made(place, credential_id=first, grant_agents=[place.agent.id])
    assert await granted(place, first) == [(target.id, place.agent.id)]
    targets = place.services.targets
    await targets.update(place.anne, target.id, credential_id=second)
    assert await granted(place, first) == []
    assert await granted(place, second) == [(target.id, place.agent.id)]
    await place.services.vault.revoke(
        place.anne, CredentialGrant(second, target.id, place.agent.id)
    )
    await targets.update(place.anne, target.id, credential_id=first)
    assert await granted(place, first) == []
    await targets.update(place.anne, target.id, grant_agents=[ANY_AGENT])
    assert await granted(place, first) == [(target.id, ANY_AGENT)]
    with pytest.raises(NotFound):
        await targets.update(place.anne, target.id, grant_agents=["agt_none"])
    assert await granted(place, first) == [(target.id, ANY_AGENT)]
    await targets.delete(place.anne, target.id)
    assert await granted(place, first) == []


@pytest.mark.requirement("AUD-1", "T62")
async def test_changes_are_recorded_without_secrets(place: World) -> None:
    target = await made(place, credential_id=await credential(place))
    await place.services.targets.update(place.anne, target.id, enabled=False)
    found = await place.services.audit.page(place.anne)
    told = [record for record in found if record.subject == f"target:{target.id}"]
    assert [record.event for record in told] == ["target.updated", "target.created"]
    assert told[0].details["enabled"] is False
    assert CANARY not in repr(found)


@pytest.mark.requirement("GW-3", "T3")
async def test_other_rules_make_a_new_revision(place: World) -> None:
    targets, vault = place.services.targets, place.services.vault
    ids = [
        (await vault.create(place.anne, name=name, kind="bearer", fields={"token": CANARY})).id
        for name in ("one", "two")
    ]
    rules = (CredentialRule(ids[0], ("GET",), ("/a/**",)), CredentialRule(ids[1]))
    target = await targets.create(
        place.anne, name="t", base_url="https://api.example.org", credentials=rules,
        grant_agents=[place.agent.id],
    )  # fmt: skip
    assert await targets.get(place.anne, target.id) == target and target.credentials == rules
    same = await targets.update(place.anne, target.id, credentials=rules, description="d")
    assert same.revision == 1
    turned = await targets.update(place.anne, target.id, credentials=rules[::-1])
    assert (turned.revision, turned.credentials) == (2, rules[::-1])
    for credential_id in ids:
        (grant,) = await vault.grants(place.anne, credential_id)
        assert grant.agent_id == place.agent.id
    none = await targets.update(place.anne, target.id, credentials=())
    assert (none.revision, none.credentials) == (3, ())
    assert await vault.grants(place.anne, ids[0]) == []
    again = await targets.update(place.anne, target.id, credentials=rules)
    assert (await vault.grants(place.anne, ids[1]))[0].agent_id == "*"
    await targets.delete(place.anne, again.id)
    await vault.delete(place.anne, ids[0])


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        (CredentialRule("crd_none"), "/credentials/0/credential_id"),
        (CredentialRule("crd_none", ("FETCH",)), "/credentials/0/methods"),
        (CredentialRule("crd_none", (), ("/a", "b")), "/credentials/0/paths/1"),
    ],
)
async def test_bad_rules_are_refused(place: World, rule: CredentialRule, pointer: str) -> None:
    with pytest.raises((InvalidField, NotFound)) as refused:
        await place.services.targets.create(
            place.anne, name="t", base_url="https://api.example.org", credentials=[rule]
        )
    assert refused.value.pointer == pointer


@pytest.mark.requirement("GW-4", "T49")
async def test_an_address_inside_needs_its_network(place: World) -> None:
    home = TargetSettings(networks=("127.0.0.0/8",))
    for host, hint in (
        ("127.0.0.1:9", "such as 127.0.0.1/32"), ("localhost", "such as 127.0.0.1/32"),
        ("[::1]", "such as ::1/128"), ("10.1.2.3", "10.1.2.3/32"), ("0.0.0.0", "never connected"),
    ):  # fmt: skip
        with pytest.raises(InvalidField, match=hint) as refused:
            await made(place, base_url=f"http://{host}")
        assert refused.value.pointer == "/settings/networks"
    target = await made(place, base_url="http://localhost", settings=home)
    update = place.services.targets.update
    with pytest.raises(InvalidField):
        await update(place.anne, target.id, settings=TargetSettings())
    with pytest.raises(InvalidField):
        await update(place.anne, target.id, base_url="http://10.1.2.3")
    assert (await update(place.anne, target.id, enabled=False)).enabled is False
