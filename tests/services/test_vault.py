"""Credentials: sealed in their place, rotated in use, opened only where and for whom granted."""

import base64
import os
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.action import HttpAction
from app.core.errors import InUse, InvalidField, MissingRole, MissingScope, NameTaken, NotFound
from app.core.outcome import Injection
from app.core.targets import Credential, CredentialGrant, CredentialRule, Target
from app.services.handles import CredentialNotGranted
from app.services.sealing import CannotOpen, MasterKey, Sealer
from app.services.vault import ANY_AGENT, Vault
from app.store.tx import Tx
from tests.support.canary import CANARY
from tests.support.world import World, world

OLD, NEW = MasterKey("old", os.urandom(32)), MasterKey("new", os.urandom(32))


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    text = f"old:{base64.b64encode(OLD.value).decode()}"
    async with world(database_url, tmp_path, master_key=text) as opened:
        yield opened


async def made(place: World, name: str = "github", value: str = CANARY) -> Credential:
    return await place.services.vault.create(
        place.anne, name=name, kind="bearer", fields={"token": value}
    )


async def at(
    place: World, credential: Credential, agent: str = ANY_AGENT, name: str = "upstream"
) -> Target:
    """Make a target that uses the credential, and grant it there."""
    target = await place.services.targets.create(
        place.anne, name=name, base_url="https://api.example.org",
        credential_id=credential.id, grant_agents=[agent],
    )  # fmt: skip
    assert target.credential_id == credential.id
    return target


async def opened(place: World, target: Target, vault: Vault | None = None) -> str:
    """Return what the vault adds to a call of the agent."""
    injection = await (vault or place.services.vault).for_execution(target, place.agent.id)
    ((name, value),) = injection.headers
    assert name == "authorization"
    assert injection.secrets == (value.removeprefix("Bearer "),)
    return injection.secrets[0]


def with_keys(place: World, *keys: MasterKey) -> Vault:
    return replace(place.services.vault, sealer=Sealer(list(keys)))


@pytest.mark.requirement("VLT-1", "T62")
async def test_values_go_in_and_never_out(place: World) -> None:
    credential = await made(place)
    vault = place.services.vault
    assert credential.fields == ("token",)
    target = await at(place, credential)
    shown = [
        credential,
        await vault.get(place.anne, credential.id),
        await vault.list(place.anne),
        await vault.update(place.anne, credential.id, description="d"),
        await place.services.audit.page(place.anne),
        await vault.for_execution(target, place.agent.id),
    ]
    assert CANARY not in repr(shown)
    stored = await place.services.store.read(lambda tx: tx.vault.sealed_with_other("", 10))
    assert CANARY.encode() not in stored[0].sealed
    assert await opened(place, target) == CANARY


@pytest.mark.requirement("VLT-1", "T62")
async def test_a_refusal_does_not_repeat_the_value(place: World) -> None:
    for fields in ({"token": CANARY + "\n"}, {"token": CANARY, "x": CANARY}, {"tokens": CANARY}):
        with pytest.raises(InvalidField) as refused:
            await place.services.vault.create(place.anne, name="c", kind="bearer", fields=fields)
        assert CANARY not in repr(refused.value) + refused.value.detail
        assert (refused.value.pointer or "").startswith("/fields")


@pytest.mark.requirement("T61")
async def test_sealed_bytes_of_another_row_do_not_open(place: World) -> None:
    one, two = await made(place), await made(place, "other", "another-secret-value")
    target = await at(place, one)

    def swap(tx: Tx) -> None:
        sealed = {field.credential_id: field for field in tx.vault.sealed_with_other("", 10)}
        tx.vault.reseal(sealed[one.id], sealed[two.id].sealed, "old")

    await place.services.store.write(swap)
    with pytest.raises(CannotOpen):
        await opened(place, target)


@pytest.mark.requirement("T61")
async def test_sealed_bytes_of_an_earlier_version_do_not_open(place: World) -> None:
    credential = await made(place)
    target = await at(place, credential)
    (before,) = await place.services.store.read(lambda tx: tx.vault.sealed_with_other("", 10))
    after = await place.services.vault.update(
        place.anne, credential.id, fields={"token": "a-newer-secret"}
    )
    assert after.version == 2
    assert await opened(place, target) == "a-newer-secret"

    def put_back(tx: Tx) -> None:
        (now,) = tx.vault.sealed_with_other("", 10)
        tx.vault.reseal(now, before.sealed, "old")

    await place.services.store.write(put_back)
    with pytest.raises(CannotOpen):
        await opened(place, target)


