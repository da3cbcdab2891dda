"""The real application in this process, with one caller for every kind of principal."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.asgi import create_app
from app.cli.listening import Server, address, bound, config
from app.core.principals import Agent, Person, Role, Scope
from app.core.request import Request
from tests.support.upstream import Upstream
from tests.support.world import World, person_caller, world

WAIT = 10.0
"""Seconds that a test waits for what the server should do."""

BASE = "http://127.0.0.1:8700"

AGENTS = {
    "agent_create": (Scope.REQUEST_CREATE,),
    "agent_read": (Scope.REQUEST_READ,),
    "agent": (Scope.REQUEST_CREATE, Scope.REQUEST_READ),
}
ROLES = {
    "viewer": (Role.VIEWER, (Scope.REQUEST_READ, Scope.AUDIT_READ, Scope.POLICY_READ)),
    "approver": (
        Role.APPROVER,
        (Scope.REQUEST_READ, Scope.AUDIT_READ, Scope.POLICY_READ, Scope.REQUEST_DECIDE),
    ),
    "operator": (Role.OPERATOR, tuple(set(Scope) - {Scope.REQUEST_CREATE, Scope.ADMIN})),
    "admin": (Role.ADMIN, tuple(set(Scope) - {Scope.REQUEST_CREATE})),
}


@dataclass
class Door:
    """The application, the world behind it, and a client for every principal."""

    app: Any
    world: World
    keys: dict[str, str]
    stranger: Agent
    people: dict[str, Person]
    stack: AsyncExitStack

    async def client(self, who: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return a client that calls with the principal's key; None calls without."""
        headers = {} if who is None else {"Authorization": f"Bearer {self.keys[who]}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        given: dict[str, Any] = {"base_url": BASE, "headers": headers, "timeout": 30, **options}
        return await self.stack.enter_async_context(httpx.AsyncClient(transport=transport, **given))

    async def ask(self, **body: Any) -> httpx.Response:
        """Ask for a plain action with the agent's key."""
        client = await self.client("agent")
        return await client.post("/api/requests", json={"action": "send_mail", **body})

    async def pending(self) -> Request:
        """Return a pending request of the agent."""
        return await self.world.ask()


async def _principals(opened: World) -> tuple[dict[str, str], Agent, dict[str, Person]]:
    services = opened.services
    stranger = replace(opened.agent, id=services.ids.new("agt"), name="stranger")
    people = {
        name: Person(
            services.ids.new("per"), name, f"{name}@example.org", role, "-", True,
            services.clock.now(),
        )
        for name, (role, _) in ROLES.items()
    }  # fmt: skip
    await services.store.write(
        lambda tx: (tx.agents.add(stranger), [tx.people.add(one) for one in people.values()])
    )
    keys: dict[str, str] = {}
    owned: list[tuple[str, tuple[Scope, ...], dict[str, Any]]] = [
        (name, scopes, {"agent_id": opened.agent.id}) for name, scopes in AGENTS.items()
    ]
    owned.append(("stranger", AGENTS["agent"], {"agent_id": stranger.id}))
    owned += [(name, ROLES[name][1], {"person_id": people[name].id}) for name in ROLES]
    for name, scopes, owner in owned:
        maker = person_caller(people[name]) if name in people else opened.anne
        _, keys[name] = await services.agents.create_key(maker, name=name, scopes=scopes, **owner)
    return keys, stranger, people


@asynccontextmanager
async def open_door(url: str, folder: Path, **settings: Any) -> AsyncGenerator[Door, None]:
    """Open the application over an empty database."""
    async with world(url, folder, **settings) as opened, AsyncExitStack() as stack:
        app = create_app(opened.services.settings, opened.services)
        await stack.enter_async_context(app.router.lifespan_context(app))
        keys, stranger, people = await _principals(opened)
        yield Door(app, opened, keys, stranger, people, stack)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncGenerator[Door, None]:
    """The application on SQLite."""
    async with open_door(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as opened:
        yield opened


@pytest.fixture
async def any_door(database_url: str, tmp_path: Path) -> AsyncGenerator[Door, None]:
    """The application on each engine."""
    async with open_door(database_url, tmp_path) as opened:
        yield opened


@dataclass
class Served:
    """The server on a socket, an agent's client and an upstream that may be read."""

    door: Door
    agent: httpx.AsyncClient
    upstream: Upstream
    port: int

    async def settled(self, request_id: str) -> Request:
        """Return the request once it is final."""
        services = self.door.world.services
        async with asyncio.timeout(WAIT):
            return await services.feed.wait(self.door.world.anne, request_id, int(WAIT))

    def outcome(self, request: Request) -> dict[str, Any]:
        """Return what the record says of a request's execution."""
        return json.loads(request.outcome or "{}")


@pytest.fixture
async def served(door: Door) -> AsyncIterator[Served]:
    """The application on a socket of its own."""
    async with Upstream() as upstream, serving(door, upstream) as opened:
        yield opened


@asynccontextmanager
async def serving(door: Door, upstream: Upstream) -> AsyncGenerator[Served, None]:
    """Put the application on a socket of its own, with this upstream."""
    sock = bound("127.0.0.1", 0)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await door.world.target(upstream.url)
        await door.world.policy("reads", "allow", {"http.method": {"in": ["GET", "HEAD", "PUT"]}})
        group.create_task(Server(config(door.app, lifespan="off")).until(stop, sock))
        headers = {"Authorization": f"Bearer {door.keys['agent']}"}
        async with httpx.AsyncClient(
            base_url=address(sock), headers=headers, timeout=WAIT
        ) as agent:
            yield Served(door, agent, upstream, sock.getsockname()[1])
        stop.set()
