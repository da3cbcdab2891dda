"""Every operation for every principal, from the route table (T21, T23, R21)."""

import json
from collections.abc import MutableMapping
from typing import Any, Final

import pytest
from starlette.routing import BaseRoute, Route

from app.web.api.operations import OPERATIONS
from app.web.contract import Operation
from tests.web.conftest import AGENTS, ROLES, Door

PUBLIC: Final = {
    ("GET", "/health"), ("GET", "/ready"), ("POST", "/api/session"), ("GET", "/openapi.json"),
}  # fmt: skip
"""All that answers without authentication; a longer list needs a reason."""

EVERYBODY: Final = frozenset([*AGENTS, *ROLES])
READERS: Final = EVERYBODY - {"agent_create"}
PEOPLE: Final = frozenset(ROLES)
DECIDERS: Final = PEOPLE - {"viewer"}
OPERATORS: Final = frozenset({"operator", "admin"})
ADMIN: Final = frozenset({"admin"})

ALLOWED: Final[dict[str, frozenset[str]]] = {
    "requests_create": frozenset({"agent", "agent_create"}),
    "requests_page": READERS,
    "requests_get": READERS,
    "requests_decide": DECIDERS,
    "selections_decide": DECIDERS,
    "requests_cancel": frozenset({"agent", "agent_create", "admin"}),
    "requests_settle": DECIDERS,  # and of these operators only, once the request is found
    "requests_reconcile": OPERATORS,
    "requests_result": READERS,
    "requests_trail": READERS,
    "requests_call_result": READERS,
    **dict.fromkeys(("queue_index", "queue_status", "queue_status_account"), READERS),
    **dict.fromkeys(("queue_submit", "queue_submit_account"), frozenset({"agent", "agent_create"})),
    **dict.fromkeys(("queue_withdraw", "queue_withdraw_account"), READERS),
    **dict.fromkeys(
        ("ssh_execute", "ssh_read_file", "ssh_write_file"), frozenset({"agent", "agent_create"})
    ),
    "requests_card": PEOPLE,
    "sse_request_events": READERS,
    "sse_follow": PEOPLE,
    "policies_index": PEOPLE,
    "policies_create": OPERATORS,
    "policies_dry_run": PEOPLE,
    "policies_schema": EVERYBODY,
    "policies_get": PEOPLE,
    "policies_update": OPERATORS,
    "policies_delete": OPERATORS,
    "policies_versions": PEOPLE,
    "policies_version": PEOPLE,
    "credentials_search": frozenset({"agent", "agent_create"}),
    "targets_index": PEOPLE,
    "presets_index": PEOPLE,
    "targets_get": PEOPLE,
    "targets_breaker": PEOPLE,
    "targets_close_breaker": OPERATORS,
    "discovery_index": frozenset(AGENTS),
    "discovery_skill": frozenset(AGENTS),
    "discovery_readme": frozenset(AGENTS),
    "agents_index": PEOPLE,
    "agents_get": PEOPLE,
    "people_index": PEOPLE,
    "people_get": PEOPLE,
    "people_installation": EVERYBODY,
    "audit_index": PEOPLE,
    "accounts_identities": PEOPLE,
    "accounts_groups": PEOPLE,
    "accounts_delegations": PEOPLE,
    "accounts_preferences": PEOPLE,
    "webhooks_channels": PEOPLE,
    "webhooks_undelivered": PEOPLE,
    "accounts_link": frozenset(),  # by somebody who is signed in, and their password
    **dict.fromkeys(
        (
            "webhooks_index",
            "webhooks_create",
            "webhooks_get",
            "webhooks_update",
            "webhooks_delete",
            "webhooks_rotate",
            "webhooks_deliveries",
            "webhooks_attempts",
            "webhooks_resend",
            "webhooks_send_again",
            "connections_index",
            "connections_connect",
            "connections_disconnect",
        ),
        OPERATORS,
    ),
}
"""Who may call what; an operation that is not named is the administrators'."""

