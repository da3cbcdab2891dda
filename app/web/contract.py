"""The OpenAPI document: every operation in one table, its shapes from the structs that parse.

An operation is written once, with handler, shapes and statuses; routes and document follow.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Handler = Callable[[Request], Awaitable[Response]]

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable slug; see the table of errors."},
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "RFC 6901 pointer of the offending input."},
        "errors": {
            "type": "array",
            "description": "All that is wrong, where several fields are; the first is above.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail", "code"],
                "properties": {name: {"type": "string"} for name in ("pointer", "detail", "code")},
            },
        },
        "retry_after": {"type": "number"},
        "instance": {"type": "string", "description": "Id of the call, as in X-Request-ID."},
    },
}
SCHEMES: Final[dict[str, Any]] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, `ask_...`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "assentry_session",
        "description": "A signed-in person; over TLS the cookie is named `__Host-assentry`.",
    },
    "form_token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The session's form token, needed by calls that change something.",
    },
}
_REFUSALS: Final = (400, 401, 403, 429, 503)
_WITH_ID: Final = (404,)
_CHANGING: Final = (409, 413, 415)
_ACCEPTED: Final = 202


@dataclass(frozen=True, slots=True)
class Query:
    """One query or header parameter."""

    name: str
    schema: Mapping[str, Any]
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    :ivar body: the struct of its JSON body, or a JSON schema, or None.
    :ivar answer: the struct of its JSON answer, or a JSON schema; None for one without body.
    :ivar statuses: statuses of success.
    :ivar refusals: further statuses of problems.
    :ivar public: needs no authentication.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Any = None
    body: Any = None
    query: tuple[Query, ...] = ()
    statuses: tuple[int, ...] = (200,)
    refusals: tuple[int, ...] = ()
    public: bool = False
    accepted: type | None = None
    body_required: bool = True
    media_type: str = "application/json"
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """The operation's id: noun and verb."""
        module = self.handler.__module__.rsplit(".", 1)[-1]
        return f"{module}_{self.handler.__name__}"


def routes(operations: tuple[Operation, ...]) -> list[Route]:
    """Return the routes of operations, in their order, one for each address."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return [
        Route(path, _by_method(group), methods=[operation.method for operation in group])
        for path, group in by_path.items()
    ]


def _by_method(group: list[Operation]) -> Handler:
    if len(group) == 1:
        return group[0].handler
    handlers = {operation.method: operation.handler for operation in group}
    handlers.setdefault("HEAD", handlers.get("GET", group[0].handler))

    async def dispatch(request: Request) -> Response:
        return await handlers[request.method](request)

    return dispatch


def openapi(operations: tuple[Operation, ...], *, title: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    structs = [
        shape
        for operation in operations
        for shape in (operation.body, operation.answer, operation.accepted)
        if isinstance(shape, type)
    ]
    schemas, components = msgspec.json.schema_components(
        structs, ref_template="#/components/schemas/{name}"
    )
    refs = dict(zip(structs, schemas, strict=True))
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM},
            "securitySchemes": SCHEMES,
        },
    }


def _describe(operation: Operation, refs: Mapping[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [] if operation.public else _security(operation.method),
        "responses": _responses(operation, refs),
        **operation.extra,
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _path_names(operation.path)
    ]
    parameters += [
        {"name": item.name, "in": item.place, "required": False, "schema": dict(item.schema)}
        for item in operation.query
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        schema = refs.get(operation.body) if isinstance(operation.body, type) else operation.body
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _security(method: str) -> list[dict[str, list[str]]]:
    session: dict[str, list[str]] = {"session": []}
    if method not in ("GET", "HEAD"):
        session["form_token"] = []
    return [{"key": []}, session]


def _path_names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _responses(operation: Operation, refs: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in operation.statuses:
        found[str(status)] = {"description": HTTPStatus(status).phrase}
        if operation.answer is not None:
            answer = (status == _ACCEPTED and operation.accepted) or operation.answer
            schema = refs[answer] if isinstance(answer, type) else answer
            found[str(status)]["content"] = {operation.media_type: {"schema": schema}}
    codes = set(operation.refusals)
    if not operation.public:
        codes |= set(_REFUSALS)
    if _path_names(operation.path):
        codes |= set(_WITH_ID)
    if operation.method not in ("GET", "HEAD"):
        codes |= set(_CHANGING)
    for code in sorted(codes):
        found[str(code)] = {
            "description": HTTPStatus(code).phrase,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
    return found
