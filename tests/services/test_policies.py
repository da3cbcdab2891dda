"""Policies: every version kept, the newest in force, and unreadable ones closed."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import structs
from sqlalchemy import text

from app.core.errors import (
    InvalidPolicy,
    MissingRole,
    MissingScope,
    NameTaken,
    NotFound,
    VersionMismatch,
)
from app.core.facts import Facts
from app.core.pipeline import PoliciesChanged
from app.core.policy import Effect
from app.core.request import Status
from app.core.ssh_target import SshSettings
from app.core.targets import TargetSettings
from app.services.policies import Policies
from app.store.tx import Tx
from tests.support.world import FakeClock, World, world

ALLOW = {
    "name": "mail",
    "rules": [{"name": "r", "effect": "allow", "match": {"action": "send_mail"}}],
}


def document(**changes: Any) -> dict[str, Any]:
    return {**ALLOW, **changes}


def facts(place: World, action: str = "send_mail") -> Facts:
    return Facts(
        action=action, kind="plain", agent_id=place.agent.id, agent_name=place.agent.name,
        target=None, urgency="normal", reason="", params={}, context={}, http=None,
        now=place.services.clock.now(), remote_ip=None, counters={},
    )  # fmt: skip


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


@pytest.mark.requirement("POL-1")
async def test_a_change_is_in_force_when_it_returns(place: World) -> None:
    policies = place.services.policies
    assert (await place.ask()).status is Status.PENDING
    record = await policies.create(place.anne, ALLOW)
    assert (await place.ask()).status is Status.APPROVED
    await policies.set_enabled(place.anne, record.id, enabled=False)
    assert (await place.ask()).status is Status.PENDING
    await policies.set_enabled(place.anne, record.id, enabled=True)
    assert (await place.ask()).status is Status.APPROVED
    await policies.delete(place.anne, record.id)
    assert (await place.ask()).status is Status.PENDING


@pytest.mark.requirement("POL-1", "AUD-1")
async def test_every_version_is_kept_even_after_the_end(place: World) -> None:
    policies = place.services.policies
    record = await policies.create(place.anne, ALLOW)
    second = await policies.update(place.anne, record.id, document(priority=7), version=1)
    assert (second.version, second.priority) == (2, 7)
    listed = await policies.versions(place.anne, record.id)
    assert place.anne.person is not None
    assert [(one[0], one[1]) for one in listed] == [
        (2, f"person:{place.anne.person.id}"), (1, f"person:{place.anne.person.id}"),
    ]  # fmt: skip
    await policies.delete(place.anne, record.id)
    with pytest.raises(NotFound):
        await policies.get(place.anne, record.id)
    assert (await policies.version(place.anne, record.id, 1))["rules"] == ALLOW["rules"]
    with pytest.raises(NotFound):
        await policies.version(place.anne, record.id, 3)
    events = [record.event for record in await place.services.audit.page(place.anne)]
    assert events == ["policy.deleted", "policy.updated", "policy.created"]


@pytest.mark.requirement("POL-1")
async def test_of_two_editors_the_later_is_told(place: World) -> None:
    policies = place.services.policies
    record = await policies.create(place.anne, ALLOW)
    done = await asyncio.gather(
        *(
            policies.update(place.anne, record.id, document(priority=number), version=1)
            for number in range(3)
        ),
        return_exceptions=True,
    )
    refused = [one for one in done if isinstance(one, VersionMismatch)]
    assert len(refused) == 2
    assert all(one.extra == {"version": 2} for one in refused)


@pytest.mark.requirement("POL-1")
async def test_names_are_taken_once(place: World) -> None:
    policies = place.services.policies
    await policies.create(place.anne, ALLOW)
    second = await policies.create(place.anne, document(name="second"))
    with pytest.raises(NameTaken):
        await policies.create(place.anne, ALLOW)
    with pytest.raises(NameTaken):
        await policies.update(place.anne, second.id, ALLOW, version=1)


@pytest.mark.requirement("POL-1", "T23")
async def test_who_may_read_and_write(place: World) -> None:
    policies = place.services.policies
    record = await policies.create(place.anne, ALLOW)
    assert await policies.list(place.ben) == [record]
    attempts: list[Any] = [
        lambda who: policies.create(who, document(name="x")),
        lambda who: policies.update(who, record.id, ALLOW, version=1),
        lambda who: policies.set_enabled(who, record.id, enabled=False),
        lambda who: policies.delete(who, record.id),
    ]
    for attempt in attempts:
        with pytest.raises(MissingRole):
            await attempt(place.ben)
        with pytest.raises(MissingScope):
            await attempt(place.robot)
    with pytest.raises(MissingScope):
        await policies.dry_run(place.robot, facts(place))


@pytest.mark.requirement("POL-8", "SSH-5")
async def test_a_dry_run_judges_commands_and_files_as_requests_are(place: World) -> None:
    def over(action: str, **params: str) -> Facts:
        return structs.replace(facts(place, action), kind="ssh", params=dict(params))

    harmless = {"action": "ssh.exec", "command": {"guard": "harmless"}}
    rules: list[dict[str, object]] = [
        {"name": "quiet", "effect": "allow", "match": harmless},
        {"name": "files", "effect": "allow", "match": {"action": {"in": ["ssh.get", "ssh.put"]}}},
    ]
    policies, candidate = place.services.policies, document(rules=rules)

    async def said(action: str, **params: str) -> Effect:
        found = await policies.dry_run(place.ben, over(action, **params), candidate)
        return found.verdict.effect

    assert await said("ssh.exec", command="uptime") is Effect.ALLOW
    assert await said("ssh.exec", command="rm -rf /srv/data") is Effect.REVIEW
    assert await said("ssh.get", path="/var/log/app.log") is Effect.ALLOW
    assert await said("ssh.get", path="/etc/shadow") is Effect.DENY
    assert await said("ssh.put", path="/root/.bashrc") is Effect.REVIEW


@pytest.mark.requirement("POL-8")
async def test_a_dry_run_tries_a_candidate_and_changes_nothing(place: World) -> None:
    policies = place.services.policies
    record = await policies.create(place.anne, ALLOW)
    before = await place.services.audit.page(place.anne)
    said = await policies.dry_run(place.ben, facts(place))
    assert said.verdict.effect is Effect.ALLOW
    stricter = document(rules=[{"name": "r", "effect": "deny", "match": {"action": "send_mail"}}])
    said = await policies.dry_run(place.ben, facts(place), stricter)
    assert said.verdict.effect is Effect.DENY
    assert (await policies.dry_run(place.ben, facts(place, "x"))).verdict.effect is Effect.REVIEW
    with pytest.raises(InvalidPolicy):
        await policies.dry_run(place.ben, facts(place), {"name": "x", "rules": "none"})
    assert await policies.list(place.anne) == [record]
    assert await place.services.audit.page(place.anne) == before
    assert (await place.ask()).status is Status.APPROVED


@pytest.mark.requirement("T38")
@pytest.mark.parametrize(
    "stored", ['{"name": "mail", "rules": [{"effect": "allow"', "[]", '{"x": 1}']
)
async def test_a_stored_policy_that_cannot_be_read_means_a_person(
    place: World, stored: str
) -> None:
    policies = place.services.policies
    record = await policies.create(place.anne, ALLOW)

    def spoil(tx: Tx) -> None:
        tx.connection.execute(
            text("UPDATE policies SET document = :document WHERE id = :id"),
            {"document": stored, "id": record.id},
        )

    await place.services.store.write(spoil)
    fresh = Policies(place.services.store, place.services.ids, place.services.clock)
    closed = await fresh.refresh()
    assert [policy.name for policy in closed.policies] == ["a stored policy cannot be read"]


@pytest.mark.requirement("T40")
async def test_another_process_is_heard_by_signal(place: World) -> None:
    services = place.services
    other = Policies(services.store, services.ids, services.clock)
    await other.refresh()
    await services.policies.create(place.anne, ALLOW)
    assert not other.snapshot.policies
    await other.forget(("agent", "agt_1"))
    assert not other.snapshot.policies
    await other.forget(("policy", "pol_1"))
    assert [policy.name for policy in other.snapshot.policies] == ["mail"]


@pytest.mark.requirement("T40")
async def test_what_judged_by_an_older_set_is_done_again(place: World) -> None:
    services = place.services
    other = Policies(services.store, services.ids, services.clock)
    await other.refresh()
    await services.policies.create(place.anne, ALLOW)
    seen: list[int] = []

    async def work() -> int:
        seen.append(len(other.snapshot.policies))
        revision = await services.store.read(lambda tx: tx.policies.revision())
        if revision != other.snapshot.revision:
            raise PoliciesChanged
        return revision

    assert await other.with_newest(work) == other.snapshot.revision
    assert seen == [0, 1]

    async def never() -> None:
        seen.append(-1)
        raise PoliciesChanged

    with pytest.raises(PoliciesChanged):
        await other.with_newest(never)
    assert seen.count(-1) == 3


@pytest.mark.requirement("SSH-5")
async def test_the_rules_for_commands_are_read_before_the_first_one_asks(place: World) -> None:
    policies = place.services.policies
    await policies.refresh()
    assert policies.commands.due
    key = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    credential = await place.services.vault.create(
        place.anne, name="key", kind="ssh_key", fields={"private_key": key.decode()}
    )
    settings = TargetSettings(ssh=SshSettings(host="db.example.com", user="ops"))
    await place.services.targets.create(
        place.anne, name="box", credential_id=credential.id, settings=settings
    )
    await policies.refresh()
    assert not policies.commands.due
