"""The OpenAPI document is true: complete, valid, and what the doors really answer."""

from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Route

from app.asgi import document
from app.web.api.operations import OPERATIONS
from app.web.contract import Operation
from tests.web.conftest import Door

DOCUMENT: dict[str, Any] = document()


def deny(uri: str) -> Any:
    """Fetch nothing."""
    raise LookupError(uri)


def validator(schema: dict[str, Any]) -> Any:
    """Return a validator of a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, retriever=deny)


def described(operation: Operation) -> dict[str, Any]:
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


def test_names_are_stable_and_distinct() -> None:
    names = [described(operation)["operationId"] for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert DOCUMENT["openapi"].startswith("3.1")


async def test_every_api_route_is_described(door: Door) -> None:
    for route in door.app.router.routes:
        if isinstance(route, Route) and route.path.startswith("/api"):
            assert set(DOCUMENT["paths"][route.path]) == {
                method.lower() for method in (route.methods or set()) - {"HEAD"}
            }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.name)
def test_every_operation_says_who_may_and_how_it_refuses(operation: Operation) -> None:
    found = described(operation)
    assert found["summary"]
    if not operation.public:
        assert {"400", "401", "403", "429", "503"} <= set(found["responses"])
        assert {"key": []} in found["security"]
    for status, answer in found["responses"].items():
        if int(status) >= 400:
            assert list(answer["content"]) == ["application/problem+json"]
        elif status != "204":
            assert answer["content"], operation.name


@pytest.mark.requirement("REQ-1", "REQ-3")
async def test_answers_are_as_described(door: Door) -> None:
    await door.world.policy("allow", "allow", {"action": "read_mail"})
    asked = (await door.ask()).json()
    await door.ask(action="read_mail")
    admin = await door.client("admin")
    calls = [
        ("/api/requests", "/api/requests"),
        ("/api/requests/{request_id}", f"/api/requests/{asked['id']}"),
        ("/api/requests/{request_id}/audit", f"/api/requests/{asked['id']}/audit"),
        *[(path, path) for path in (
            "/api/policies", "/api/policies/schema", "/api/targets", "/api/credentials",
            "/api/agents", "/api/keys", "/api/people", "/api/audit", "/api/installation",
            "/health", "/ready",
        )],
    ]  # fmt: skip
    for path, address in calls:
        answer = await admin.get(address)
        assert answer.status_code == 200, address
        described_answer = DOCUMENT["paths"][path]["get"]["responses"]["200"]
        schema = described_answer["content"]["application/json"]["schema"]
        validator(schema).validate(answer.json())


async def test_problems_are_as_described(door: Door) -> None:
    problem = validator({"$ref": "#/components/schemas/Problem"})
    client = await door.client("agent")
    for address in ("/api/people", "/api/requests/none", "/api/requests?x=1", "/nowhere"):
        problem.validate((await client.get(address)).json())
