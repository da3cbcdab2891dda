"""Commands and files for callers who wait: HTTP doors and tools alike (SSH-1, MCP-5)."""

import json
from dataclasses import dataclass
from typing import Final

from app.core.action import Urgency
from app.core.json_types import JsonObject
from app.core.outcome import HttpResult
from app.core.principals import Caller, Scope
from app.core.request import Request, Status
from app.core.ssh_result import document_of
from app.services.feed import Feed
from app.services.inline import Inline
from app.services.intake import Asked
from app.services.requests import Requests

WAITS: Final = frozenset({Status.PENDING, Status.APPROVED, Status.EXECUTING})
"""Statuses from which something may still come."""


@dataclass(frozen=True, slots=True)
class Done:
    """How an SSH request stands.

    :ivar answer: what came of it, as JSON; None where nothing did (yet).
    """

    request: Request
    answer: JsonObject | None

    @property
    def waits(self) -> bool:
        """Whether something may still come."""
        return self.request.status in WAITS


@dataclass(frozen=True, slots=True)
class Ssh:
    """Submits SSH actions and, where policy allows it, carries them out at once."""

    inline: Inline
    feed: Feed
    requests: Requests

    async def run(self, caller: Caller, asked: Asked, remote_ip: str | None = None) -> Done:
        """Return how the request stands at once: carried out, refused, or waiting for a person.

        :param asked: as :func:`asking` makes it.
        """
        made, result = await self.inline.call(caller, asked, remote_ip)
        return await self._done(caller, made, result)

    async def wait(self, caller: Caller, done: Done, seconds: int) -> Done:
        """Return how it stands when its time has come, or after so many seconds."""
        if not done.waits:
            return done
        made = await self.feed.wait(caller, done.request.id, seconds)
        return await self._done(caller, made, None)

    async def _done(self, caller: Caller, made: Request, result: HttpResult | None) -> Done:
        if result is None and made.final and caller.may(Scope.REQUEST_READ):
            result = await self.requests.result(caller, made.id)
        document = None if result is None else document_of(result)
        if document is None:
            return Done(made, None)
        outcome: JsonObject = json.loads(made.outcome) if made.outcome else {}
        told: JsonObject = {"request_id": made.id, "status": made.status.value}
        return Done(made, {**document, **told, "code": outcome.get("code", "")})


def asking(
    action: str,
    target: str,
    params: JsonObject,
    *,
    reason: str = "",
    urgency: Urgency = Urgency.NORMAL,
    context: JsonObject | None = None,
    idempotency_key: str | None = None,
    fingerprint: str = "",
) -> Asked:
    """Return what a caller asks of an SSH target."""
    return Asked(
        action=action, params=params, context=context or {}, reason=reason, urgency=urgency,
        target=target, idempotency_key=idempotency_key, fingerprint=fingerprint,
    )  # fmt: skip
