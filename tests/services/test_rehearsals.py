"""A dry run of a command looks at the profiles of the target and of the key that would ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.errors import InvalidField, NotFound
from app.core.explanation import Explanation
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.policy import Effect
from app.core.principals import ApiKey, Permission
from app.core.ssh_target import SshSettings
from app.core.targets import TargetSettings
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("POL-8", "SSH-3")

KEY = (
    Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    .decode()
)


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def host(here: World, *, allowed: bool = True, **settings: object) -> None:
    ssh = SshSettings(host="127.0.0.1", user="ops", host_keys=(KEY,), **settings)  # pyright: ignore[reportArgumentType]
    await here.services.targets.create(
        here.anne, name="box", settings=TargetSettings(networks=("127.0.0.0/8",), ssh=ssh)
    )
    if allowed:
        await here.policy("all", "allow", {"action": "ssh.exec"})


async def key(here: World, *permissions: Permission) -> ApiKey:
    made = await here.services.agents.create_key(
        here.anne, name="k", scopes=["request:create"], agent_id=here.agent.id,
        permissions=permissions or None,
    )  # fmt: skip
    return made[0]


async def said(
    here: World, command: str, key_id: str = "", agent: str = "somebody", target: str = "box"
) -> Explanation:
    facts = Facts(
        action="ssh.exec", kind="ssh", agent_id="-", agent_name=agent, target=target,
        urgency="normal", reason="", params={"command": command}, context={}, http=None,
        now=Instant(0),
    )  # fmt: skip
    return await here.services.policies.dry_run(here.ben, facts, key=key_id)


async def test_the_profiles_of_the_target_count(here: World) -> None:
    await host(here, profiles=("logs-readonly",), only_profiles=True)
    assert (await said(here, "tail -5 /var/log/syslog")).verdict.effect is Effect.ALLOW
    refused = (await said(here, "uptime -V")).verdict
    assert refused.effect is Effect.DENY
    assert any("logs-readonly" in reason for reason in refused.reasons)
    assert (await said(here, "uptime -V", target="none-such")).verdict.effect is Effect.ALLOW


async def test_the_profiles_of_the_key_count_as_at_the_claim(here: World) -> None:
    await host(here)
    narrow = await key(here, Permission("box", profiles=("logs-readonly",)))
    wide = await key(here, Permission("box"))
    other = await key(here, Permission("else"))
    assert (await said(here, "uptime", wide.id)).verdict.effect is Effect.ALLOW
    assert (await said(here, "tail -5 /var/log/syslog", narrow.id)).verdict.effect is Effect.ALLOW
    assert (await said(here, "uptime", narrow.id)).verdict.effect is Effect.REVIEW
    refused = (await said(here, "uptime", other.id)).verdict
    assert refused.effect is Effect.DENY
    assert refused.reasons[0] == "this key does not permit commands at box"


async def test_the_agent_of_the_key_is_the_one_that_policies_look_at(here: World) -> None:
    await host(here, allowed=False)
    await here.policy("mine", "deny", {"agent.name": here.agent.name})
    wide = await key(here, Permission("box"))
    assert (await said(here, "uptime", wide.id)).verdict.effect is Effect.DENY
    assert (await said(here, "uptime")).verdict.effect is Effect.REVIEW


async def test_an_agent_stands_for_its_keys_where_they_do_not_differ(here: World) -> None:
    await host(here)
    assert (await said(here, "uptime", agent=here.agent.name)).verdict.effect is Effect.ALLOW
    await key(here, Permission("box", profiles=("logs-readonly",)))
    with pytest.raises(InvalidField) as error:
        await said(here, "uptime", agent=here.agent.name)
    assert error.value.pointer == "/key"


async def test_a_key_that_could_not_ask_is_refused(here: World) -> None:
    await host(here)
    gone = await key(here, Permission("box"))
    await here.services.agents.revoke_key(here.anne, gone.id)
    for key_id in (gone.id, "key_none"):
        with pytest.raises(NotFound) as error:
            await said(here, "uptime", key_id)
        assert error.value.pointer == "/key"
    with pytest.raises(NotFound):
        await said(here, "uptime", gone.id, target="none-such")
    facts = Facts(
        action="send_mail", kind="plain", agent_id="-", agent_name="x", target=None,
        urgency="normal", reason="", params={}, context={}, http=None, now=Instant(0),
    )  # fmt: skip
    with pytest.raises(InvalidField):
        await here.services.policies.dry_run(here.ben, facts, key="key_1")
