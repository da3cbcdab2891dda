"""Reads whatever can be read of a running server, and tells what it was answered.

The operations are those of the server's own OpenAPI document, the pages those of the dashboard;
each placeholder of an address is filled with every id that lists give.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx

from app.web.dashboard.mounting import GETS
from tests.support.api import Api
from tests.support.canary import Place

LISTS: Final = {
    "request_id": "/api/requests?limit=100",
    "policy_id": "/api/policies",
    "target_id": "/api/targets",
    "credential_id": "/api/credentials",
    "agent_id": "/api/agents",
    "person_id": "/api/people",
    "webhook_id": "/api/webhooks",
}
"""Where the ids of things are found."""

OTHERS: Final[dict[str, list[str]]] = {
    "version": ["1"], "secret": ["none"], "token": ["none"], "number": ["1"],
    "service": ["github"], "account": ["default"], "target": ["github"], "preset": ["github"],
}  # fmt: skip
_NAME: Final = re.compile(r"{(\w+)}")
Ids = Mapping[str, list[str]]


class Heard:
    """Everything that callers were answered, with the headers."""

    def __init__(self) -> None:
        self.answers: list[Place] = []

    def caller(self, base_url: str, key: str) -> Api:
        """Return a caller of the API that is overheard."""
        api = Api(base_url, key)
        api.client.event_hooks = {"response": [self.hear]}
        return api

    async def hear(self, answer: httpx.Response) -> None:
        """Take down an answer; of a stream as much as comes before it says that it is there."""
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        endless = answer.headers.get("content-type", "").startswith("text/event-stream")
        body = await _beginning(answer) if endless else await answer.aread()
        place = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
        self.answers.append((place, head.encode() + b"\n\n" + body))


async def _beginning(answer: httpx.Response) -> bytes:
    """Return a stream's first events, and leave it."""
    said = b""
    async for piece in answer.aiter_bytes():
        said += piece
        if said.count(b"\n\n") > 1 or answer.url.path.endswith(ENDLESS):
            break
    await answer.aclose()
    return said


ENDLESS: Final = ("/api/events", "/events")
"""Streams that say nothing as long as nothing happens."""


async def ids_of(admin: Api) -> Ids:
    """Return the ids of everything there is, by the names of their placeholders."""
    found: dict[str, list[str]] = dict(OTHERS)
    for name, path in LISTS.items():
        found[name] = await _ids(admin, path)
    found["delivery_id"] = [
        one
        for webhook in found["webhook_id"]
        for one in await _ids(admin, f"/api/webhooks/{webhook}/deliveries")
    ]
    return found


async def _ids(admin: Api, path: str) -> list[str]:
    status, answer = await admin.call("GET", path)
    assert status == 200, (path, answer)
    items: list[dict[str, Any]] = answer["items"]
    assert items, f"{path} lists nothing"
    return [str(item["id"]) for item in items]


def filled(path: str, ids: Ids) -> Iterable[str]:
    """Return a path with every combination of ids in its placeholders."""
    names = _NAME.findall(path)
    for values in itertools.product(*(ids[name] for name in names)):
        yield path.format_map(dict(zip(names, values, strict=True)))


async def every_operation(caller: Api, ids: Ids) -> int:
    """Read every operation that the server's document describes; return how many succeeded."""
    document = (await caller.client.get("/openapi.json")).json()
    succeeded = 0
    for path, methods in document["paths"].items():
        for address in filled(path, ids) if "get" in methods else ():
            answer = await caller.client.send(
                caller.client.build_request("GET", address), stream=True
            )
            await answer.aclose()
            assert answer.status_code < 500, address
            succeeded += answer.status_code == 200
    return succeeded


async def every_page(browser: httpx.AsyncClient, ids: Ids) -> int:
    """Read every page of the dashboard; return how many were shown."""
    shown = 0
    for path, _ in GETS:
        for address in filled(path, ids):
            answer = await browser.send(browser.build_request("GET", address), stream=True)
            await answer.aclose()
            assert answer.status_code < 500, address
            shown += answer.status_code == 200
    return shown
