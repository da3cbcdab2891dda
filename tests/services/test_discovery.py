"""What one key may use: its own targets, in words of the policies, nothing of the inside."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Forbidden
from app.core.principals import Caller, Permission, Scope
from app.core.ssh_target import SshSettings
from app.core.targets import TargetSettings
from tests.support.world import World, agent_caller, world

pytestmark = pytest.mark.requirement("SVC-3")

INSIDE = "http://billing.corp.internal:8080/v1"


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        await opened.target(INSIDE, "billing", rate="9/minute")
        await opened.target("https://api.example.org", "mail")
        await opened.policy("reads", "allow", {"http.method": "GET"})
        yield opened


def holding(place: World, *permissions: Permission) -> Caller:
    return agent_caller(place.agent, replace(place.key, permissions=permissions))


async def test_each_key_sees_its_own(place: World) -> None:
    discovery = place.services.discovery
    everything = await discovery.overview(place.robot)
    assert [one.name for one in everything.targets] == ["billing", "mail"]
    only = holding(
        place, Permission("mail", ("GET", "POST"), ("/a/**",)), Permission("mail", ("POST",), ())
    )
    (mail,) = (await discovery.overview(only)).targets
    assert [(one.method, one.outcomes) for one in mail.calls] == [
        ("GET", ("pass",)), ("POST", ("ask",)),
    ]  # fmt: skip
    assert mail.gateway.endswith("/gateway/mail") and mail.paths == ()
    narrow = holding(place, Permission("billing", (), ("/a/**",)))
    (billing,) = (await discovery.overview(narrow)).targets
    assert billing.paths == ("/a/**",) and billing.rate == "9/minute" and not billing.stopped
    assert (await discovery.overview(holding(place))).targets == ()


async def test_nothing_of_the_inside_is_told(place: World) -> None:
    services = place.services
    (billing, _) = await services.targets.list(place.anne)
    words = f"The books. Runs at {INSIDE}, ask billing.corp.internal."
    await services.targets.update(place.anne, billing.id, description=words)
    seen = await services.discovery.overview(place.robot)
    assert "corp" not in repr(seen) and "The books." in seen.targets[0].description


async def test_what_cannot_be_called_is_not_listed(place: World) -> None:
    services = place.services
    (billing, _) = await services.targets.list(place.anne)
    await services.targets.update(place.anne, billing.id, enabled=False)
    assert [one.name for one in (await services.discovery.overview(place.robot)).targets] == [
        "mail"
    ]
    reading = agent_caller(place.agent, replace(place.key, scopes=frozenset({Scope.REQUEST_READ})))
    assert (await services.discovery.overview(reading)).targets == ()


@pytest.mark.requirement("SSH-1")
async def test_a_host_is_told_with_its_own_door(place: World) -> None:
    ssh = SshSettings(host="db.corp.internal", user="deploy", host_keys=("SHA256:" + "A" * 43,))
    await place.services.targets.create(
        place.anne, name="db", settings=TargetSettings(ssh=ssh), grant_agents=[place.agent.id]
    )
    overview = place.services.discovery.overview
    (host,) = [one for one in (await overview(place.robot)).targets if one.ssh]
    assert (host.name, host.gateway, host.calls) == ("db", "", ())
    assert host.ssh.endswith("/ssh/db") and "corp" not in host.description
    reading = await overview(holding(place, Permission("db", methods=("GET",))))
    assert reading.targets == ()


async def test_people_have_pages_instead(place: World) -> None:
    with pytest.raises(Forbidden):
        await place.services.discovery.overview(place.anne)
