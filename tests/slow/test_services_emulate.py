"""Presets, as they are, at other people's GitHub and Google: reads pass, writes ask and run."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from app.core.request import Request, Status
from app.core.targets import TargetSettings
from app.services.presets import Presets, Wanted
from integrations.services.loader import presets
from tests.slow.test_oauth_emulate import connected
from tests.support.emulate import emulated
from tests.support.world import World, world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requirement("SVC-1", "GW-1"),
    pytest.mark.timeout(360),
]
MAIL: Final = base64.urlsafe_b64encode(b"To: a@example.org\r\nSubject: hello\r\n\r\nhi").decode()
WORDS: Final[dict[str, tuple[str, str, str, str, dict[str, Any], str]]] = {
    "github": (
        "github", "/user", "/user/repos", "/user/repos", {"name": "made-here"}, "/user/keys",
    ),
    "gmail": (
        "google", "/gmail/v1/users/me/labels", "/gmail/v1/users/me/messages",
        "/gmail/v1/users/me/messages/send", {"raw": MAIL},
        "/gmail/v1/users/me/settings/forwardingAddresses",
    ),
}  # fmt: skip
"""Of each preset: the service, two reads, a write with its body, and what is blocked."""


async def placed(place: World, preset: str, address: str, service: str) -> None:
    """Make the preset's target with its own policies, but at an address on loopback."""
    made = place.services.presets
    shipped = next(one for one in presets() if one.name == preset)
    here = replace(shipped, base_url=address, own_host=False)
    local = Presets(
        made.store, made.ids, made.clock, made.targets, made.vault, made.connections,
        made.policies, lambda: (here,),
    )  # fmt: skip
    settings = TargetSettings(networks=("127.0.0.0/8",))
    target = await local.apply(place.anne, Wanted(preset, settings=settings))
    connection = await connected(place, address, service)
    await place.services.targets.update(
        place.anne, target.id, credential_id=connection.credential_id,
        grant_agents=(place.agent.id,),
    )  # fmt: skip


async def done(place: World, request: Request) -> tuple[int, Any]:
    """Carry it out and return what came back."""
    await place.services.execution.run(request.id)
    assert (await place.get(request)).status is Status.SUCCEEDED
    result = await place.services.requests.result(place.anne, request.id)
    assert result is not None
    return result.status, json.loads(result.body)


@pytest.mark.parametrize("preset", list(WORDS))
async def test_reads_pass_and_writes_ask(preset: str, tmp_path: Path) -> None:
    service, who, listing, write, body, blocked = WORDS[preset]
    with emulated(service) as address:
        async with world(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as place:
            await placed(place, preset, address, service)
            status, own = await done(place, await place.call("GET", who, preset))
            assert status == 200 and own
            _, before = await done(place, await place.call("GET", listing, preset))
            asked = await place.call("POST", write, preset, json=body)
            assert asked.status is Status.PENDING
            again = await place.call("GET", f"{listing}?again=1", preset)
            _, meanwhile = await done(place, again)
            assert meanwhile == before, "nothing is written before somebody approved it"
            status, made = await done(place, await place.vote(asked))
            assert status in (200, 201) and made["id"]
            assert (await place.call("GET", blocked, preset)).status is Status.DENIED
