"""Discord's REST interface through discord.py, with every failure in our own words.

Each call is tried once and waits for no rate limit: a worker is never held, and whoever called
decides when to try again. Left to itself, discord.py sleeps through limits of any length and
repeats after errors for half a minute.
"""

import asyncio
import logging
import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import discord
from discord.http import HTTPClient, Ratelimit, Route

from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed
from integrations.discord.settings import DiscordSettings

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_NO_WAIT: Final = 1e-9
_SERVER_ERROR: Final = 500
_LIMITED: Final = 429
_REFUSED: Final = {
    400: "Discord does not take this message",
    401: "Discord refuses our bot token",
    403: "Discord does not let our bot do that there",
    404: "Discord knows no such user, channel or message",
}
_FINAL: Final = frozenset({400, 403, 404})
_LONGEST: Final = 86_400.0
_WORDY: Final = ("discord.client", "discord.http", "discord.state")
"""Parts of the library whose warnings name addresses with tokens, or what we do not use."""


class Refused(DeliveryFailed):
    """Discord answered with an error.

    :ivar answered: the HTTP status.
    :ivar code: Discord's own code; 0 when there is none.
    """

    def __init__(self, status: int, code: int, *, retry_after: float | None = None) -> None:
        """Say what it means."""
        words = _REFUSED.get(status, "Discord answered with an error")
        detail = f"{words} ({status}{f', code {code}' if code else ''})"
        super().__init__(detail, retry_after=retry_after, permanent=status in _FINAL)
        self.answered = status
        self.code = code


class Rest:
    """Calls Discord as our bot; logs in with the first call."""

    def __init__(self, settings: DiscordSettings) -> None:
        """Keep what a call needs; nothing is sent yet."""
        self._settings = settings
        self._login = asyncio.Lock()
        self._http: _Http | None = None

    async def call(
        self, method: str, path: str, body: JsonObject | None = None, **ids: str
    ) -> JsonValue:
        """Call once and return the answer.

        :param ids: what stands in for the names in the path; discord.py quotes it.
        :raises Refused: Discord answered with an error.
        :raises DeliveryFailed: it did not answer, or not in time, or not as documented.
        """
        sent: dict[str, Any] = {} if body is None else {"json": body}
        try:
            async with asyncio.timeout(self._settings.timeout):
                client = await self._client()
                return await client.request(Route(method, path, **ids), **sent)
        except Exception as error:  # noqa: BLE001 - on wrong JSON the library raises anything
            raise _failure(error) from None

    async def ask(
        self, method: str, path: str, body: JsonObject | None = None, **ids: str
    ) -> JsonObject:
        """Call once and return the object that is the answer.

        :raises DeliveryFailed: likewise, or the answer is no object.
        """
        answer = await self.call(method, path, body, **ids)
        if not isinstance(answer, dict):
            message = "Discord did not answer as documented"
            raise DeliveryFailed(message)
        return answer

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _client(self) -> "_Http":
        async with self._login:
            if self._http is None:
                made = _Http(self._settings.api_url)
                try:
                    await made.static_login(self._settings.token.get_secret_value())
                except BaseException:
                    await made.close()
                    raise
                self._http = made
            return self._http


class _Bucket(Ratelimit):
    """Refuses at once what is over the limit, with the time to wait."""

    __slots__ = ()

    async def acquire(self) -> None:
        """Take one of what is left."""
        self._last_request = now = asyncio.get_running_loop().time()
        if self.is_expired():
            self.reset()
        if self.remaining <= 0 and self.expires is not None:
            raise discord.RateLimited(self.expires - now)
        self.remaining -= 1
        self.outgoing += 1

    async def __aexit__(
        self,
        type: type[BaseException] | None,  # noqa: A002 - the library's name
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Sleep not, although the library does."""
        self.outgoing -= 1


class _Http(HTTPClient):
    """discord.py's client, at an address of our own, trying once."""

    def __init__(self, api_url: str) -> None:
        super().__init__(asyncio.get_running_loop())
        self.max_ratelimit_timeout = _NO_WAIT
        self._api_url = api_url
        for name in _WORDY:
            logging.getLogger(name).setLevel(logging.ERROR)

    def get_ratelimit(self, key: str) -> Ratelimit:
        """Return the bucket of a key."""
        if key not in self._buckets:
            self._buckets[key] = _Bucket(_NO_WAIT)
            self._try_clear_expired_ratelimits()
        return self._buckets[key]

    async def request(self, route: Route, **given: Any) -> Any:
        """Send one request."""
        route.url = self._api_url + route.url.removeprefix(Route.BASE)
        return await super().request(
            route, raise_for_status=_at_once, allow_redirects=False, **given
        )


async def _at_once(response: "ClientResponse") -> None:
    """Raise for what the library would repeat by itself.

    :raises DiscordServerError: the answer is an error of theirs.
    """
    if response.status >= _SERVER_ERROR:
        response.close()
        raise discord.DiscordServerError(response, None)


# --- failures ---


def _failure(error: Exception) -> DeliveryFailed:
    """Return the failure in our own words: theirs may hold anything, also our token (T62)."""
    if isinstance(error, DeliveryFailed):
        return error
    if isinstance(error, discord.RateLimited):
        return Refused(_LIMITED, 0, retry_after=_seconds(error.retry_after))
    if isinstance(error, discord.LoginFailure):
        return Refused(401, 0)
    if isinstance(error, discord.HTTPException):
        after = error.response.headers.get("Retry-After") if error.status == _LIMITED else None
        return Refused(error.status, error.code, retry_after=_seconds(after))
    if isinstance(error, TimeoutError):
        return DeliveryFailed("Discord did not answer in time")
    if isinstance(error, OSError):
        return DeliveryFailed("Discord cannot be reached")
    return DeliveryFailed(f"Discord could not be understood ({type(error).__name__})")


def _seconds(value: object) -> float | None:
    """Return the seconds that Discord asks to wait, if that is a number of them."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else None
