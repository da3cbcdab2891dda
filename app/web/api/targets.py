"""Targets."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.core.targets import Target
from app.web.api.replies import nothing, reply
from app.web.bodies import optional, read
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_directory import (
    BreakerOut,
    TargetIn,
    TargetList,
    TargetOut,
    TargetSettingsIn,
    TargetUpdateIn,
)
from app.web.models_presets import check_by_hand, wanted_of
from app.web.models_ssh import HostIn, HostKeyIn, ShownKeyOut


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).targets.list(caller)
    return reply(TargetList(items=[TargetOut.of(target) for target in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, TargetIn)
    if body.preset:
        target = await services_of(request).presets.apply(caller, wanted_of(body))
        return _created(target)
    check_by_hand(body)
    target = await services_of(request).targets.create(
        caller,
        name=body.name,
        base_url=body.base_url,
        description=body.description,
        credential_id=body.credential_id,
        credentials=[rule.value() for rule in body.credentials],
        settings=body.settings.value(),
        enabled=body.enabled,
        grant_agents=("*",) if body.grant_agents is None else body.grant_agents,
        guard=bool(body.guard),
    )
    return _created(target)


def _created(target: Target) -> Response:
    return reply(TargetOut.of(target), 201, {"Location": f"/api/targets/{target.id}"})


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    target = await services_of(request).targets.get(caller, request.path_params["target_id"])
    return reply(TargetOut.of(target))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    changes: dict[str, Any] = optional(await read(request, TargetUpdateIn))
    if isinstance(changes.get("settings"), TargetSettingsIn):
        changes["settings"] = changes["settings"].value()
    if "credentials" in changes:
        changes["credentials"] = tuple(rule.value() for rule in changes["credentials"])
    target = await services_of(request).targets.update(
        caller, request.path_params["target_id"], **changes
    )
    return reply(TargetOut.of(target))


async def breaker(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    services = services_of(request)
    target = await services.targets.get(caller, request.path_params["target_id"])
    return reply(BreakerOut.of(services.breakers.of(target.id)))


async def close_breaker(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).breakers.close(caller, request.path_params["target_id"])
    return nothing()


async def look_at_host_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, HostIn)
    keys = services_of(request).host_keys
    shown = await keys.look(caller, request.path_params["target_id"], body.host)
    return reply(ShownKeyOut.of(shown))


async def enrol_host_key(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, HostKeyIn)
    keys = services_of(request).host_keys
    target = await keys.enrol(caller, request.path_params["target_id"], body.key, body.host)
    return reply(TargetOut.of(target))


async def delete(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).targets.delete(caller, request.path_params["target_id"])
    return nothing()
