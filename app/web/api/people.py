"""People, one's own password, and what holds for the installation."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.principals import Role
from app.web.api.replies import nothing, reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_directory import (
    InstallationIn,
    InstallationOut,
    PasswordIn,
    PersonIn,
    PersonList,
    PersonOut,
    PersonUpdateIn,
)


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).people.list(caller)
    return reply(PersonList(items=[PersonOut.of(person) for person in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, PersonIn)
    person = await services_of(request).people.create(
        caller, name=body.name, email=body.email, role=Role(body.role), password=body.password,
        own_password=body.own_password,
    )  # fmt: skip
    return reply(PersonOut.of(person), 201, {"Location": f"/api/people/{person.id}"})


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    person = await services_of(request).people.get(caller, request.path_params["person_id"])
    return reply(PersonOut.of(person))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, PersonUpdateIn)
    person = await services_of(request).people.update(
        caller,
        request.path_params["person_id"],
        name=body.name,
        role=None if body.role is None else Role(body.role),
        active=body.active,
    )
    return reply(PersonOut.of(person))


async def revoke_sessions(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).people.revoke_sessions(caller, request.path_params["person_id"])
    return nothing()


async def change_password(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, PasswordIn)
    await services_of(request).people.change_password(
        caller, body.old, body.new, end_keys=body.end_keys
    )
    return nothing()


async def installation(request: Request) -> Response:
    bare(request)
    await caller_of(request)
    allowed = await services_of(request).people.owner_may_decide()
    return reply(InstallationOut(owner_may_decide=allowed))


async def set_installation(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, InstallationIn)
    await services_of(request).people.set_owner_may_decide(caller, body.owner_may_decide)
    return reply(InstallationOut(owner_may_decide=body.owner_may_decide))
