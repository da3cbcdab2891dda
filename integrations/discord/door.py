"""The door that Discord posts to: nothing is parsed before its signature is right (T18).

See "Setting Up an Endpoint: Validating Security Request Headers": Ed25519 over timestamp and
body. Whatever is odd about the headers is a 401; Discord itself tries bad signatures now and then.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app.clock import SystemClock
from app.core.instant import SECOND
from integrations.discord.conversation import Conversation
from integrations.discord.event import PING, read_event

LARGEST: Final = 1 << 19
"""Bytes of a body that are read at most."""

WINDOW: Final = 300
"""Seconds by which a timestamp may differ from our clock."""

_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}", re.ASCII | re.IGNORECASE)
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Signatures:
    """Checks that a post is Discord's, and recent."""

    key: Ed25519PublicKey
    clock: SystemClock

    @classmethod
    def of(cls, public_key: str, clock: SystemClock) -> "Signatures":
        """Return what checks with a key in hexadecimal."""
        return cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)), clock)

    def may_be(self, timestamps: list[str], signatures: list[str]) -> bool:
        """Whether a post's headers have their form and age; without that no body is read.

        :param timestamps: every value of the header of that name; one is right.
        :param signatures: likewise.
        """
        if len(timestamps) != 1 or len(signatures) != 1:
            return False
        when, proof = timestamps[0], signatures[0]
        if not (_TIMESTAMP.fullmatch(when) and _SIGNATURE.fullmatch(proof)):
            return False
        return abs(self.clock.now() // SECOND - int(when)) <= WINDOW

    def admits(self, timestamps: list[str], signatures: list[str], body: bytes) -> bool:
        """Whether a post is Discord's."""
        if not self.may_be(timestamps, signatures):
            return False
        (when,), (proof,) = timestamps, signatures
        try:
            self.key.verify(bytes.fromhex(proof), when.encode() + body)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Door:
    """Takes posts. The conversation goes on after the answer, which is a 202 without a body."""

    signatures: Signatures
    conversation: Conversation
    application: str

    async def post(self, request: Request) -> Response:
        """Take one post."""
        headers = request.headers
        proof = (
            headers.getlist("X-Signature-Timestamp"), headers.getlist("X-Signature-Ed25519"),
        )  # fmt: skip
        body = await _read(request) if self.signatures.may_be(*proof) else None
        if body is None or not self.signatures.admits(*proof, body):
            peer = request.client.host if request.client else ""
            await self.conversation.desk.unproven("discord", peer)
            return PlainTextResponse("this is not signed by Discord", 401)
        payload = _parsed(body)
        if payload is None:
            return PlainTextResponse("this is not what Discord sends", 400)
        if payload.get("application_id") != self.application:
            return PlainTextResponse("this is meant for another application", 401)
        if payload.get("type") == PING:
            return JSONResponse({"type": PING})
        try:
            event = read_event(payload)
        except ValueError:
            return PlainTextResponse("this is not what Discord sends", 400)
        return Response(status_code=202, background=BackgroundTask(self.conversation.hear, event))


async def _read(request: Request) -> bytes | None:
    """Return the body; None when it is larger than Discord sends."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else None
