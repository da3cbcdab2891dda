"""Hostile JSON is refused before anything looks at it (T24, T36)."""

import pytest

from app.web.api.operations import OPERATIONS
from app.web.contract import Operation
from tests.web.conftest import Door

JSON = "application/json"
CHANGING = [op for op in OPERATIONS if op.body is not None]

HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "array": b"[]",
    "string": b'"x"',
    "null": b"null",
    "cut": b'{"action": "x"',
    "trailing": b'{"action": "x"} {}',
    "comma": b'{"action": "x",}',
    "single_quotes": b"{'action': 'x'}",
    "comment": b'{"action": "x"} // hi',
    "duplicate": b'{"action": "x", "action": "y"}',
    "duplicate_nested": b'{"action": "x", "params": {"a": 1, "a": 2}}',
    "duplicate_escaped": b'{"action": "x", "\\u0061ction": "y"}',
    "nan": b'{"action": "x", "params": {"a": NaN}}',
    "infinity": b'{"action": "x", "params": {"a": -Infinity}}',
    "overflow": b'{"action": "x", "params": {"a": 1e999}}',
    "big_integer": b'{"action": "x", "params": {"a": 9007199254740993}}',
    "many_digits": b'{"action": "x", "params": {"a": ' + b"9" * 5000 + b"}}",
    "lone_surrogate": b'{"action": "x", "params": {"a": "\\ud800"}}',
    "lone_surrogate_key": b'{"action": "x", "params": {"\\udfff": 1}}',
    "nul": b'{"action": "x", "params": {"a": "\\u0000"}}',
    "raw_control": b'{"action": "x", "params": {"a": "\x01"}}',
    "latin1": '{"action": "x", "reason": "é"}'.encode("latin-1"),
    "overlong": b'{"action": "x", "reason": "\xc0\xaf"}',
    "utf16": '{"action": "x"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"action": "x"}',
    "deep": b'{"action": "x", "params": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "bottomless": b"[" * 100_000,
}


@pytest.mark.requirement("T36")
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bodies_are_400(door: Door, name: str) -> None:
    client = await door.client("agent")
    answer = await client.post(
        "/api/requests", content=HOSTILE[name], headers={"Content-Type": JSON}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "malformed_json"
    assert (await client.get("/api/requests")).json()["items"] == []


@pytest.mark.requirement("T13", "T36")
@pytest.mark.parametrize(
    "kind",
    [
        None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
        "application/json; charset=utf-16", "application/json; charset=iso-8859-1",
        "application/jsonp", "application/problem+json", "text/json",
    ],
)  # fmt: skip
async def test_other_types_are_415(door: Door, kind: str | None) -> None:
    client = await door.client("agent")
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await client.post("/api/requests", content=b'{"action": "x"}', headers=headers)
    assert answer.status_code == 415


@pytest.mark.requirement("T36")
@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'Application/JSON; charset="UTF-8"']
)
async def test_utf8_may_be_named(door: Door, kind: str) -> None:
    client = await door.client("agent")
    answer = await client.post(
        "/api/requests", content=b'{"action": "x"}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 202


@pytest.mark.requirement("T24")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": 1}, "/action"),
        ({"action": "x", "expires_in": "10"}, "/expires_in"),
        ({"action": "x", "expires_in": True}, "/expires_in"),
        ({"action": "x", "expires_in": 0}, "/expires_in"),
        ({"action": "x", "urgency": "URGENT"}, "/urgency"),
        ({"action": "x", "params": []}, "/params"),
        ({"action": "X"}, "/action"),
        ({"action": "http.request"}, "/params/method"),
        ({"action": "ssh.exec"}, "/action"),
        ({"action": "x", "reason": "r" * 2001}, "/reason"),
    ],
)
async def test_wrong_fields_are_pointed_at(
    door: Door, body: dict[str, object], pointer: str
) -> None:
    answer = await (await door.client("agent")).post("/api/requests", json=body)
    assert answer.status_code == 400
    assert answer.json()["pointer"] == pointer


@pytest.mark.requirement("T67")
async def test_the_cap_holds_while_reading(door: Door) -> None:
    most = door.world.services.settings.max_body_bytes
    client = await door.client("agent")
    read = 0

    async def drip() -> "object":
        nonlocal read
        for _ in range(100):
            read += 65_536
            yield b" " * 65_536

    answer = await client.post("/api/requests", content=drip(), headers={"Content-Type": JSON})  # pyright: ignore[reportArgumentType]
    assert answer.status_code == 413
    for length in (most + 1, "9" * 5000):
        headers = {"Content-Type": JSON, "Content-Length": str(length)}
        answer = await client.post("/api/requests", content=b"{}", headers=headers)
        assert answer.status_code == 413


@pytest.mark.requirement("T24")
@pytest.mark.parametrize("operation", CHANGING, ids=lambda op: op.name)
async def test_no_body_takes_unknown_fields(door: Door, operation: Operation) -> None:
    path = operation.path
    for name in ("request_id", "policy_id", "target_id", "credential_id", "agent_id", "key_id"):
        path = path.replace(f"{{{name}}}", "x_1")
    who = "agent" if operation.name in ("requests_create", "requests_cancel") else "admin"
    client = await door.client(who)
    answer = await client.request(operation.method, path, json={"is_admin": True})
    assert answer.status_code == 400, (operation.name, answer.text)
    assert answer.json()["code"] in ("invalid_field", "invalid_policy")


@pytest.mark.requirement("T36")
async def test_addresses_hold_no_nul(any_door: Door) -> None:
    client = await any_door.client("admin")
    for address in ("/api/requests/%00", "/api/keys?agent_id=%00", "/api/agents/a%00b"):
        answer = await client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_filter"), address
