"""Connecting: one state, one session, one use; nothing of before stays, and nothing leaks."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.core.connections import ConnectionState
from app.core.errors import (
    InvalidField,
    MissingRole,
    MissingScope,
    NameTaken,
    NotFound,
)
from app.core.oauth import OAuthClient, OAuthEndpoints, OAuthKind, challenge
from app.core.principals import Caller, Session
from app.services.connections import CameBack, ConnectFailed, Connections
from tests.support.canary import CANARY
from tests.support.oauth_provider import CLIENT, Provider
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("SVC-2")


@dataclass
class Place:
    world: World
    provider: Provider
    clock: FakeClock
    anne: Caller

    @property
    def connections(self) -> Connections:
        return self.world.services.connections

    def client(self, **changes: Any) -> OAuthClient:
        urls = OAuthEndpoints(
            authorize_url=f"{self.provider.url}/authorize?prompt=consent&state=theirs",
            token_url=f"{self.provider.url}/token", scopes=("read", "write"),
            revoke_url=f"{self.provider.url}/revoke",
        )  # fmt: skip
        networks = ("127.0.0.0/8",)
        return OAuthClient(OAuthKind.OAUTH2, CLIENT, replace(urls, **changes), networks)

    async def made(self, name: str = "mail", **changes: Any) -> str:
        client = self.client(**changes)
        made = await self.connections.create(self.anne, name, client, self.provider.secret)
        return made.credential_id

    async def asked(self, credential_id: str) -> dict[str, str]:
        begun = await self.connections.start(self.anne, credential_id)
        assert begun.host == urlsplit(self.provider.url).netloc
        return dict(parse_qsl(urlsplit(begun.url).query))

    def consented(self, query: dict[str, str]) -> CameBack:
        back = dict(parse_qsl(urlsplit(self.provider.consent(query)).query))
        return CameBack(back["state"], back["code"])


def session(person: Caller, name: str) -> Caller:
    assert person.person is not None
    made = Session(name * 64, person.person.id, "form", 0, 0, 0, "", "")  # pyright: ignore[reportArgumentType]
    return replace(person, session=made)


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[Place, None]:
    clock = FakeClock()
    async with Provider() as provider, world(database_url, tmp_path, clock=clock) as opened:
        yield Place(opened, provider, clock, session(opened.anne, "a"))


async def test_what_is_asked_at_the_page_of_consent(place: Place) -> None:
    made = await place.made(extra={"access_type": "offline"})
    query = await place.asked(made)
    verifier = query.pop("code_challenge")
    state = query.pop("state")
    assert query == {
        "prompt": "consent", "response_type": "code", "client_id": CLIENT,
        "redirect_uri": "http://127.0.0.1:8700/connect/callback", "access_type": "offline",
        "scope": "read write", "code_challenge_method": "S256",
    }  # fmt: skip
    assert state != "theirs"
    assert min(len(state), len(verifier)) >= 43
    again = await place.asked(made)
    assert again["state"] != state
    assert again["code_challenge"] != verifier


@pytest.mark.requirement("T62")
async def test_connected_and_nothing_is_said_aloud(place: Place) -> None:
    made = await place.made()
    came = place.consented(await place.asked(made))
    done = await place.connections.finish(place.anne, came)
    assert (done.state, done.granted) == (ConnectionState.CONNECTED, ("read", "write"))
    form = place.provider.forms[0]
    assert challenge(form["code_verifier"])
    shown = [
        done, came, await place.connections.list(place.anne),
        await place.world.services.vault.list(place.anne),
        await place.world.services.audit.page(place.anne),
    ]  # fmt: skip
    token = await place.connections.tokens.access(made)
    for secret in (CANARY, token, form["code_verifier"], came.code, came.state):
        assert secret not in repr(shown)


@pytest.mark.requirement("T13")
async def test_a_state_is_of_one_session_and_one_use(place: Place) -> None:
    made = await place.made()
    came = place.consented(await place.asked(made))
    for stranger in (
        session(place.world.anne, "b"), place.world.anne, session(place.world.ben, "a"),
    ):  # fmt: skip
        with pytest.raises((ConnectFailed, MissingRole)):
            await place.connections.expected(stranger, came.state)
    assert (await place.connections.expected(place.anne, came.state)).name == "mail"
    with pytest.raises(ConnectFailed):
        await place.connections.finish(session(place.world.anne, "b"), came)
    with pytest.raises(ConnectFailed):  # a stranger's try used it up
        await place.connections.finish(place.anne, came)
    came = place.consented(await place.asked(made))
    await place.connections.finish(place.anne, came)
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, came)
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, CameBack("guessed", "code"))
    assert place.provider.calls["authorization_code"] == 1


async def test_a_consent_ends_after_ten_minutes(place: Place) -> None:
    made = await place.made()
    came = place.consented(await place.asked(made))
    place.clock.move(601)
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, came)
    assert not place.provider.calls


async def test_a_key_begins_and_the_person_s_browser_finishes(place: Place) -> None:
    made = await place.made()
    begun = await place.connections.start(place.world.anne, made)
    came = place.consented(dict(parse_qsl(urlsplit(begun.url).query)))
    assert (await place.connections.finish(place.anne, came)).state is ConnectionState.CONNECTED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://evil.example.org"}, "another issuer"),
        ({"error": "access_denied", "code": ""}, "access_denied"),
        ({"error": "<script>", "code": ""}, "no code"),
        ({"code": ""}, "no code"), ({"code": "wrong"}, "invalid_grant"),
        ({"code": "a\x00b"}, "no code"),
    ],
)  # fmt: skip
async def test_bad_answers_connect_nothing(
    place: Place, changes: dict[str, str], said: str
) -> None:
    made = await place.made(issuer="https://id.example.org")
    came = place.consented(await place.asked(made))
    with pytest.raises(ConnectFailed) as refused:
        await place.connections.finish(place.anne, replace(came, **changes))
    assert said in refused.value.detail
    assert "<" not in refused.value.detail
    assert (await place.connections.get(place.anne, made)).state is ConnectionState.NEW


async def test_a_code_of_another_verifier_is_refused_by_the_service(place: Place) -> None:
    made = await place.made()
    first, second = await place.asked(made), await place.asked(made)
    mixed = place.consented({**first, "state": second["state"]})
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, mixed)


async def test_the_right_issuer_passes(place: Place) -> None:
    made = await place.made(issuer="https://id.example.org")
    came = place.consented(await place.asked(made))
    done = await place.connections.finish(
        place.anne, replace(came, issuer="https://id.example.org")
    )
    assert done.state is ConnectionState.CONNECTED


async def test_a_blip_at_the_exchange_is_told(place: Place) -> None:
    made = await place.made()
    came = place.consented(await place.asked(made))
    place.provider.faults = ["500"]
    with pytest.raises(ConnectFailed) as refused:
        await place.connections.finish(place.anne, came)
    assert "500" in refused.value.detail


async def test_disconnecting_gives_the_tokens_back(place: Place) -> None:
    made = await place.made()
    await place.connections.finish(place.anne, place.consented(await place.asked(made)))
    pending = place.consented(await place.asked(made))
    assert await place.connections.disconnect(place.anne, made)
    assert place.provider.revoked == ["refresh_token", "access_token"]
    now = await place.connections.get(place.anne, made)
    assert (now.state, now.expires_at, now.granted) == (ConnectionState.NEW, None, None)
    credential = await place.world.services.vault.get(place.anne, made)
    assert credential.fields == ("client_secret",)
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, pending)
    assert not await place.connections.disconnect(place.anne, made)


async def test_disconnecting_forgets_also_where_the_service_takes_nothing_back(
    place: Place,
) -> None:
    gone = await place.made(revoke_url="http://127.0.0.1:1/revoke")
    without = await place.made("other", revoke_url="")
    for made in (gone, without):
        await place.connections.finish(place.anne, place.consented(await place.asked(made)))
        assert not await place.connections.disconnect(place.anne, made)
        assert (await place.connections.get(place.anne, made)).state is ConnectionState.NEW


async def test_replacing_drops_what_was_connected(place: Place) -> None:
    made = await place.made()
    await place.connections.finish(place.anne, place.consented(await place.asked(made)))
    pending = place.consented(await place.asked(made))
    after = await place.connections.replace(
        place.anne, made, place.client(scopes=("read",)), place.provider.secret
    )
    assert (after.state, after.expires_at) == (ConnectionState.NEW, None)
    with pytest.raises(ConnectFailed):
        await place.connections.finish(place.anne, pending)
    done = await place.connections.finish(place.anne, place.consented(await place.asked(made)))
    assert done.granted == ("read",)
    other = OAuthClient(OAuthKind.CLIENT_CREDENTIALS, CLIENT, OAuthEndpoints("", "https://a.b/t"))
    with pytest.raises(InvalidField) as refused:
        await place.connections.replace(place.anne, made, other, CANARY)
    assert refused.value.pointer == "/kind"


async def test_several_accounts_of_a_service_stand_apart(place: Place) -> None:
    tokens = place.connections.tokens
    for name in ("mail", "mail.acme"):
        made = await place.made(name)
        place.provider.account = name
        await place.connections.finish(place.anne, place.consented(await place.asked(made)))
        await place.world.services.targets.create(
            place.anne, name=name, base_url="https://api.example.org", credential_id=made
        )
    listed = await place.connections.list(place.anne)
    assert [(item.connection.name, item.targets) for item in listed] == [
        ("mail", ("mail",)), ("mail.acme", ("mail.acme",)),
    ]  # fmt: skip
    found = {await tokens.access(item.connection.credential_id) for item in listed}
    assert len(found) == 2
    with pytest.raises(NameTaken):
        await place.made("mail")


async def test_the_vault_leaves_them_to_the_connections(place: Place) -> None:
    made = await place.made()
    vault = place.world.services.vault
    with pytest.raises(InvalidField) as refused:
        await vault.update(place.anne, made, fields={"access_token": CANARY})
    assert refused.value.pointer == "/fields"
    await vault.update(place.anne, made, name="renamed")
    assert (await place.connections.get(place.anne, made)).name == "renamed"
    with pytest.raises(InvalidField):
        await vault.create(place.anne, name="x", kind="oauth2", fields={"access_token": CANARY})
    await vault.delete(place.anne, made)
    with pytest.raises(NotFound):
        await place.connections.get(place.anne, made)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"token_url": "http://id.example.org/t"}, None),
        ({"token_url": "ftp://id.example.org/t"}, "/token_url"),
        ({"token_url": "https://user@id.example.org/t"}, "/token_url"),
        ({"token_url": "https://id.example.org/t#x"}, "/token_url"),
        ({"token_url": ""}, "/token_url"), ({"authorize_url": ""}, "/authorize_url"),
        ({"authorize_url": "javascript:alert(1)"}, "/authorize_url"),
        ({"revoke_url": "file:///etc/passwd"}, "/revoke_url"),
        ({"scopes": ("a b",)}, "/scopes"), ({"scopes": ('"',)}, "/scopes"),
        ({"extra": {"state": "x"}}, "/extra"), ({"extra": {"a": "\n"}}, "/extra"),
        ({"issuer": "\n"}, "/issuer"),
    ],
)  # fmt: skip
async def test_clients_are_checked(
    place: Place, changes: dict[str, Any], pointer: str | None
) -> None:
    if pointer is None:
        await place.made(**changes)  # http, as private networks are named
        outside = replace(place.client(**changes), networks=())
        with pytest.raises(InvalidField):
            await place.connections.create(place.anne, "out", outside, CANARY)
        return
    with pytest.raises(InvalidField) as refused:
        await place.made(**changes)
    assert refused.value.pointer == pointer


async def test_secrets_are_checked_and_not_repeated(place: Place) -> None:
    for secret in ("tiny", "new\nline-canary-9f1d"):
        with pytest.raises(InvalidField) as refused:
            await place.connections.create(place.anne, "x", place.client(), secret)
        assert refused.value.pointer == "/client_secret"
        assert secret not in refused.value.detail
    public = await place.connections.create(place.anne, "public", place.client(), "")
    assert public.state is ConnectionState.NEW
    for bad in ("Big", "", "a/b"):
        with pytest.raises(InvalidField):
            await place.made(bad)


@pytest.mark.requirement("T23")
async def test_who_may_do_what(place: Place) -> None:
    made = await place.made()
    people = place.world.services.people
    olga = next(one for one in await people.list(place.anne) if one.name == "Olga")
    services = place.world.services
    operator = replace(
        place.anne, person=olga, actor=olga.actor,
        scopes=place.anne.scopes - {next(s for s in place.anne.scopes if s == "admin")},
    )  # fmt: skip
    assert await place.connections.list(operator)
    assert (await place.connections.start(operator, made)).url
    await place.connections.disconnect(operator, made)
    with pytest.raises(MissingRole):
        await place.connections.create(operator, "x", place.client(), CANARY)
    for attempt in (
        place.connections.list, lambda who: place.connections.start(who, made),
        lambda who: place.connections.disconnect(who, made),
        lambda who: place.connections.expected(who, "state"),
    ):  # fmt: skip
        with pytest.raises(MissingRole):
            await attempt(place.world.ben)
        with pytest.raises(MissingScope):
            await attempt(place.world.robot)
    assert await services.connections.broken(place.world.ben) == []
