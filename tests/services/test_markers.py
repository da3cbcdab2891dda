"""Commands whose end nobody saw, and what their hosts say of them by the markers."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Forbidden, MissingScope
from app.core.request import Request, Status
from app.core.ssh_marker import Marker, Says
from app.core.ssh_target import SshSettings
from app.core.targets import Target, TargetSettings
from app.services.markers import MarkerNotRead, NoMarker
from tests.support.sshd import Sshd, eventually, running_sshd
from tests.support.world import World, world

pytestmark = [pytest.mark.requirement("SSH-7", "EXE-1", "T53"), pytest.mark.timeout(60)]


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Sshd]:
    async with running_sshd(tmp_path / "sshd") as running:
        yield running


async def host(here: World, server: Sshd, **changes: object) -> Target:
    """Add a host whose commands leave markers in the folder ``marks`` of its home."""
    (server.home / "marks").mkdir()
    credential = await here.services.vault.create(
        here.anne, name="key", kind="ssh_key", fields={"private_key": server.key}
    )
    ssh = SshSettings(
        host="127.0.0.1", port=server.port, user=server.user, host_keys=(server.host_key,),
        marker_dir=str(server.home / "marks"),
    )  # fmt: skip
    return await here.services.targets.create(
        here.anne, name="box", credential_id=credential.id,
        settings=TargetSettings(networks=("127.0.0.0/8",), ssh=replace(ssh, **changes)),
    )  # fmt: skip


async def lost(here: World, server: Sshd, code: int = 0) -> Request:
    """Return a request whose connection was lost inside its command, which waits for ``go``."""
    home = server.home
    command = f"touch {home}/began; until [ -e {home}/go ]; do sleep 0.05; done; exit {code}"
    made = await here.ask("ssh.exec", target="box", params={"command": command})
    await here.vote(made)
    running = asyncio.ensure_future(here.services.execution.run(made.id))
    await eventually((home / "began").exists)
    server.end_sessions()
    await running
    after = await here.get(made)
    assert after.status is Status.UNKNOWN
    return after


async def ended(server: Sshd, request: Request) -> None:
    """Let the command end, and wait until its marker says so."""
    (server.home / "go").touch()
    await eventually((server.home / "marks" / request.id).read_text)


@pytest.mark.parametrize(("code", "status"), [(0, Status.SUCCEEDED), (3, Status.FAILED)])
async def test_what_ended_is_settled_by_its_marker(
    here: World, server: Sshd, code: int, status: Status
) -> None:
    await host(here, server)
    request, markers = await lost(here, server, code), here.services.markers
    early = await markers.look(here.anne, request.id)
    assert (early.marker, early.request.status) == (Marker(Says.BEGAN), Status.UNKNOWN)
    await ended(server, request)
    late = await markers.look(here.anne, request.id)
    assert late.marker == Marker(Says.FINISHED, code)
    after = await here.get(request)
    assert (after.status, late.request.status, after.attempt) == (status, status, 1)
    outcome = json.loads(after.outcome or "")
    assert (outcome["exit_code"], outcome["known_by"]) == (code, "marker")
    trail = await here.services.requests.trail(here.anne, request.id)
    read = [record.details["marker"] for record in trail if record.event == "request.marker_read"]
    assert sorted(map(str, read)) == ["began", "finished"]
    (settled,) = [record for record in trail if record.event == "request.settled"]
    assert settled.actor == here.anne.actor.reference and settled.details["ran"] is True
    with pytest.raises(NoMarker):
        await markers.look(here.anne, request.id)


async def test_an_absent_marker_settles_nothing(here: World, server: Sshd) -> None:
    await host(here, server)
    request, markers = await lost(here, server), here.services.markers
    (server.home / "marks" / request.id).unlink()
    for _ in range(2):
        looked = await markers.look(here.anne, request.id)
        assert (looked.marker.says, looked.request.status) == (Says.NONE, Status.UNKNOWN)
    (server.home / "marks" / request.id).write_text("nonsense")
    looked = await markers.look(here.anne, request.id)
    assert (looked.marker.says, looked.request.status) == (Says.UNREADABLE, Status.UNKNOWN)
    (server.home / "go").touch()


async def test_only_operators_look(here: World, server: Sshd) -> None:
    await host(here, server)
    request, markers = await lost(here, server), here.services.markers
    with pytest.raises(Forbidden):
        await markers.look(here.ben, request.id)
    with pytest.raises(MissingScope):
        await markers.look(here.robot, request.id)
    (server.home / "go").touch()


async def test_what_cannot_be_asked_says_so(here: World, server: Sshd) -> None:
    target = await host(here, server)
    request, markers = await lost(here, server), here.services.markers
    (server.home / "go").touch()
    await server.new_host_key()
    with pytest.raises(MarkerNotRead, match="did not show a pinned host key"):
        await markers.look(here.anne, request.id)
    trail = await here.services.requests.trail(here.anne, request.id)
    assert any(record.event == "host_key.refused" for record in trail)
    server.stop()
    with pytest.raises(MarkerNotRead):
        await markers.look(here.anne, request.id)
    await here.services.targets.update(here.anne, target.id, enabled=False)
    with pytest.raises(MarkerNotRead, match="switched off"):
        await markers.look(here.anne, request.id)
    assert (await here.get(request)).status is Status.UNKNOWN
    trail = await here.services.requests.trail(here.anne, request.id)
    failed = [one for one in trail if one.event == "request.marker_not_read"]
    assert {one.actor for one in failed} == {here.anne.actor.reference}
    causes = {str(one.details["cause"]): str(one.details["detail"]) for one in failed}
    assert len(failed) == 3 and {"host_key_changed", "target_disabled"} <= set(causes)
    assert "did not show a pinned host key" in causes["host_key_changed"]


async def test_there_may_be_none(here: World, server: Sshd) -> None:
    await host(here, server, marker_dir="")
    request = await lost(here, server)
    (server.home / "go").touch()
    with pytest.raises(NoMarker):
        await here.services.markers.look(here.anne, request.id)
    waiting = await here.ask("ssh.exec", target="box", params={"command": "true"})
    with pytest.raises(NoMarker):
        await here.services.markers.look(here.anne, waiting.id)
