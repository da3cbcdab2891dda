"""Posts to an application's interactions URL, signed as Discord does, or not quite."""

from dataclasses import dataclass, field
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.clock import SystemClock
from tests.support.discord_world import Delivery

SIGNATURE: Final = "X-Signature-Ed25519"
TIMESTAMP: Final = "X-Signature-Timestamp"


@dataclass(frozen=True, slots=True)
class Tamper:
    """What differs from a good request.

    :ivar key: signs in place of the vendor's key.
    :ivar signed_at: the timestamp, in seconds, that is signed and sent: a good signature, but old.
    :ivar timestamp: sent instead of the one that was signed.
    :ivar signature: sent instead of the real one.
    :ivar body: sent instead of the one that was signed.
    :ivar headers: further headers, or other values.
    :ivar without: names of headers that are left out.
    """

    key: Ed25519PrivateKey | None = None
    signed_at: int | None = None
    timestamp: str | None = None
    signature: str | None = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it goes over the wire."""

    headers: dict[str, str]
    body: bytes


class Endpoint:
    """Signs and posts.

    :ivar sent: every request, in order; any can be posted again.
    :ivar deadline: seconds that the application has to answer.
    """

    def __init__(self, clock: SystemClock) -> None:
        """Make a key; take the time from a clock."""
        self._clock = clock
        self._key = Ed25519PrivateKey.generate()
        self.verify_key = self._key.public_key().public_bytes_raw().hex()
        self.sent: list[Signed] = []
        self.deadline = 3.0

    def sign(self, body: bytes, tamper: Tamper | None = None) -> Signed:
        """Return a body with the headers that prove it, as far as nobody tampers."""
        odd = tamper or Tamper()
        now = odd.signed_at if odd.signed_at is not None else self._clock.now() // 1_000_000
        signature = (odd.key or self._key).sign(str(now).encode() + body).hex()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
            SIGNATURE: signature if odd.signature is None else odd.signature,
            TIMESTAMP: str(now) if odd.timestamp is None else odd.timestamp,
            **odd.headers,
        }
        absent = {name.lower() for name in odd.without}
        kept = {name: value for name, value in headers.items() if name.lower() not in absent}
        return Signed(kept, body if odd.body is None else odd.body)

    async def post(self, url: str, signed: Signed) -> Delivery:
        """Post a request; status 0 means that nothing came back in time."""
        self.sent.append(signed)
        patience = aiohttp.ClientTimeout(total=self.deadline)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.post(
                    url, data=signed.body, headers=signed.headers, allow_redirects=False
                ) as answer,
            ):
                return Delivery(answer.status, await answer.text(), dict(answer.headers))
        except (aiohttp.ClientError, TimeoutError) as error:
            return Delivery(0, repr(error))
