"""Connections of accounts at services; the consent itself is given in a browser."""

from starlette.requests import Request
from starlette.responses import Response

from app.services.connections import Listed
from app.web.api.replies import reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_connections import (
    ClientIn,
    ConnectionIn,
    ConnectionList,
    ConnectionOut,
    ConsentOut,
    DisconnectedOut,
)


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).connections.list(caller)
    return reply(ConnectionList(items=[ConnectionOut.of(item) for item in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, ConnectionIn)
    made = await services_of(request).connections.create(
        caller, body.name, body.client(), body.client_secret, body.description
    )
    return reply(ConnectionOut.of(Listed(made, ())), 201)


async def replace(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, ClientIn)
    connections, credential_id = services_of(request).connections, _id(request)
    await connections.replace(caller, credential_id, body.client(), body.client_secret)
    found = await connections.list(caller)
    return reply(
        next(
            ConnectionOut.of(one) for one in found if one.connection.credential_id == credential_id
        )
    )


async def connect(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    begun = await services_of(request).connections.start(caller, _id(request))
    return reply(ConsentOut.of(begun))


async def disconnect(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    revoked = await services_of(request).connections.disconnect(caller, _id(request))
    return reply(DisconnectedOut(revoked=revoked))


def _id(request: Request) -> str:
    return str(request.path_params["credential_id"])
