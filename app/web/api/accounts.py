"""Accounts in channels, groups, delegations and preferences."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.web.api.replies import nothing, reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_notices import (
    DelegationIn,
    DelegationList,
    DelegationOut,
    GroupIn,
    GroupList,
    GroupOut,
    IdentityIn,
    IdentityList,
    IdentityOut,
    PreferenceIn,
    PreferencesOut,
)


async def identities(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).accounts.identities(caller)
    return reply(IdentityList(items=[IdentityOut.of(item) for item in found]))


async def link(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, IdentityIn)
    made = await services_of(request).accounts.link(
        caller, body.person_id, body.channel, body.account, body.label, password=body.password
    )
    return reply(IdentityOut.of(made), 201)


async def unlink(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).accounts.unlink(caller, request.path_params["identity_id"])
    return nothing()


async def groups(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).accounts.groups(caller)
    return reply(GroupList(items=[GroupOut.of(item) for item in found]))


async def create_group(request: Request) -> Response:
    return await _put_group(request, None, 201)


async def update_group(request: Request) -> Response:
    return await _put_group(request, request.path_params["group_id"], 200)


async def _put_group(request: Request, group_id: str | None, status: int) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, GroupIn)
    made = await services_of(request).accounts.put_group(
        caller, group_id, body.name, body.description, body.members
    )
    return reply(GroupOut.of(made), status)


async def delete_group(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).accounts.drop_group(caller, request.path_params["group_id"])
    return nothing()


async def delegations(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).accounts.delegations(caller)
    return reply(DelegationList(items=[DelegationOut.of(item) for item in found]))


async def delegate(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, DelegationIn)
    made = await services_of(request).accounts.delegate(caller, **body.value())
    return reply(DelegationOut.of(made), 201)


async def revoke_delegation(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    delegation_id = request.path_params["delegation_id"]
    await services_of(request).accounts.revoke_delegation(caller, delegation_id)
    return nothing()


async def preferences(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).accounts.preferences(caller)
    return reply(PreferencesOut(channels=found))


async def prefer(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, PreferenceIn)
    document = msgspec.structs.asdict(body)
    await services_of(request).accounts.prefer(caller, request.path_params["channel"], document)
    return nothing()
