"""Connections against other people's Google and GitHub, so that not only ours are believed."""

import re
from html import unescape
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest

from app.core.connections import Connection, ConnectionState
from app.core.oauth import OAuthClient, OAuthEndpoints, OAuthKind
from app.services.connections import CameBack
from tests.support.emulate import emulated
from tests.support.world import FakeClock, World, world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requirement("SVC-2"),
    pytest.mark.timeout(360),
]
PATHS: Final = {
    "google": ("/o/oauth2/v2/auth", "/oauth2/token", "/oauth2/revoke", "/oauth2/v2/userinfo"),
    "github": ("/login/oauth/authorize", "/login/oauth/access_token", "", "/user"),
}
"""Page of consent, token address, revocation address, and what a token reads."""


async def consent(page: str) -> CameBack:
    """Choose the first account on a page of consent, and return what it sends back with."""
    async with httpx.AsyncClient() as browser:
        shown = await browser.get(page)
        found = re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', shown.text, re.DOTALL)
        assert found, shown.text[-2000:]
        fields = re.findall(r'name="([^"]+)"\s+value="([^"]*)"', found[2])
        form = {name: unescape(value) for name, value in fields}
        sent = await browser.post(urljoin(page, unescape(found[1])), data=form)
    back = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    return CameBack(back["state"], back["code"])


async def connected(place: World, address: str, service: str) -> Connection:
    authorize, token, revoke, _ = PATHS[service]
    urls = OAuthEndpoints(
        address + authorize, address + token, ("openid", "email"),
        revoke_url=address + revoke if revoke else "",
    )  # fmt: skip
    client = OAuthClient(OAuthKind.OAUTH2, "client", urls, ("127.0.0.0/8",))
    connections = place.services.connections
    made = await connections.create(place.anne, service, client, "a-client-secret")
    begun = await connections.start(place.anne, made.credential_id)
    return await connections.finish(place.anne, await consent(begun.url))


@pytest.mark.parametrize("service", list(PATHS))
async def test_connect_use_renew_and_disconnect(service: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with emulated(service) as address:
        async with world(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, clock=clock) as place:
            made = await connected(place, address, service)
            tokens = place.services.vault.tokens
            first = await tokens.access(made.credential_id)
            headers = {"authorization": f"Bearer {first}"}
            async with httpx.AsyncClient(base_url=address, headers=headers) as client:
                assert (await client.get(PATHS[service][3])).status_code == 200
            clock.move(3590)
            second = await tokens.access(made.credential_id)
            assert (second != first) is (service == "google")  # the other's tokens never end
            now = await place.services.connections.get(place.anne, made.credential_id)
            assert (now.state, now.last_error) == (ConnectionState.CONNECTED, "")
            gone = await place.services.connections.disconnect(place.anne, made.credential_id)
            assert gone is (service == "google")
