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

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.audit import SYSTEM
from app.core.json_types import JsonObject
from app.core.targets import Credential, Target, TargetSettings
from app.factory import Services

NAME: Final = "example"
"""Name of the target."""

CREDENTIAL: Final = "example-token"
"""Name of its credential."""

POLICIES: Final[tuple[JsonObject, ...]] = (
    {
        "name": "example: reads pass",
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
        "name": "example: changes ask",
        "priority": 200,
        "scope": {"targets": [NAME]},
        "rules": [
            {"name": "changes", "effect": "review", "reason": "this changes somebody's notes"}
        ],
    },
)


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
        number = max(self.notes, default=0) + 1
        self.notes[number] = str((await request.json())["text"])
        return JSONResponse({"id": number, "text": self.notes[number]}, status_code=201)

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
    """Run the upstream on a free loopback port, and configure it as a target."""
    notes = Notes(secrets.token_urlsafe(24))
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    config = uvicorn.Config(
        notes.app(), access_log=False, log_config=None, lifespan="off", loop="none", ws="none"
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    await seed(services, url, notes.token)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_serve(server, sock))
        try:
            yield url
        finally:
            server.should_exit = True
            await asyncio.wait({task})


async def _serve(server: uvicorn.Server, sock: socket.socket) -> None:
    """Serve without touching the process's signal handlers."""
    await server._serve(sockets=[sock])  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


async def seed(services: Services, url: str, token: str) -> None:
    """Put target, credential and policies in place, or bring them up to this run's address."""
    credential = await services.store.read(lambda tx: tx.vault.named(CREDENTIAL))
    target = await services.store.read(lambda tx: tx.targets.named(NAME))
    if credential is None:
        credential = await _credential(services, token)
    else:
        await services.vault.refill(SYSTEM, credential, {"token": token})
    if target is None:
        await _target(services, url, credential.id)
    else:
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
