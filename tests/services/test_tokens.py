"""Tokens: one refresh for all who wait, rotation kept, blips survived, a definite no told."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.core.connections import LEASE, Connection, ConnectionState
from app.core.oauth import ClientAuth, OAuthClient, OAuthEndpoints, OAuthKind
from app.core.outcome import NotStarted
from app.core.principals import Caller
from app.factory import services
from app.services.bundle import Services
from app.services.connections import CameBack
from app.services.tokens import Tokens
from integrations.services.oauth import HttpTokens
from tests.support.oauth_provider import CLIENT, Provider
from tests.support.world import FakeClock, World, settings_for, world

pytestmark = pytest.mark.requirement("SVC-2", "GW-3")
LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Place:
    """An installation, a provider, and a clock to move."""

    world: World
    provider: Provider
    clock: FakeClock
    folder: Path
    database_url: str

    @property
    def services(self) -> Services:
        return self.world.services

    @property
    def tokens(self) -> Tokens:
        return self.services.vault.tokens

    @property
    def anne(self) -> Caller:
        return self.world.anne

    def client(self, kind: OAuthKind = OAuthKind.OAUTH2, **changes: Any) -> OAuthClient:
        asks = kind is OAuthKind.OAUTH2
        urls = OAuthEndpoints(
            authorize_url=f"{self.provider.url}/authorize" if asks else "",
            token_url=f"{self.provider.url}/token", scopes=("read", "write"),
            revoke_url=f"{self.provider.url}/revoke",
        )  # fmt: skip
        return OAuthClient(kind, CLIENT, replace(urls, **changes), LOOPBACK)

    async def made(
        self, kind: OAuthKind = OAuthKind.OAUTH2, name: str = "mail", **changes: Any
    ) -> Connection:
        return await self.services.connections.create(
            self.anne, name, self.client(kind, **changes), self.provider.secret
        )

    async def connected(self, name: str = "mail", **changes: Any) -> Connection:
        made = await self.made(name=name, **changes)
        return await self.consent(made.credential_id)

    async def consent(self, credential_id: str) -> Connection:
        connections = self.services.connections
        begun = await connections.start(self.anne, credential_id)
        back = self.provider.consent(dict(parse_qsl(urlsplit(begun.url).query)))
        query = dict(parse_qsl(urlsplit(back).query))
        return await connections.finish(self.anne, CameBack(query["state"], query["code"]))

    async def now(self, credential_id: str) -> Connection:
        return await self.services.connections.get(self.anne, credential_id)

    async def events(self, event: str) -> int:
        return len(await self.services.audit.page(self.anne, event=event))


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[Place, None]:
    clock = FakeClock()
    async with Provider() as provider, world(database_url, tmp_path, clock=clock) as opened:
        yield Place(opened, provider, clock, tmp_path, database_url)


async def test_a_live_token_is_used_as_it_is(place: Place) -> None:
    made = await place.connected()
    assert made.state is ConnectionState.CONNECTED
    first = await place.tokens.access(made.credential_id)
    assert first == await place.tokens.access(made.credential_id)
    assert place.provider.calls == {"authorization_code": 1}
    injection = await place.tokens.injection(made.credential_id)
    assert injection.headers == (("authorization", f"Bearer {first}"),)
    assert len(injection.secrets) == 3  # access, refresh and the client's
    assert first not in repr(injection)


@pytest.mark.requirement("T61")
async def test_twenty_callers_in_two_processes_bring_one_refresh(place: Place) -> None:
    made = await place.connected()
    first = await place.tokens.access(made.credential_id)
    place.clock.move(3590)
    settings = settings_for(place.database_url, place.folder)
    async with services(settings, clock=place.clock, parts=()) as other:
        both = [place.tokens, other.vault.tokens] * 10
        place.provider.slow = True
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(tokens.access(made.credential_id)) for tokens in both]
            await place.provider.until(lambda: place.provider.calls["refresh_token"] == 1)
            place.provider.release()
    found = {task.result() for task in asked}
    assert len(found) == 1
    assert first not in found
    assert place.provider.calls["refresh_token"] == 1
    assert await place.events("connection.refreshed") == 1


async def test_rotated_refresh_tokens_are_kept(place: Place) -> None:
    made = await place.connected()
    for _ in range(3):
        place.clock.move(3590)
        await place.tokens.access(made.credential_id)
    sent = [form["refresh_token"] for form in place.provider.forms if "refresh_token" in form]
    assert len(set(sent)) == 3
    assert place.provider.reused == 0
    place.provider.rotates = False
    for _ in range(2):
        place.clock.move(3590)
        await place.tokens.access(made.credential_id)
    sent = [form["refresh_token"] for form in place.provider.forms if "refresh_token" in form]
    assert sent[-1] == sent[-2]


@pytest.mark.parametrize("fault", ["500", "garbage", "huge", "redirect", "temporarily_unavailable"])
async def test_a_blip_never_disconnects(place: Place, fault: str) -> None:
    made = await place.connected()
    place.clock.move(3600)
    place.provider.faults = [fault]
    with pytest.raises(NotStarted) as refused:
        await place.tokens.access(made.credential_id)
    assert (refused.value.code, refused.value.retryable) == ("token_unavailable", True)
    now = await place.now(made.credential_id)
    assert now.state is ConnectionState.CONNECTED
    assert now.last_error.startswith("the service answered")
    assert now.failing_since == now.error_at == place.clock.now()
    with pytest.raises(NotStarted):  # asked a moment later: the service is left in peace
        await place.tokens.access(made.credential_id)
    assert place.provider.calls["refresh_token"] == 1
    place.clock.move(6)
    assert await place.tokens.access(made.credential_id)
    now = await place.now(made.credential_id)
    assert (now.last_error, now.failing_since) == ("", None)
    assert place.provider.calls["refresh_token"] == 2


async def test_a_blip_within_the_margin_does_not_even_fail_the_call(place: Place) -> None:
    made = await place.connected()
    first = await place.tokens.access(made.credential_id)
    place.clock.move(3550)
    place.provider.faults = ["500"]
    assert await place.tokens.access(made.credential_id) == first
    assert (await place.now(made.credential_id)).last_error


async def test_a_service_that_hangs_is_given_up(place: Place) -> None:
    tokens = replace(place.tokens, endpoint=HttpTokens(seconds=0.2))
    made = await place.connected()
    place.clock.move(3600)
    place.provider.faults = ["hang"]
    with pytest.raises(NotStarted) as refused:
        await tokens.access(made.credential_id)
    assert refused.value.retryable
    now = await place.now(made.credential_id)
    assert now.last_error == "the service did not answer in time"
    assert now.state is ConnectionState.CONNECTED


async def test_a_definite_no_is_told_and_reconnecting_heals(place: Place) -> None:
    made = await place.connected()
    place.provider.end()
    place.clock.move(3600)
    for _ in range(2):
        with pytest.raises(NotStarted) as refused:
            await place.tokens.access(made.credential_id)
        assert (refused.value.code, refused.value.retryable) == ("needs_reconnect", False)
        place.clock.move(60)
    assert place.provider.calls["refresh_token"] == 1
    now = await place.now(made.credential_id)
    assert (now.state, now.last_error) == (
        ConnectionState.RECONNECT, "the service refused: invalid_grant",
    )  # fmt: skip
    assert await place.events("connection.broken") == 1
    assert await place.services.connections.broken(place.anne) == ["mail"]
    healed = await place.consent(made.credential_id)
    assert (healed.state, healed.last_error) == (ConnectionState.CONNECTED, "")
    assert await place.tokens.access(made.credential_id)
    assert await place.services.connections.broken(place.anne) == []


async def test_without_a_refresh_token_the_end_is_told(place: Place) -> None:
    made = await place.connected()

    def forget(tx: Any) -> None:
        held = place.tokens.opened(tx, made.credential_id, lock=True)
        kept = {name: text for name, text in held.secrets.items() if name != "refresh_token"}
        place.tokens.write(tx, replace(held.connection, version=9), kept)

    await place.services.store.write(forget)
    assert await place.tokens.access(made.credential_id)
    place.clock.move(3600)
    with pytest.raises(NotStarted) as refused:
        await place.tokens.access(made.credential_id)
    assert refused.value.code == "needs_reconnect"
    assert place.provider.calls["refresh_token"] == 0


async def test_a_token_without_an_end_is_renewed_by_and_by(place: Place) -> None:
    place.provider.expires_in = None
    made = await place.connected()
    first = await place.tokens.access(made.credential_id)
    place.clock.move(3600)
    assert await place.tokens.access(made.credential_id) != first


async def test_a_refused_token_is_replaced_by_the_next_call(place: Place) -> None:
    made = await place.connected()
    first = await place.tokens.access(made.credential_id)
    await place.tokens.rejected(made.credential_id, place.clock.now())
    assert await place.tokens.access(made.credential_id) == first  # it is too young to be blamed
    place.clock.move(60)
    began = place.clock.now()
    await place.tokens.rejected(made.credential_id, began)
    second = await place.tokens.access(made.credential_id)
    assert second != first
    await place.tokens.rejected(made.credential_id, began)  # said by a call of before
    assert await place.tokens.access(made.credential_id) == second
    await place.tokens.rejected("crd_none", began)


@pytest.mark.parametrize("auth", list(ClientAuth))
async def test_client_credentials_need_nobody(place: Place, auth: ClientAuth) -> None:
    place.provider.client_auth = auth.value
    made = await place.made(
        OAuthKind.CLIENT_CREDENTIALS, client_auth=auth, extra={"audience": "https://api.example"}
    )
    first = await place.tokens.access(made.credential_id)
    assert place.provider.forms[0]["audience"] == "https://api.example"
    assert place.provider.forms[0]["scope"] == "read write"
    place.clock.move(3590)
    assert await place.tokens.access(made.credential_id) != first
    assert place.provider.calls == {"client_credentials": 2}


async def test_a_wrong_client_secret_is_told_and_a_new_one_heals(place: Place) -> None:
    made = await place.made(OAuthKind.CLIENT_CREDENTIALS)
    place.provider.secret = "another-canary-of-this-test"
    with pytest.raises(NotStarted) as refused:
        await place.tokens.access(made.credential_id)
    assert refused.value.code == "needs_reconnect"
    client = place.client(OAuthKind.CLIENT_CREDENTIALS)
    await place.services.connections.replace(
        place.anne, made.credential_id, client, place.provider.secret
    )
    assert await place.tokens.access(made.credential_id)


async def test_who_goes_away_does_not_lose_the_token(place: Place) -> None:
    made = await place.connected()
    place.clock.move(3590)
    place.provider.slow = True
    async with asyncio.TaskGroup() as group:
        caller = group.create_task(place.tokens.access(made.credential_id))
        await place.provider.until(lambda: place.provider.calls["refresh_token"] == 1)
        caller.cancel()
    place.provider.release()
    assert await place.tokens.access(made.credential_id)
    assert place.provider.calls["refresh_token"] == 1
    assert place.provider.reused == 0


async def test_a_lost_process_holds_up_the_others_for_its_lease_alone(place: Place) -> None:
    made = await place.connected()
    place.clock.move(3590)
    claimed = await place.services.store.write(
        lambda tx: place.tokens._claim(tx, made.credential_id)
    )
    assert claimed is not None  # and its process dies now
    again = await place.services.store.write(lambda tx: place.tokens._claim(tx, made.credential_id))
    assert again == place.clock.now() + LEASE * 1_000_000
    place.clock.move(LEASE)
    assert await place.tokens.access(made.credential_id)
    assert place.provider.calls["refresh_token"] == 1
    await place.tokens._ask(claimed)  # pyright: ignore[reportArgumentType]
    assert (await place.now(made.credential_id)).state is ConnectionState.CONNECTED


async def test_not_connected_yet(place: Place) -> None:
    made = await place.made()
    with pytest.raises(NotStarted) as refused:
        await place.tokens.access(made.credential_id)
    assert (refused.value.code, refused.value.retryable) == ("needs_reconnect", False)
    assert not place.provider.calls


@pytest.mark.requirement("T61")
async def test_the_master_key_rotates_over_tokens_as_well(place: Place) -> None:
    made = await place.connected()
    stored = await place.services.store.read(
        lambda tx: {field.name for field in tx.vault.sealed_with_other("", 10)}
    )
    assert stored == {"client_secret", "access_token", "refresh_token"}
    secrets = await place.services.store.read(lambda tx: tx.connections.secrets(made.credential_id))
    token = await place.tokens.access(made.credential_id)
    assert all(token.encode() not in sealed for sealed in secrets.values())