@pytest.mark.requirement("VLT-1")
async def test_the_master_key_rotates_while_in_use(place: World) -> None:
    first = await made(place)
    target = await at(place, first)
    for number in range(3):
        await made(place, f"more-{number}")
    both = with_keys(place, NEW, OLD)
    assert await opened(place, target, both) == CANARY
    assert await both.rotate() == 4
    assert await both.rotate() == 0
    assert await opened(place, target, with_keys(place, NEW)) == CANARY
    with pytest.raises(CannotOpen):
        await opened(place, target)
    (record,) = await place.services.audit.page(place.anne, event="vault.rotated")
    assert record.details == {"fields": 4, "master_key": "new"}


@pytest.mark.requirement("VLT-1")
async def test_a_rotation_without_the_former_key_changes_nothing(place: World) -> None:
    target = await at(place, await made(place))
    with pytest.raises(CannotOpen):
        await with_keys(place, NEW).rotate()
    assert await opened(place, target) == CANARY


@pytest.mark.requirement("T63", "VLT-2")
async def test_a_secret_goes_only_where_and_for_whom_it_was_granted(place: World) -> None:
    credential = await made(place)
    target = await at(place, credential)
    other = await place.services.agents.create(place.anne, name="other")
    vault, everybody = place.services.vault, CredentialGrant(credential.id, target.id, ANY_AGENT)
    assert await opened(place, target) == CANARY
    await vault.revoke(place.anne, everybody)
    with pytest.raises(CredentialNotGranted):
        await opened(place, target)
    await vault.grant(place.anne, replace(everybody, agent_id=other.id))
    with pytest.raises(CredentialNotGranted):
        await opened(place, target)
    assert await vault.for_execution(target, other.id)
    elsewhere = replace(target, id="tgt_elsewhere")
    with pytest.raises(CredentialNotGranted):
        await vault.for_execution(elsewhere, other.id)
    another = await made(place, "another")
    with pytest.raises(CredentialNotGranted):
        await vault.for_execution(replace(target, credential_id=another.id), other.id)


@pytest.mark.requirement("T63")
async def test_grants_name_what_exists(place: World) -> None:
    credential = await made(place)
    target = await at(place, credential)
    vault, grant = place.services.vault, CredentialGrant(credential.id, target.id, ANY_AGENT)
    for wrong in (
        replace(grant, credential_id="crd_none"), replace(grant, target_id="tgt_none"),
        replace(grant, agent_id="agt_none"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await vault.grant(place.anne, wrong)
        with pytest.raises(NotFound):
            await vault.revoke(place.anne, wrong)
    await vault.grant(place.anne, grant)
    assert await vault.grants(place.anne, credential.id) == [grant]


@pytest.mark.requirement("VLT-1")
async def test_without_a_credential_nothing_is_added(place: World) -> None:
    target = await place.services.targets.create(
        place.anne, name="open", base_url="https://api.example.org"
    )
    injection = await place.services.vault.for_execution(target, place.agent.id)
    assert (injection.headers, injection.query, injection.secrets) == ((), (), ())


@pytest.mark.requirement("VLT-1", "T23")
async def test_agents_and_other_people_do_not_even_see_names(place: World) -> None:
    credential = await made(place)
    vault = place.services.vault
    attempts: list[Any] = [
        vault.list,
        lambda who: vault.get(who, credential.id),
        lambda who: vault.grants(who, credential.id),
        lambda who: vault.create(who, name="x", kind="bearer", fields={"token": CANARY}),
        lambda who: vault.update(who, credential.id, description="x"),
        lambda who: vault.delete(who, credential.id),
    ]
    for attempt in attempts:
        with pytest.raises(MissingRole):
            await attempt(place.ben)
        with pytest.raises(MissingScope):
            await attempt(place.robot)


@pytest.mark.requirement("VLT-1")
async def test_a_used_credential_stays(place: World) -> None:
    credential = await made(place)
    target = await at(place, credential)
    vault = place.services.vault
    with pytest.raises(InUse):
        await vault.delete(place.anne, credential.id)
    await place.services.targets.update(place.anne, target.id, credential_id=None)
    await vault.delete(place.anne, credential.id)
    with pytest.raises(NotFound):
        await vault.get(place.anne, credential.id)


@pytest.mark.requirement("VLT-1")
@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": "Big"}, "/name"), ({"name": ""}, "/name"), ({"name": "a/b"}, "/name"),
        ({"vault": ""}, "/vault"), ({"kind": "magic"}, "/kind"),
        ({"description": "x" * 2001}, "/description"), ({"description": "\x00"}, "/description"),
    ],
)  # fmt: skip
async def test_credentials_are_checked(place: World, changes: dict[str, str], pointer: str) -> None:
    given: dict[str, Any] = {"name": "c", "kind": "bearer", "fields": {"token": CANARY}, **changes}
    with pytest.raises(InvalidField) as refused:
        await place.services.vault.create(place.anne, **given)
    assert refused.value.pointer == pointer


