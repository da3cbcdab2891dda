"""The hot doors are the router's doors: same addresses, same handlers, same answers."""

import pytest

from app.web.api.operations import OPERATIONS
from app.web.hot import _ALL, _ONE, _handler  # pyright: ignore[reportPrivateUsage]
from tests.web.conftest import Door

HOME = "/api/requests"


def test_the_table_is_the_operations() -> None:
    known = {(op.method, op.path): op.handler for op in OPERATIONS}
    for method, handler in _ALL.items():
        assert known[method, HOME] is handler
    for (method, what), handler in _ONE.items():
        path = f"{HOME}/{{request_id}}" + (f"/{what}" if what else "")
        assert known[method, path] is handler


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/requests/"), ("GET", "/api/requests/x/"), ("GET", "/api/requestsx"),
        ("GET", "/api/requests//decide"), ("POST", "/api/requests/x"), ("DELETE", HOME),
        ("GET", "/api/requests/x/decide"), ("POST", "/api/requests/x/decide/"),
        ("POST", "/api/requests/x/y/decide"), ("HEAD", HOME), ("get", HOME), ("GET", "/"),
    ],
)  # fmt: skip
def test_everything_else_goes_to_the_router(method: str, path: str) -> None:
    scope = {"type": "http", "method": method, "path": path}
    assert _handler(scope) is None
    assert "path_params" not in scope


@pytest.mark.requirement("REQ-3")
async def test_near_misses_are_problems(door: Door) -> None:
    client = await door.client("agent")
    for method, path, status in (
        ("GET", "/api/requests/x/", 404),
        ("GET", "/api/requests//decide", 404),
        ("PUT", "/api/requests/x", 405),
        ("GET", "/api/requests/x/decide", 405),
        ("HEAD", "/api/requests", 200),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == status, (method, path)


@pytest.mark.requirement("REQ-3")
async def test_what_is_kept_reads_like_what_is_rendered(door: Door) -> None:
    """A request that was read before is answered from what was kept, until it changes."""
    agent = await door.client("agent")
    made = (await agent.post(HOME, json={"action": "send_mail"})).json()
    path = f"{HOME}/{made['id']}"
    first, second = await agent.get(path), await agent.get(path)
    assert first.json() == made
    assert first.content == second.content == (await agent.get(f"{path}?wait=0")).content
    assert (await agent.post(f"{path}/cancel")).json()["status"] == "cancelled"
    assert (await agent.get(path)).json()["status"] == "cancelled"


@pytest.mark.requirement("REQ-1")
async def test_several_headers_of_one_name_are_seen(door: Door) -> None:
    client = await door.client("agent")
    key = client.headers["authorization"]
    answer = await client.get(HOME, headers=[("Authorization", key), ("Authorization", key)])
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")
