"""Token endpoints over HTTP: one POST each, no redirects, bounded in time and size (T49, T62).

A connection carries one call. Nothing of an answer but tokens and a code of an error is passed on:
descriptions are the service's text, and may repeat what it was sent.
"""

import asyncio
import base64
from typing import Final
from urllib.parse import quote_plus

import httpx

from app.core.oauth import ClientAuth
from app.core.tokens import TokenCall, TokenSet, TokenUnavailable, read_answer
from integrations.transport import Lookup, system_lookup, transport

SECONDS: Final = 12.0
"""Longest that a call takes from resolving to the last byte; well below the lease."""

MAX_ANSWER: Final = 65_536
"""Most bytes of an answer."""

_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


class HttpTokens:
    """The token endpoints of all services."""

    def __init__(self, *, seconds: float = SECONDS, lookup: Lookup = system_lookup) -> None:
        """Keep the time that a call may take."""
        self._seconds = seconds
        self._lookup = lookup

    async def ask(self, call: TokenCall) -> TokenSet:
        """Return the tokens that a service gave.

        :raises TokenRefused: it said definitely no.
        :raises TokenUnavailable: no token came, for any other reason.
        """
        status, body = await self._post(call)
        return read_answer(status, body)

    async def revoke(self, call: TokenCall) -> None:
        """Give a token back (RFC 7009).

        :raises TokenUnavailable: the service did not say that it took it.
        """
        status, _ = await self._post(call)
        if status not in _OK:
            raise TokenUnavailable(f"the service answered {status}")

    async def _post(self, call: TokenCall) -> tuple[int, bytes]:
        form, headers = _shown(call)
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client(call) as client,
                client.stream("POST", call.url, data=form, headers=headers) as answer,
            ):
                if answer.status_code in _REDIRECT:
                    words = f"the service answered {answer.status_code}; redirects are not followed"
                    raise TokenUnavailable(words)
                return answer.status_code, await _read(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise TokenUnavailable(_words(error)) from None

    def _client(self, call: TokenCall) -> httpx.AsyncClient:
        """Return a client for one call; secrets in clear stay inside of opened networks."""
        inside = not call.url.lower().startswith("https:")
        return httpx.AsyncClient(
            transport=transport(call.networks, self._lookup, inside=inside),
            timeout=self._seconds, follow_redirects=False, trust_env=False,
        )  # fmt: skip

    async def close(self) -> None:
        """Let go of nothing: each call closes its own connection."""


def _shown(call: TokenCall) -> tuple[dict[str, str], dict[str, str]]:
    """Return form and headers with the client's proof of itself (RFC 6749 section 2.3.1)."""
    form, headers = dict(call.form), {
        "accept": "application/json", "accept-encoding": "identity", "user-agent": "Assentry",
        "connection": "close",
    }  # fmt: skip
    if call.client_auth is ClientAuth.BASIC and call.client_secret:
        pair = f"{quote_plus(call.client_id)}:{quote_plus(call.client_secret)}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form["client_id"] = call.client_id
        if call.client_secret:
            form["client_secret"] = call.client_secret
    return form, headers


async def _read(answer: httpx.Response) -> bytes:
    """Return the body as it came; a packed one is not unpacked and so is no JSON."""
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise TokenUnavailable(f"the service answered with more than {MAX_ANSWER} bytes")
    return bytes(body)


def _words(error: Exception) -> str:
    """Return what is said of a failure: our words, and the class alone of others' (T62)."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "the service did not answer in time"
    if "AddressRefused" in repr(error.__cause__) + repr(error.__context__) + repr(error):
        return "the address leads to a network that is not permitted"
    return f"the service could not be reached ({type(error).__name__})"