@pytest.mark.requirement("VLT-1")
async def test_names_are_taken_once(place: World) -> None:
    await made(place)
    second = await made(place, "second")
    with pytest.raises(NameTaken):
        await made(place)
    with pytest.raises(NameTaken):
        await place.services.vault.update(place.anne, second.id, name="github")


def http(method: str, path: str) -> HttpAction:
    return HttpAction(method, path, "", (), b"")


@pytest.mark.requirement("GW-3", "T63")
async def test_rules_say_which_call_gets_which_credential(place: World) -> None:
    reads, writes, rest = [await made(place, name, f"{name}-{CANARY}") for name in "rwx"]
    target = await place.services.targets.create(
        place.anne, name="upstream", base_url="https://api.example.org", credential_id=rest.id,
        credentials=[
            CredentialRule(reads.id, ("GET", "HEAD"), ("/repos/**", "/user")),
            CredentialRule(writes.id, (), ("/repos/*/issues",)),
        ],
    )  # fmt: skip
    for call, wanted in (
        (http("GET", "/repos/a/issues"), "r"),
        (http("GET", "/user"), "r"),
        (http("POST", "/repos/a/issues"), "w"),
        (http("POST", "/repos/a/b/issues"), "x"),
        (http("GET", "/users"), "x"),
    ):
        injection = await place.services.vault.for_execution(target, place.agent.id, call)
        assert injection.secrets == (f"{wanted}-{CANARY}",), call
    bare = await place.services.targets.update(place.anne, target.id, credential_id=None)
    other = http("GET", "/users")
    assert await place.services.vault.for_execution(bare, place.agent.id, other) == Injection()
    await place.services.vault.revoke(place.anne, CredentialGrant(writes.id, target.id, ANY_AGENT))
    with pytest.raises(CredentialNotGranted):
        await place.services.vault.for_execution(
            bare, place.agent.id, http("PUT", "/repos/a/issues")
        )
    with pytest.raises(InUse):
        await place.services.vault.delete(place.anne, writes.id)


@pytest.mark.requirement("T3")
async def test_a_new_field_of_a_ruled_credential_voids_what_was_approved(place: World) -> None:
    shown = await place.services.vault.create(
        place.anne, name="h", kind="headers", fields={"X-Key": CANARY}
    )
    target = await place.services.targets.create(
        place.anne, name="upstream", base_url="https://api.example.org",
        credentials=[CredentialRule(shown.id, ("GET",))],
    )  # fmt: skip
    vault = place.services.vault
    await vault.update(place.anne, shown.id, fields={"X-Key": f"{CANARY}-2"})
    assert (await place.services.targets.get(place.anne, target.id)).revision == 1
    after = await vault.update(place.anne, shown.id, fields={"X-Other": CANARY})
    assert after.shown == ("X-Other: <h>",)
    assert (await place.services.targets.get(place.anne, target.id)).revision == 2


@pytest.mark.requirement("VLT-1")
async def test_public_fields_are_said_with_the_fields(place: World) -> None:
    vault = place.services.vault
    item = await vault.create(
        place.anne, name="i", kind="item", fields={"user": "jo", "key": CANARY},
        public_fields=["user"],
    )  # fmt: skip
    refused: list[dict[str, Any]] = [
        {"public_fields": ["key"]}, {"fields": {"key": CANARY}}, {"domains": ["https://x"]},
    ]  # fmt: skip
    for changes in refused:
        with pytest.raises(InvalidField):
            await vault.update(place.anne, item.id, **changes)
    kept = await vault.update(place.anne, item.id, domains=["example.com"], description="d")
    assert (kept.domains, kept.public_fields) == (("example.com",), ("user",))
    assert await vault.get(place.anne, item.id) == kept