OWN: Final = frozenset({"people_change_password", "session_sign_out", "accounts_delegate"})
"""Operations on the caller's own account: for people, and tested beside it.

Likewise one's own accounts, leave and preferences (``accounts_unlink``,
``accounts_revoke_delegation``, ``accounts_prefer``): a key does not change them, unless it is an
administrator's (tests/services/test_accounts.py).
"""

BODIES: Final[dict[str, Any]] = {
    "requests_create": {"action": "x"},
    "requests_decide": {"decision": "deny", "digest": "0" * 64},
    "selections_decide": {"decision": "deny", "items": [{"id": "x", "digest": "0" * 64}]},
    "requests_cancel": {},
    "queue_submit": {"requests": [{"method": "POST", "path": "/x"}]},
    "queue_submit_account": {"requests": [{"method": "POST", "path": "/x"}]},
    "ssh_execute": {"command": "true"},
    "ssh_read_file": {"path": "/x"},
    "ssh_write_file": {"path": "/x", "content": ""},
    "queue_withdraw": {},
    "queue_withdraw_account": {},
    "requests_settle": {"ran": True, "note": "looked"},
    "policies_create": {"name": "p", "rules": [{"name": "r", "effect": "review"}]},
    "policies_update": {
        "document": {"name": "p", "rules": [{"name": "r", "effect": "review"}]},
        "version": 1,
    },
    "policies_dry_run": {"action": "x"},
    "targets_create": {"name": "t", "base_url": "https://api.example.org"},
    "targets_update": {"description": "d"},
    "targets_look_at_host_key": {},
    "targets_enrol_host_key": {"key": "x"},
    "credentials_create": {"name": "c", "kind": "bearer", "fields": {"token": "abcdefgh"}},
    "credentials_update": {"description": "d"},
    "credentials_grant": {"target_id": "tgt_x"},
    "credentials_revoke": {"target_id": "tgt_x"},
    "connections_create": {
        "name": "c", "kind": "client_credentials", "client_id": "x", "client_secret": "abcdefgh",
        "token_url": "https://id.example.org/token",
    },
    "connections_replace": {
        "kind": "client_credentials", "client_id": "x", "client_secret": "abcdefgh",
        "token_url": "https://id.example.org/token",
    },
    "agents_create": {"name": "a"},
    "agents_update": {"description": "d"},
    "agents_create_key": {"name": "k", "scopes": ["request:read"], "agent_id": "agt_x"},
    "agents_rename_key": {"name": "n"},
    "agents_rotate_key": {},
    "people_create": {
        "name": "p", "email": "p@example.org", "role": "viewer",
        "password": "correct-horse-battery",
    },
    "people_update": {"name": "n"},
    "people_change_password": {"old": "a", "new": "correct-horse-battery"},
    "people_set_installation": {"owner_may_decide": False},
    "accounts_link": {"person_id": "per_x", "channel": "slack", "account": "T1:U1"},
    "accounts_create_group": {"name": "g"},
    "accounts_update_group": {"name": "g"},
    "accounts_delegate": {
        "delegate_id": "per_x", "starts_at": "2100-01-01T00:00:00Z",
        "ends_at": "2100-01-02T00:00:00Z",
    },
    "accounts_prefer": {"muted": True},
    "webhooks_create": {"name": "w", "url": "https://hooks.example.org/x"},
    "webhooks_update": {"enabled": False},
    "webhooks_resend": {},
    "webhooks_send_again": {},
}  # fmt: skip


