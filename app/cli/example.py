"""An example upstream for a first walk: a small notes API that wants a bearer token.

It is no part of the product: it plays the service that an agent wants to call. Its token is made
when it is first seeded, is kept sealed in the vault, and lives in this process besides.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.cli.listening import Server, address, bound, config
from app.core.audit import SYSTEM
from app.core.errors import AssentryError
from app.core.json_types import JsonObject
from app.core.targets import Credential, Target, TargetSettings
from app.services.bundle import Services
from app.services.vault import ANY_AGENT
from app.settings import SettingsError

NAME: Final = "example"
"""Name of the target."""

CREDENTIAL: Final = "example-token"
"""Name of its credential."""

POLICIES: Final[tuple[JsonObject, ...]] = (
    {
        "name": "example: reads",
        "priority": 100,
        "scope": {"targets": [NAME]},
        "rules": [
            {
                "name": "reads",
                "effect": "allow",
                "match": {"http.method": {"in": ["GET", "HEAD"]}},
                "reason": "reading notes changes nothing",
            }
        ],
    },
    {
        "name": "example: changes",
        "priority": 200,
        "scope": {"targets": [NAME]},
        "rules": [
            {
                "name": "changes",
                "effect": "review",
                "match": {"http.method": {"in": ["POST", "PUT", "PATCH", "DELETE"]}},
                "reason": "this changes somebody's notes",
            }
        ],
    },
)

_HOST: Final = "127.0.0.1"


@dataclass
class Notes:
    """The notes and the token that opens them."""

    token: str
    notes: dict[int, str] = field(
        default_factory=lambda: {1: "Water the plants", 2: "Call the printer's"}
    )

    def app(self) -> Starlette:
        """Return the API."""
        return Starlette(
            routes=[
                Route("/notes", self.index, methods=["GET"]),
                Route("/notes", self.add, methods=["POST"]),
                Route("/notes/{number:int}", self.remove, methods=["DELETE"]),
                Route("/whoami", self.whoami, methods=["GET"]),
            ]
        )

    def refusal(self, request: Request) -> Response | None:
        """Return the answer for a caller without the token."""
        given = request.headers.get("authorization", "")
        if secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return None
        return JSONResponse({"error": "a bearer token is needed"}, status_code=401)

    async def index(self, request: Request) -> Response:
        """List the notes."""
        notes = [{"id": number, "text": text} for number, text in self.notes.items()]
        return self.refusal(request) or JSONResponse({"notes": notes})

    async def add(self, request: Request) -> Response:
        """Add a note."""
        if refusal := self.refusal(request):
            return refusal
        try:
            text = str((await request.json())["text"])
        except (ValueError, LookupError, TypeError):
            return JSONResponse({"error": 'send {"text": "..."}'}, status_code=400)
        number = max(self.notes, default=0) + 1
        self.notes[number] = text
        return JSONResponse({"id": number, "text": text}, status_code=201)

    async def remove(self, request: Request) -> Response:
        """Remove a note."""
        if refusal := self.refusal(request):
            return refusal
        number = request.path_params["number"]
        text = self.notes.pop(number, None)
        if text is None:
            return JSONResponse({"error": "no such note"}, status_code=404)
        return JSONResponse({"removed": {"id": number, "text": text}})

    async def whoami(self, request: Request) -> Response:
        """Echo who calls, token included: our answer's redaction is to be seen."""
        given = request.headers.get("authorization", "")
        return self.refusal(request) or JSONResponse({"authorization": given})


@asynccontextmanager
async def running(services: Services) -> AsyncGenerator[str, None]:
    """Run the upstream on loopback, and configure it as a target; gives its address."""
    target = await services.store.read(lambda tx: tx.targets.named(NAME))
    sock = _socket(target)
    url, stop = address(sock), asyncio.Event()
    token = await _stored_token(services, target) or secrets.token_urlsafe(24)
    await seed(services, url, token)
    server = Server(config(Notes(token).app(), lifespan="off"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.until(stop, sock))
        try:
            yield url
        finally:
            stop.set()


def _socket(target: Target | None) -> socket.socket:
    """Return a socket at the address of the last run, so that what was approved stays valid."""
    port = (urlsplit(target.base_url).port or 0) if target is not None else 0
    try:
        return bound(_HOST, port)
    except SettingsError:
        return bound(_HOST, 0)


async def _stored_token(services: Services, target: Target | None) -> str | None:
    """Return the token that an earlier run put into the vault, or None."""
    if target is None:
        return None
    try:
        injection = await services.vault.for_execution(target, ANY_AGENT)
    except AssentryError:
        return None
    return injection.secrets[0] if injection.secrets else None


async def seed(services: Services, url: str, token: str) -> None:
    """Put target, credential and policies in place; what is there as wanted is left alone."""
    credential = await services.store.read(lambda tx: tx.vault.named(CREDENTIAL))
    target = await services.store.read(lambda tx: tx.targets.named(NAME))
    if credential is None:
        credential = await _credential(services, token)
    elif token != await _stored_token(services, target):
        await services.vault.refill(SYSTEM, credential, {"token": token})
    if target is None:
        await _target(services, url, credential.id)
    elif target.base_url != url:
        await services.targets.change(SYSTEM, target.id, {"base_url": url})
    for document in POLICIES:
        name = str(document["name"])
        if await services.store.read(lambda tx, name=name: tx.policies.named(name)) is None:
            await services.policies.add(SYSTEM, document)


async def _credential(services: Services, token: str) -> Credential:
    now = services.clock.now()
    credential = Credential(
        id=services.ids.new("crd"), vault="default", name=CREDENTIAL,
        description="The example upstream's token.", kind="bearer", version=1,
        created_at=now, updated_at=now,
    )  # fmt: skip
    return await services.vault.add(SYSTEM, credential, {"token": token})


async def _target(services: Services, url: str, credential_id: str) -> Target:
    now = services.clock.now()
    target = Target(
        id=services.ids.new("tgt"), name=NAME, description="The example upstream: a notes API.",
        kind="http", base_url=url, revision=1, enabled=True, credential_id=credential_id,
        created_at=now, updated_at=now,
        settings=TargetSettings(networks=("127.0.0.0/8",)),
    )  # fmt: skip
    return await services.targets.add(SYSTEM, target, ("*",))
