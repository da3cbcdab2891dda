"""Requests to an application, signed as Slack does, or not quite; and its answers."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import aiohttp

from tests.support.slack_people import JSON
from tests.support.slack_world import World

SIGNATURE: Final = "X-Slack-Signature"
TIMESTAMP: Final = "X-Slack-Request-Timestamp"
_GOOD: Final = 200


class Odd(TypedDict, total=False):
    """What differs from a good request; all but ``changes``, ``anyway`` and ``repeat`` is for HTTP.

    - ``signature``: sent instead of the real one.
    - ``timestamp``: sent instead of the one that was signed.
    - ``signed_at``: the time in seconds that is signed and sent: a good signature, but old.
    - ``secret``: signs in place of the application's signing secret.
    - ``body``: sent instead of the one that was signed.
    - ``headers``: further headers, or other values; ``without``: names of headers left out.
    - ``url``: posted there instead.
    - ``changes``: put into the payload, or into a command's fields, before it is signed.
    - ``anyway``: the user need not see what is acted on, nor does it have to be there; a button
      that an older version had is pressed as it was.
    - ``repeat``: how often the request is posted, byte for byte (1); over Socket Mode, in
      envelopes of their own.
    - ``retry_num``, ``retry_reason``: the headers of a repetition by Slack.
    """

    signature: str
    timestamp: str
    signed_at: int
    secret: str
    body: bytes
    headers: dict[str, str]
    without: tuple[str, ...]
    url: str
    changes: JSON
    anyway: bool
    repeat: int
    retry_num: int
    retry_reason: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it goes over the wire."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application answered; status 0 means that nothing came back in time.

    :ivar error: why there was none, or why Slack threw it away.
    :ivar payload: what was sent to the application.
    :ivar signed: how; None over Socket Mode. ``slack.replay`` sends it again.
    :ivar repeats: the answers to the repetitions.
    """

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    error: str = ""
    payload: JSON = field(default_factory=dict[str, Any])
    signed: Signed | None = None
    repeats: tuple["Answer", ...] = ()

    @property
    def good(self) -> bool:
        """Whether the application took it, and Slack its answer."""
        return self.status == _GOOD and not self.error

    @property
    def json(self) -> JSON:
        """The body, where it is a JSON object; a bare text becomes its ``text``."""
        try:
            said: Any = json.loads(self.body)
        except ValueError:
            return {"text": self.body} if self.body.strip() else {}
        return said if isinstance(said, dict) else {}


class Endpoint:
    """Signs and posts.

    :ivar deadline: seconds that the application has to answer.
    """

    def __init__(self, world: World) -> None:
        """Sign with the secret of a world's application."""
        self.world = world
        self.deadline = 3.0

    def sign(self, url: str, body: bytes, content_type: str, odd: Odd) -> Signed:
        """Return a body with the headers that prove it, as far as nobody tampers."""
        now = str(odd.get("signed_at", int(self.world.now())))
        secret = odd.get("secret", self.world.app.signing_secret)
        proof = hmac.new(secret.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "Accept": "application/json,*/*",
            TIMESTAMP: odd.get("timestamp", now),
            SIGNATURE: odd.get("signature", f"v0={proof}"),
            **_retry(odd),
            **odd.get("headers", {}),
        }
        absent = {name.lower() for name in odd.get("without", ())}
        kept = {name: value for name, value in headers.items() if name.lower() not in absent}
        return Signed(odd.get("url", url), kept, odd.get("body", body))

    async def post(self, signed: Signed, payload: JSON | None = None) -> Answer:
        """Post a request."""
        patience = aiohttp.ClientTimeout(total=self.deadline)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.post(
                    signed.url, data=signed.body, headers=signed.headers, allow_redirects=False
                ) as answer,
            ):
                headers = {name.lower(): value for name, value in answer.headers.items()}
                body = await answer.text()
                return Answer(answer.status, body, headers, "", payload or {}, signed)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(0, error=repr(error), payload=payload or {}, signed=signed)


def _retry(odd: Odd) -> dict[str, str]:
    if "retry_num" not in odd:
        return {}
    reason = odd.get("retry_reason", "http_timeout")
    return {"X-Slack-Retry-Num": str(odd["retry_num"]), "X-Slack-Retry-Reason": reason}
