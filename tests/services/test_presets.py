"""Targets made from presets: everything or nothing, named alike, policies that hold (SVC-1)."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import (
    AssentryError,
    InvalidField,
    MissingRole,
    MissingScope,
    NameTaken,
    NotFound,
)
from app.core.principals import Scope
from app.core.request import Status
from app.core.targets import Target
from app.services.presets import Wanted
from tests.support.canary import CANARY
from tests.support.world import World, with_scopes, world

pytestmark = pytest.mark.requirement("SVC-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def apply(place: World, preset: str, **fields: Any) -> Target:
    return await place.services.presets.apply(place.anne, Wanted(preset, **fields))


async def counts(place: World) -> tuple[int, int, int]:
    services, anne = place.services, place.anne
    return (
        len(await services.targets.list(anne)), len(await services.vault.list(anne)),
        len(await services.policies.list(anne)),
    )  # fmt: skip


async def test_a_preset_makes_target_credential_leave_and_policies(place: World) -> None:
    await place.policy("own", "review", {"action": "send_mail"})
    services = place.services
    target = await apply(place, "github", fields={"token": CANARY})
    assert (target.name, target.base_url) == ("github", "https://api.github.com")
    assert "X-GitHub-Api-Version: 2022-11-28" in target.description
    (credential,) = await services.vault.list(place.anne)
    assert (credential.id, credential.name, credential.kind) == (
        target.credential_id, "github", "bearer",
    )  # fmt: skip
    (grant,) = await services.vault.grants(place.anne, credential.id)
    assert (grant.target_id, grant.agent_id) == (target.id, "*")
    policies = await services.policies.list(place.anne)
    assert [(one.name, one.priority) for one in policies] == [
        ("github: blocked", 10), ("own", policies[1].priority), ("github", 500),
    ]  # fmt: skip
    assert policies[1].version == 1
    found = await services.audit.page(place.anne, limit=50)
    events = [item.event for item in found]
    assert events.count("policy.created") == 3
    assert {"target.created", "credential.created"} <= set(events)
    assert CANARY not in str([item.details for item in found])


async def test_its_rules_hold_at_once_and_blocked_stays_blocked(place: World) -> None:
    await apply(place, "github")
    assert (await place.call("GET", "/repos/a/b", "github")).status is Status.APPROVED
    asked = await place.call("DELETE", "/repos/a/b", "github")
    assert (asked.status, asked.risk_level, asked.tags) == (
        Status.PENDING, "high", ("destructive",),
    )  # fmt: skip
    await place.policy("everything", "allow", {"action": "http.request"})
    assert (await place.call("POST", "/repos/a/b", "github")).status is Status.APPROVED
    denied = await place.call("GET", "/repos/a/b/actions/secrets/X", "github")
    assert denied.status is Status.DENIED


async def test_accounts_of_one_service_stand_side_by_side(place: World) -> None:
    first = await apply(place, "github", fields={"token": CANARY})
    agents = (place.agent.id,)
    second = await apply(
        place, "github", account="acme", fields={"token": CANARY}, grant_agents=agents
    )
    assert (first.name, second.name) == ("github", "github.acme")
    assert second.credential_id is not None
    grants = await place.services.vault.grants(place.anne, second.credential_id)
    assert [grant.agent_id for grant in grants] == [place.agent.id]
    assert (await place.call("GET", "/repos/a/b", "github.acme")).status is Status.APPROVED


@pytest.mark.requirement("SVC-2")
async def test_an_oauth_client_waits_to_be_connected(place: World) -> None:
    target = await apply(
        place, "mastodon", base_url="https://social.example.org", client_id="us",
        client_secret=CANARY,
    )  # fmt: skip
    assert target.base_url == "https://social.example.org"
    (listed,) = await place.services.connections.list(place.anne)
    assert listed.targets == ("mastodon",)
    urls = listed.connection.client.endpoints
    assert urls.token_url == "https://social.example.org/oauth/token"


@pytest.mark.parametrize(
    ("fields", "error", "pointer"),
    [
        ({"preset": "nothing"}, NotFound, "/preset"),
        ({"preset": "github", "account": "A B"}, InvalidField, "/account"),
        ({"preset": "github", "base_url": "https://x.example.org"}, InvalidField, "/base_url"),
        ({"preset": "gitlab"}, InvalidField, "/base_url"),
        ({"preset": "gitlab", "base_url": "https://gitlab.example"}, InvalidField, "/base_url"),
        ({"preset": "github", "fields": {"key": CANARY}}, InvalidField, "/fields/key"),
        ({"preset": "jira", "base_url": "https://a.example.org", "fields": {"username": "u"}},
         InvalidField, "/fields/password"),
        ({"preset": "github", "fields": {"token": "x"}}, InvalidField, "/fields/token"),
        ({"preset": "openai", "client_id": "us"}, InvalidField, "/client_id"),
        ({"preset": "github", "client_secret": CANARY}, InvalidField, "/client_id"),
        ({"preset": "github", "client_id": "us", "fields": {"token": CANARY}},
         InvalidField, "/client_id"),
        ({"preset": "github", "client_id": "us", "client_secret": "x"},
         InvalidField, "/client_secret"),
        ({"preset": "github", "fields": {"token": CANARY}, "grant_agents": ("agt_x",)},
         NotFound, "/grant_agents"),
    ],
)  # fmt: skip
async def test_bad_input_leaves_nothing_behind(
    place: World, fields: dict[str, Any], error: type[AssentryError], pointer: str
) -> None:
    with pytest.raises(error) as refused:
        await apply(place, **fields)
    assert refused.value.pointer == pointer
    assert CANARY not in refused.value.detail
    assert await counts(place) == (0, 0, 0)


async def test_a_name_that_is_taken_leaves_nothing_behind(place: World) -> None:
    await place.policy("github: blocked", "deny", {"action": "x"})
    with pytest.raises(NameTaken) as refused:
        await apply(place, "github", fields={"token": CANARY})
    assert (refused.value.pointer, "policy" in refused.value.detail) == ("/account", True)
    assert await counts(place) == (0, 0, 1)
    await apply(place, "github", account="b", fields={"token": CANARY})
    with pytest.raises(NameTaken):
        await apply(place, "github", account="b")


async def test_only_who_may_do_all_of_it_may(place: World) -> None:
    presets, wanted = place.services.presets, Wanted("github")
    with pytest.raises(MissingRole):
        await presets.apply(place.ben, wanted)
    for scope in (Scope.ADMIN, Scope.POLICY_WRITE):
        with pytest.raises((MissingScope, MissingRole)):
            await presets.apply(with_scopes(place.anne, scope), wanted)
    assert [one.name for one in presets.list(place.ben)][:2] == ["anthropic", "bluesky"]
    assert await counts(place) == (0, 0, 0)


@pytest.mark.requirement("GW-5")
async def test_the_guard_lets_reads_pass_at_its_target_alone(place: World) -> None:
    targets = place.services.targets
    await targets.create(place.anne, name="plain", base_url="https://a.example.org")
    await targets.create(place.anne, name="own", base_url="https://b.example.org", guard=True)
    assert (await place.call("GET", "/x", "own")).status is Status.APPROVED
    assert (await place.call("GET", "/x", "plain")).status is Status.PENDING
    assert (await place.call("POST", "/x", "own")).status is Status.PENDING
    assert (await place.call("DELETE", "/x", "own")).tags == ("destructive",)
    with pytest.raises(NameTaken):
        await targets.create(place.anne, name="own", base_url="https://b.example.org", guard=True)
    assert await counts(place) == (2, 0, 1)
