"""The guard around everything: hosts, headers, answers that failed, streams that began."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.settings import Settings
from app.web.headers import Guard
from tests.web.conftest import Door, Served, open_door

OURS = (b"host", b"127.0.0.1:8700")


async def call(guard: Guard, *headers: tuple[bytes, bytes], **changes: Any) -> tuple[int, Any]:
    """Send one request to a guard and return status and headers (a list for each name)."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"",
        "headers": list(headers), **changes,
    }  # fmt: skip
    await guard(scope, receive, send)
    found: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        found.setdefault(name.decode(), []).append(value.decode())
    return sent[0]["status"], found


async def fine(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def guard(**settings: Any) -> Guard:
    return Guard(fine, Settings.model_validate(settings))


@pytest.mark.requirement("T33")
@pytest.mark.parametrize(
    ("settings", "host", "good"),
    [
        ({}, b"127.0.0.1", True),
        ({}, b"LocalHost:1", True),
        ({}, b"localhost.", False),
        ({}, b"[::1]", True),
        ({}, b"::1", False),
        ({}, b"127.1", False),
        ({}, b"0x7f000001", False),
        ({}, b"assentry.example", False),
        ({}, b"127.0.0.1:8700:8700", False),
        ({}, b"127.0.0.1:", False),
        ({}, b" 127.0.0.1", False),
        ({}, b"127.0.0.1\n", False),
        ({}, "localhos\u0442".encode(), False),
        ({"base_url": "https://Assentry.example/x"}, b"assentry.example", True),
        ({"base_url": "https://assentry.example"}, b"sub.assentry.example", False),
        ({"base_url": "https://assentry.example"}, b"assentry.example.evil.example", False),
        ({"trusted_hosts": "a.example, B.example"}, b"b.example:443", True),
        ({"trusted_hosts": "a.example,"}, b"", False),
        ({"trusted_hosts": "*"}, b"evil.example", False),
        ({"trusted_hosts": "2001:db8::1"}, b"[2001:db8::1]:8700", True),
    ],
)
async def test_only_our_names_are_served(settings: dict[str, str], host: bytes, good: bool) -> None:
    status, _ = await call(guard(**settings), (b"host", host))
    assert status == (200 if good else 400)


@pytest.mark.requirement("T33")
async def test_one_host_and_no_other_header_names_it() -> None:
    assert (await call(guard()))[0] == 400
    assert (await call(guard(), OURS, OURS))[0] == 400
    for name in (b"x-forwarded-host", b"forwarded", b"x-original-host"):
        evil = (b"host", b"evil.example")
        assert (await call(guard(), evil, (name, b"127.0.0.1")))[0] == 400
        assert (await call(guard(), OURS, (name, b"evil.example")))[0] == 200


@pytest.mark.requirement("T14")
async def test_each_header_is_sent_once() -> None:
    for host in (OURS, (b"host", b"evil.example")):
        _, headers = await call(guard(), host)
        assert all(len(values) == 1 for values in headers.values()), headers
        policy = headers["content-security-policy"][0]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert headers["cache-control"] == ["no-store"]
        assert "server" not in headers


@pytest.mark.requirement("T14")
async def test_over_tls_browsers_are_told_to_stay_there() -> None:
    secure = guard(base_url="https://assentry.example")
    _, headers = await call(secure, (b"host", b"assentry.example"))
    assert headers["strict-transport-security"] == ["max-age=31536000"]


@pytest.mark.requirement("T33")
@pytest.mark.parametrize("changes", [{"path": "/a\x00"}, {"query_string": b"a=%00"}])
async def test_addresses_with_nul_are_refused(changes: dict[str, Any]) -> None:
    assert (await call(guard(), OURS, **changes))[0] == 400


@pytest.mark.requirement("T62")
async def test_a_bug_before_the_answer_is_500_and_one_after_it_is_raised() -> None:
    async def before(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError("canary")

    async def after(scope: Scope, receive: Receive, send: Send) -> None:
        await fine(scope, receive, send)
        raise ZeroDivisionError("canary")

    status, headers = await call(Guard(before, Settings()), OURS)
    assert status == 500
    assert headers["x-frame-options"] == ["DENY"]
    with pytest.raises(ZeroDivisionError):
        await call(Guard(after, Settings()), OURS)


@pytest.mark.requirement("T14")
async def test_pages_and_files_carry_them_too(door: Door) -> None:
    client = await door.client()
    for path in ("/", "/sign-in", "/static/nothing.js", "/requests/none"):
        headers = (await client.get(path)).headers
        assert headers.get_list("x-content-type-options") == ["nosniff"], path
        assert headers.get_list("x-frame-options") == ["DENY"], path
        assert len(headers.get_list("content-security-policy")) == 1, path


@pytest.mark.requirement("T14")
@pytest.mark.parametrize(
    "path", ["/api/requests", "/api/nothing", "/sign-in", "/static/assentry.css"]
)
async def test_a_server_sends_the_same_headers_as_the_application(
    served: Served, path: str
) -> None:
    inside = await (await served.door.client("agent")).get(path)
    over_the_wire = await served.agent.get(path)
    assert _said(over_the_wire) == _said(inside)
    assert over_the_wire.status_code == inside.status_code


def _said(answer: httpx.Response) -> list[tuple[str, str]]:
    """Return an answer's headers in order of their names, but for what differs each time."""
    own = {"date", "x-request-id", "connection", "set-cookie"}
    return sorted(item for item in answer.headers.multi_items() if item[0] not in own)


@pytest.mark.requirement("T33")
async def test_links_are_built_from_the_base_url_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, trusted_hosts="other.example") as door:
        client = await door.client("agent")
        answer = await client.post(
            "/api/requests",
            json={"action": "x"},
            headers={"Host": "other.example", "X-Forwarded-Host": "evil.example"},
        )
        assert answer.status_code == 202
        assert "other.example" not in answer.text + str(answer.headers)
        assert "evil.example" not in answer.text + str(answer.headers)
