"""Bundles in tests: asked for in one line, run, and looked at."""

import json
from itertools import count
from typing import Any

from app.core.request import Request, Status
from tests.support.upstream import Upstream
from tests.support.world import World

_NUMBERS = count(1)


def call(text: str) -> dict[str, Any]:
    """Return the call that a text such as ``target:POST /path`` or ``/path`` means."""
    target, colon, rest = text.rpartition(":")
    method, _, path = rest.rpartition(" ")
    body = {} if method in ("GET", "DELETE") else {"json": {"path": path}}
    return {
        "method": method or "POST",
        "path": path,
        **body,
        **({"target": target} if colon else {}),
    }


async def bundle(place: World, *calls: str, **params: Any) -> Request:
    """Submit a bundle as the agent, at ``upstream`` unless a call names another target."""
    context = params.pop("context", {"number": next(_NUMBERS)})
    given = {"calls": [call(text) for text in calls], **params}
    return await place.ask("http.bundle", target="upstream", params=given, context=context)


async def targets(place: World, upstream: Upstream, *names: str) -> None:
    """Configure the upstream under several names."""
    for name in names:
        await place.target(upstream.url, name)


async def run(place: World, request: Request) -> Status:
    """Do what the worker does and return how the bundle stands then."""
    await place.services.bundles.run(request.id)
    return (await place.get(request)).status


async def statuses(place: World, request: Request) -> list[str]:
    """Return how each call stands."""
    found = await place.services.store.read(lambda tx: tx.bundles.of(request.id))
    return [state.status.value for state in found]


async def outcome(place: World, request: Request) -> dict[str, Any]:
    """Return the outcome of a bundle."""
    found: dict[str, Any] = json.loads((await place.get(request)).outcome or "{}")
    return found
