"""Host keys: shown, compared, pinned; and what happens when another one is shown."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import InvalidField, MissingRole
from app.core.request import Request, Status
from app.core.ssh_action import SshHop
from app.core.ssh_target import HostNotPinned, SshSettings, fingerprint
from app.core.targets import Target, TargetSettings
from app.services.host_keys import HostNotReached
from tests.support.channel import FakeChannel
from tests.support.server import free_port
from tests.support.sshd import Sshd, running_sshd
from tests.support.telling import Mail, carried, opened
from tests.support.world import World, world

pytestmark = [pytest.mark.requirement("SSH-2", "T51"), pytest.mark.timeout(60)]


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Sshd]:
    async with running_sshd(tmp_path / "sshd") as running:
        yield running


async def host(here: World, server: Sshd, **ssh: object) -> Target:
    services = here.services
    credential = await services.vault.create(
        here.anne, name="key", kind="ssh_key", fields={"private_key": server.key}
    )
    settings = SshSettings(host="127.0.0.1", port=server.port, user=server.user)
    return await services.targets.create(
        here.anne, name="box", credential_id=credential.id,
        settings=TargetSettings(
            networks=("127.0.0.0/8",),
            ssh=replace(settings, **ssh),
        ),
    )  # fmt: skip


async def ask(here: World) -> Request:
    """Ask for a command, let it be approved, and carry it out."""
    made = await here.ask("ssh.exec", target="box", params={"command": "echo x"})
    await here.vote(made)
    await here.services.execution.run(made.id)
    return await here.get(made)


async def test_a_key_is_compared_before_it_is_pinned(here: World, server: Sshd) -> None:
    target = await host(here, server)
    keys = here.services.host_keys
    shown = await keys.look(here.anne, target.id)
    assert (shown.key, shown.kind) == (server.host_key, "ssh-ed25519")
    assert shown.fingerprint == fingerprint(server.host_key)
    assert (await here.services.targets.get(here.anne, target.id)).revision == 1
    after = await keys.enrol(here.anne, target.id, shown.key)
    assert after.settings.ssh is not None
    assert (after.settings.ssh.host_keys, after.revision) == ((server.host_key,), 2)
    assert (await ask(here)).status is Status.SUCCEEDED
    again = await keys.look(here.anne, target.id)
    assert (shown.pinned, shown.changed) == ((), False)
    assert (again.is_pinned, again.changed) == (True, False)


async def test_another_key_is_recorded_and_voids_what_was_approved(
    here: World, server: Sshd
) -> None:
    target = await host(here, server, host_keys=(server.host_key,))
    waiting = await here.ask("ssh.exec", target="box", params={"command": "echo later"})
    await server.new_host_key()
    made = await ask(here)
    assert made.status is Status.FAILED
    assert "host_key_changed" in (made.outcome or "")
    trail = await here.services.requests.trail(here.anne, made.id)
    (noted,) = [record for record in trail if record.event == "host_key.refused"]
    assert fingerprint(server.host_key) in str(noted.details["detail"])
    shown = await here.services.host_keys.look(here.anne, target.id)
    assert shown.changed
    assert shown.pinned != (shown.fingerprint,)
    await here.services.host_keys.enrol(here.anne, target.id, shown.key)
    await here.vote(waiting)
    await here.services.execution.run(waiting.id)
    voided = await here.get(waiting)
    assert voided.status is Status.CANCELLED
    assert (await ask(here)).status is Status.SUCCEEDED


async def test_operators_are_told_of_another_key_once(
    database_url: str, server: Sshd, tmp_path: Path
) -> None:
    chat = FakeChannel()
    async with opened(database_url, tmp_path, chat, Mail()) as place:
        target = await host(place, server, host_keys=(server.host_key,))
        await server.new_host_key()
        for _ in range(2):
            assert (await ask(place)).status is Status.FAILED
        await carried(place, "chat")
        told = [one for one in chat.messages if one.digest is not None]
        assert len(told) == 1 and told[0].recipient == "T1:ANNE"
        assert told[0].digest is not None
        lines = " ".join((told[0].digest.title, *told[0].digest.lines))
        assert target.name in lines and fingerprint(server.host_key) in lines
        assert "nothing was sent" in lines


@pytest.mark.requirement("SSH-6")
async def test_a_host_behind_another_is_enrolled_by_hand(
    here: World, server: Sshd, tmp_path: Path
) -> None:
    async with running_sshd(tmp_path / "bastion") as bastion:
        (bastion.home / "authorized_keys").write_text((server.home / "client_key.pub").read_text())
        hop = SshHop("127.0.0.1", bastion.port, bastion.user, (bastion.host_key,))
        target = await host(here, server, jumps=(hop,))
        keys = here.services.host_keys
        with pytest.raises(InvalidField, match="by hand"):
            await keys.look(here.anne, target.id)
        with pytest.raises(HostNotPinned):
            await ask(here)
        assert "Accepted publickey" not in bastion.log
        await keys.enrol(here.anne, target.id, server.host_key)
        assert (await ask(here)).status is Status.SUCCEEDED
        assert "Accepted publickey" in bastion.log
        server.end_sessions()
        await server.new_host_key()
        changed = await ask(here)
        assert "host_key_changed" in (changed.outcome or "")
        await keys.enrol(here.anne, target.id, server.host_key)
        assert (await ask(here)).status is Status.SUCCEEDED


@pytest.mark.requirement("SSH-4")
async def test_hosts_that_agents_name_have_keys_of_their_own(here: World, server: Sshd) -> None:
    target = await host(here, server, host="", cidrs=("127.0.0.0/8",))
    keys = here.services.host_keys
    with pytest.raises(InvalidField):
        await keys.look(here.anne, target.id)
    shown = await keys.look(here.anne, target.id, "127.0.0.1")
    for name in ("127.0.0.2", "127.0.0.1", "127.0.0.1"):
        after = await keys.enrol(here.anne, target.id, shown.key, name)
    assert after.settings.ssh is not None
    pinned = after.settings.ssh.host_keys
    assert pinned == (f"127.0.0.2 {shown.key}", f"127.0.0.1 {shown.key}")


@pytest.mark.requirement("SSH-2", "SSH-4")
async def test_who_enrols_at_the_same_time_undoes_nothing(here: World, server: Sshd) -> None:
    target = await host(here, server, host="", cidrs=("127.0.0.0/8",))
    keys, names = here.services.host_keys, [f"127.0.0.{n}" for n in range(1, 6)]
    enrolling = [keys.enrol(here.anne, target.id, server.host_key, name) for name in names]
    await asyncio.gather(*enrolling)
    after = (await here.services.targets.get(here.anne, target.id)).settings.ssh
    assert after is not None
    assert {line.partition(" ")[0] for line in after.host_keys} == set(names)
    trail = await here.services.audit.page(here.anne, limit=50)
    assert sum(entry.event == "host_key.enrolled" for entry in trail) == len(names)


async def test_what_cannot_be_enrolled(here: World, server: Sshd) -> None:
    target = await host(here, server, port=free_port())
    keys = here.services.host_keys
    with pytest.raises(HostNotReached):
        await keys.look(here.anne, target.id)
    with pytest.raises(InvalidField):
        await keys.look(here.anne, target.id, "other")
    with pytest.raises(InvalidField):
        await keys.enrol(here.anne, target.id, "ssh-ed25519 nonsense")
    with pytest.raises(MissingRole):
        await keys.look(here.ben, target.id)
    web = await here.target("http://127.0.0.1:1")
    with pytest.raises(InvalidField):
        await keys.look(here.anne, web.id)
