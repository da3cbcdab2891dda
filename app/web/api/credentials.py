"""Credentials: values come in and never go out."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import InvalidFilter
from app.core.targets import CredentialGrant
from app.web.api.replies import nothing, reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import bare, once
from app.web.models_vault import (
    CredentialIn,
    CredentialList,
    CredentialOut,
    CredentialUpdateIn,
    GrantIn,
    GrantList,
    GrantOut,
    HandlesList,
    HandlesOut,
)

MAX_DOMAIN: Final = 253


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).vault.list(caller)
    return reply(CredentialList(items=[CredentialOut.of(credential) for credential in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, CredentialIn)
    credential = await services_of(request).vault.create(
        caller,
        name=body.name,
        kind=body.kind,
        fields=body.fields,
        description=body.description,
        vault=body.vault,
        domains=body.domains,
        public_fields=body.public_fields,
    )
    location = {"Location": f"/api/credentials/{credential.id}"}
    return reply(CredentialOut.of(credential), 201, location)


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).vault.get(caller, request.path_params["credential_id"])
    return reply(CredentialOut.of(found))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, CredentialUpdateIn)
    found = await services_of(request).vault.update(
        caller,
        request.path_params["credential_id"],
        name=body.name,
        description=body.description,
        fields=body.fields,
        domains=body.domains,
        public_fields=body.public_fields,
    )
    return reply(CredentialOut.of(found))


async def delete(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).vault.delete(caller, request.path_params["credential_id"])
    return nothing()


async def search(request: Request) -> Response:
    given = once(request.query_params, ("domain",))
    caller = await caller_of(request)
    domain = given.get("domain", "")
    if len(domain) > MAX_DOMAIN:
        message = f"a domain has at most {MAX_DOMAIN} characters"
        raise InvalidFilter(message, pointer="/domain")
    found = await services_of(request).vault.search(caller, domain)
    return reply(HandlesList(items=[HandlesOut.of(one) for one in found]))


async def grants(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).vault.grants(caller, request.path_params["credential_id"])
    return reply(
        GrantList(
            items=[
                GrantOut(
                    credential_id=grant.credential_id,
                    target_id=grant.target_id,
                    agent_id=grant.agent_id,
                )
                for grant in found
            ]
        )
    )


async def grant(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).vault.grant(caller, await _grant(request))
    return nothing()


async def revoke(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).vault.revoke(caller, await _grant(request))
    return nothing()


async def _grant(request: Request) -> CredentialGrant:
    body = await read(request, GrantIn)
    return CredentialGrant(request.path_params["credential_id"], body.target_id, body.agent_id)
