"""Sends parcels: one POST each, no redirects, bounded in time and in what is read.

A connection carries one parcel: on a kept one, the second answer of a receiver (or proxy) that
answers twice would be taken for the answer to the next parcel, which would be lost.
"""

import asyncio
import email.utils
from typing import Final

import httpx

from app.clock import SystemClock
from app.core.instant import SECOND, from_datetime
from app.core.ports import DeliveryFailed, Parcel
from integrations.transport import Lookup, system_lookup, transport
from integrations.webhooks.signing import headers

SECONDS: Final = 10.0
"""Longest that a receiver may take to answer."""

_GONE: Final = 410
_UNKNOWN_TOKEN: Final = (401, 403)
_OK: Final = range(200, 300)
_READ: Final = 65_536
_LONGEST_WAIT: Final = 86_400.0


class Sender:
    """The announcer over HTTP; a client for each set of networks that subscribers opted in to."""

    def __init__(
        self, clock: SystemClock, *, seconds: float = SECONDS, lookup: Lookup = system_lookup
    ) -> None:
        """Keep the clock that signatures and ``Retry-After`` are measured with."""
        self._clock = clock
        self._seconds = seconds
        self._lookup = lookup
        self._clients: dict[tuple[tuple[str, ...], bool], httpx.AsyncClient] = {}

    async def send(self, parcel: Parcel) -> int:
        """Send a parcel once and return the status of the answer.

        A runtime that does not know a new bearer token yet is shown the one before.

        :raises DeliveryFailed: no success; for 410 permanently.
        """
        try:
            async with asyncio.timeout(self._seconds * 2):
                answer = await self._post(parcel, parcel.secrets[0])
                for former in parcel.secrets[1:] if parcel.bearer else ():
                    if answer.status_code not in _UNKNOWN_TOKEN:
                        break
                    answer = await self._post(parcel, former)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise DeliveryFailed(_words(error)) from None
        if answer.status_code in _OK:
            return answer.status_code
        raise self._refusal(answer)

    async def _post(self, parcel: Parcel, token: str) -> httpx.Response:
        headers = self._headers(parcel, token)
        async with self._client(parcel).stream(
            "POST", parcel.url, content=parcel.body, headers=headers
        ) as answer:
            await _drain(answer)
        return answer

    def _headers(self, parcel: Parcel, bearer: str) -> dict[str, str]:
        given = {"content-type": "application/cloudevents+json", "user-agent": "Assentry",
                 "connection": "close"}  # fmt: skip
        if parcel.bearer:
            token = {"authorization": f"Bearer {bearer}"}
            return {**given, "content-type": "application/json", **token}
        return given | headers(parcel.id, self._clock.now(), parcel.body, parcel.secrets)

    def _refusal(self, answer: httpx.Response) -> DeliveryFailed:
        status = answer.status_code
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirections
            return DeliveryFailed(f"the receiver answered {status}; redirects are not followed")
        wait = self._wait(answer.headers.get("retry-after", ""))
        return DeliveryFailed(
            f"the receiver answered {status}", retry_after=wait, permanent=status == _GONE
        )

    def _wait(self, text: str) -> float | None:
        """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), at most a day."""
        if text.isdecimal():
            return min(float(text), _LONGEST_WAIT)
        try:
            at = from_datetime(email.utils.parsedate_to_datetime(text))
        except (TypeError, ValueError, OverflowError):
            return None
        return min(max((at - self._clock.now()) / SECOND, 0.0), _LONGEST_WAIT)

    def _client(self, parcel: Parcel) -> httpx.AsyncClient:
        """Return the client for a parcel; a bare secret in clear stays inside opened networks."""
        inside = parcel.bearer and not parcel.url.lower().startswith("https:")
        client = self._clients.get((parcel.networks, inside))
        if client is None:
            client = self._clients[parcel.networks, inside] = httpx.AsyncClient(
                transport=transport(parcel.networks, self._lookup, inside=inside),
                timeout=self._seconds, follow_redirects=False, trust_env=False,
            )  # fmt: skip
        return client

    async def close(self) -> None:
        """Let go of connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()


async def _drain(answer: httpx.Response) -> None:
    """Read a little of the answer, so that the receiver is not cut off in it; keep nothing."""
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > _READ:
            break


def _words(error: Exception) -> str:
    """Return what is said of a failure: our words, and the class alone of others' (T62)."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "the receiver did not answer in time"
    if "AddressRefused" in repr(error.__cause__) + repr(error.__context__) + repr(error):
        return "the address leads to a network that is not permitted"
    return f"the receiver could not be reached ({type(error).__name__})"
