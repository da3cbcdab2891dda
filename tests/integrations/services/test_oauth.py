"""Calls to token endpoints: bounded, never redirected, never to where they may not go."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from app.core.oauth import ClientAuth
from app.core.tokens import TokenCall, TokenRefused, TokenUnavailable, read_answer
from integrations.services.oauth import HttpTokens
from tests.support.oauth_provider import CLIENT, CLIENT_SECRET, Provider

pytestmark = pytest.mark.requirement("SVC-2")


@pytest.fixture
async def provider() -> AsyncGenerator[Provider, None]:
    async with Provider() as played:
        yield played


def call(provider: Provider) -> TokenCall:
    form = {"grant_type": "client_credentials"}
    auth, networks = ClientAuth.BODY, ("127.0.0.0/8",)
    return TokenCall(f"{provider.url}/token", form, CLIENT, CLIENT_SECRET, auth, networks)


async def test_tokens_come(provider: Provider) -> None:
    found = await HttpTokens().ask(call(provider))
    assert found.access_token.startswith("at-")
    assert found.expires_in == 3600
    assert found.access_token not in repr(found)
    assert CLIENT_SECRET not in repr(call(provider))


@pytest.mark.requirement("T49")
async def test_private_addresses_need_leave(provider: Provider) -> None:
    for networks in ((), ("10.0.0.0/8",)):
        with pytest.raises(TokenUnavailable) as refused:
            await HttpTokens().ask(replace(call(provider), networks=networks))
        assert "not permitted" in refused.value.detail
    assert not provider.calls


@pytest.mark.requirement("T49")
async def test_a_name_with_one_bad_address_is_not_called(provider: Provider) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1", "169.254.169.254"]

    named = replace(call(provider), url=provider.url.replace("127.0.0.1", "id.test") + "/token")
    with pytest.raises(TokenUnavailable):
        await HttpTokens(lookup=lookup).ask(named)
    assert not provider.calls


@pytest.mark.requirement("T49", "T62")
async def test_secrets_in_clear_do_not_leave_private_networks(provider: Provider) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34"]

    named = replace(call(provider), url="http://id.test/token")
    with pytest.raises(TokenUnavailable) as refused:
        await HttpTokens(lookup=lookup).ask(named)
    assert "not permitted" in refused.value.detail


@pytest.mark.parametrize("fault", ["500", "garbage", "huge", "redirect", "server_error"])
async def test_trouble_is_no_refusal(provider: Provider, fault: str) -> None:
    provider.faults = [fault]
    with pytest.raises(TokenUnavailable):
        await HttpTokens().ask(call(provider))
    assert provider.calls.total() == 1  # a redirect is not followed


async def test_who_hangs_or_is_not_there_is_given_up(provider: Provider) -> None:
    provider.faults = ["hang"]
    with pytest.raises(TokenUnavailable) as late:
        await HttpTokens(seconds=0.2).ask(call(provider))
    assert "in time" in late.value.detail
    with pytest.raises(TokenUnavailable):
        await HttpTokens().ask(replace(call(provider), url="http://127.0.0.1:1/token"))


async def test_a_definite_no(provider: Provider) -> None:
    provider.faults = ["invalid_grant"]
    with pytest.raises(TokenRefused) as refused:
        await HttpTokens().ask(call(provider))
    assert refused.value.code == "invalid_grant"
    with pytest.raises(TokenRefused) as refused:
        await HttpTokens().ask(replace(call(provider), client_secret="a-wrong-one"))
    assert refused.value.code == "invalid_client"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b'{"error":"bad_refresh_token"}', TokenRefused), (401, b"", TokenRefused),
        (400, b"<html>", TokenUnavailable), (200, b"[]", TokenUnavailable),
        (200, b'{"error":{"code":1}}', TokenUnavailable),
        (200, b'{"access_token":"abc"}', TokenUnavailable),
        (200, b'{"access_token":"abc def ghi"}', TokenUnavailable),
        (200, b'{"access_token":"abcdefgh","token_type":"mac"}', TokenUnavailable),
        (200, b'{"access_token":"abcdefgh","refresh_token":1}', TokenUnavailable),
        (503, b'{"error":"<b>invalid_grant</b>"}', TokenUnavailable),
        (400, b'{"error":"invalid_request"}', TokenUnavailable),
    ],
)  # fmt: skip
def test_answers_are_read_with_care(status: int, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        read_answer(status, body)
    assert "<" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3600", 3600), ('"3600"', 3600), ("0", None), ("-1", None), ("true", None), ("null", None),
     ('"soon"', None), ("1e300", 366 * 86_400), ("59.9", 59)],
)  # fmt: skip
def test_lives_are_believed_within_reason(said: str, seconds: int | None) -> None:
    body = f'{{"access_token":"abcdefgh","expires_in":{said},"scope":"a,b  c a"}}'
    found = read_answer(200, body.encode())
    assert found.expires_in == seconds
    assert found.scopes == ("a", "b", "c")