async def status(door: Door, operation: Operation, who: str | None) -> int:
    """Return the status that an answer begins with; a stream is cut there."""
    path = operation.path
    while "{" in path:
        name = path[path.index("{") + 1 : path.index("}")]
        path = path.replace(f"{{{name}}}", "1" if name == "version" else "none_1")
    headers = [(b"host", b"127.0.0.1:8700"), (b"content-type", b"application/json")]
    if who is not None:
        headers.append((b"authorization", f"Bearer {door.keys[who]}".encode()))
    body = json.dumps(BODIES.get(operation.name)).encode() if operation.body is not None else b""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    started: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.append(message["status"])

    await door.app(
        {
            "type": "http", "http_version": "1.1", "method": operation.method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "headers": headers, "root_path": "",
            "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
        },
        receive,
        send,
    )  # fmt: skip
    return started[0]


def test_every_changing_body_is_covered() -> None:
    named = {operation.name for operation in OPERATIONS}
    bodies = {operation.name for operation in OPERATIONS if operation.body is not None}
    assert set(ALLOWED) | OWN <= named
    assert bodies - {"session_sign_in"} == set(BODIES)
    assert len(named) == len(OPERATIONS)


@pytest.mark.requirement("KEY-2", "T21", "T23")
async def test_the_matrix(door: Door) -> None:
    wrong: list[str] = []
    for operation in OPERATIONS:
        if operation.public or operation.name in OWN:
            continue
        allowed = ALLOWED.get(operation.name, ADMIN)
        for who in (None, *EVERYBODY):
            got = await status(door, operation, who)
            good = got == 401 if who is None else (got not in (401, 403)) is (who in allowed)
            if not good or got >= 500 or got == 400:
                wrong.append(f"{operation.name} as {who}: {got}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.requirement("T23")
async def test_settling_needs_an_operator(door: Door) -> None:
    request = await door.pending()
    for who, expected in (("approver", 403), ("operator", 409), ("admin", 409)):
        client = await door.client(who)
        answer = await client.post(
            f"/api/requests/{request.id}/settle", json={"ran": True, "note": "looked"}
        )
        assert answer.status_code == expected, who


@pytest.mark.requirement("T21")
async def test_keys_do_not_touch_accounts(door: Door) -> None:
    for operation in OPERATIONS:
        if operation.name in OWN:
            for who in AGENTS:
                assert await status(door, operation, who) == 401
            assert await status(door, operation, None) == 401


def _leaves(routes: list[BaseRoute]) -> list[Route]:
    return [route for route in routes if isinstance(route, Route)]


@pytest.mark.requirement("T33")
async def test_no_route_lacks_authentication(door: Door) -> None:
    """Every API route is an operation, and only the listed ones answer to nobody."""
    listed = {(operation.method, operation.path) for operation in OPERATIONS}
    public = {(op.method, op.path) for op in OPERATIONS if op.public}
    assert public | {("GET", "/openapi.json")} == PUBLIC
    for route in _leaves(door.app.router.routes):
        if not route.path.startswith("/api"):
            continue
        for method in (route.methods or set()) - {"HEAD"}:
            assert (method, route.path) in listed


@pytest.mark.requirement("T21")
async def test_the_doors_refuse_keys_that_ask_and_decide(door: Door) -> None:
    client = await door.client("admin")
    owner = {"agent_id": door.world.agent.id}
    for scopes in (
        ["request:create", "request:decide"], ["request:create", "admin"], ["request:decide"],
        ["policy:write"], [], ["*"],
    ):  # fmt: skip
        answer = await client.post("/api/keys", json={"name": "k", "scopes": scopes, **owner})
        assert answer.status_code == 400, scopes
    person = {"person_id": door.people["admin"].id}
    answer = await client.post(
        "/api/keys", json={"name": "k", "scopes": ["request:create", "admin"], **person}
    )
    assert answer.json()["code"] == "scope_conflict"


@pytest.mark.requirement("T23")
async def test_a_role_bounds_the_keys_of_its_person(door: Door) -> None:
    client = await door.client("admin")
    answer = await client.post(
        "/api/keys",
        json={"name": "k", "scopes": ["admin"], "person_id": door.people["viewer"].id},
    )
    assert answer.status_code == 400
