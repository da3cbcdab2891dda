"""Agents and keys."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.instant import plus
from app.web.api.replies import reply
from app.web.bodies import optional, read
from app.web.deps import caller_of, services_of
from app.web.filters import bare, once
from app.web.models_directory import (
    AgentIn,
    AgentList,
    AgentOut,
    AgentUpdateIn,
    KeyIn,
    KeyList,
    KeyNameIn,
    KeyOut,
    NewKeyOut,
    RotateIn,
)


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).agents.list(caller)
    return reply(AgentList(items=[AgentOut.of(agent) for agent in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, AgentIn)
    agent = await services_of(request).agents.create(
        caller,
        name=body.name,
        description=body.description,
        owner_id=body.owner_id,
        open_limit=body.open_limit,
        rate=body.rate,
    )
    return reply(AgentOut.of(agent), 201, {"Location": f"/api/agents/{agent.id}"})


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    agent = await services_of(request).agents.get(caller, request.path_params["agent_id"])
    return reply(AgentOut.of(agent))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    changes = optional(await read(request, AgentUpdateIn))
    agent = await services_of(request).agents.update(
        caller, request.path_params["agent_id"], **changes
    )
    return reply(AgentOut.of(agent))


async def keys(request: Request) -> Response:
    given = once(request.query_params, ("agent_id", "person_id"))
    caller = await caller_of(request)
    found = await services_of(request).agents.list_keys(
        caller, agent_id=given.get("agent_id"), person_id=given.get("person_id")
    )
    return reply(KeyList(items=[KeyOut.of(key) for key in found]))


async def create_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, KeyIn)
    services = services_of(request)
    permissions = body.permissions
    key, secret = await services.agents.create_key(
        caller,
        name=body.name,
        scopes=body.scopes,
        agent_id=body.agent_id,
        person_id=body.person_id,
        permissions=None if permissions is None else [one.permission() for one in permissions],
        networks=body.networks,
        rate_limit=body.rate_limit,
        expires_at=None if body.expires_in is None else plus(services.clock.now(), body.expires_in),
        password=body.password,
    )
    return reply(NewKeyOut(key=KeyOut.of(key), secret=secret), 201)


async def rename_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, KeyNameIn)
    key = await services_of(request).agents.rename_key(
        caller, request.path_params["key_id"], body.name
    )
    return reply(KeyOut.of(key))


async def revoke_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    key = await services_of(request).agents.revoke_key(caller, request.path_params["key_id"])
    return reply(KeyOut.of(key))


async def rotate_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, RotateIn)
    key, secret = await services_of(request).agents.rotate_key(
        caller, request.path_params["key_id"], body.grace_seconds, password=body.password
    )
    return reply(NewKeyOut(key=KeyOut.of(key), secret=secret), 201)
