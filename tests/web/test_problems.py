"""Every error has one status, one shape, and gives nothing away."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core import errors
from app.web import problems
from tests.web.conftest import Door


def concrete(family: type[errors.AssentryError]) -> Iterator[type[errors.AssentryError]]:
    """Yield a class and all below it."""
    yield family
    for below in family.__subclasses__():
        yield from concrete(below)


EVERY = sorted(set(concrete(errors.AssentryError)) - {errors.AssentryError}, key=lambda e: e.code)


@pytest.mark.requirement("REQ-1")
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.code)
def test_every_error_has_a_status_and_a_document(kind: type[errors.AssentryError]) -> None:
    answer = problems.problem(kind(), "call-1")
    assert 400 <= answer.status_code < 600
    assert answer.status_code != 500
    assert answer.media_type == "application/problem+json"
    assert f'"code":"{kind.code}"'.encode() in answer.body
    assert b'"instance":"call-1"' in answer.body


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", [errors.RateLimited, errors.StoreBusy])
def test_what_may_be_tried_again_says_when(kind: type[errors.AssentryError]) -> None:
    assert problems.problem(kind()).headers["retry-after"] == "1"
    assert problems.problem(kind(retry_after=2.2)).headers["retry-after"] == "3"


async def test_an_extra_never_replaces_a_member() -> None:
    answer = problems.problem(errors.Conflict(extra={"status": "approved", "winner": "x"}))
    assert b'"status":409' in answer.body
    assert b'"winner":"x"' in answer.body


@pytest.mark.requirement("T31")
async def test_unauthenticated_calls_are_told_how(door: Door) -> None:
    client = await door.client()
    answer = await client.get("/api/requests")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["instance"] == answer.headers["x-request-id"]


async def test_unknown_addresses_and_methods_are_problems_too(door: Door) -> None:
    client = await door.client("agent")
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/api/requests/", 404),
        ("DELETE", "/api/requests", 405),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


@pytest.mark.requirement("T62")
async def test_a_bug_answers_500_with_headers_and_without_details(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_request: Request) -> Response:
        raise ZeroDivisionError("canary")

    door.app.router.routes.insert(0, Route("/boom", fail))
    answer = await (await door.client("agent")).get("/boom")
    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert answer.json()["instance"] == answer.headers["x-request-id"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    logged = capsys.readouterr()
    text = logged.out + logged.err
    assert text.count(answer.json()["instance"]) == 1
    assert text.count("ZeroDivisionError: canary") == 1
    assert door.keys["agent"] not in text


@pytest.mark.requirement("AUD-1")
async def test_failed_authentications_are_recorded_once_a_minute(door: Door) -> None:
    client = await door.client(headers={"Authorization": "Bearer ask_" + "x" * 43})
    for _ in range(5):
        assert (await client.get("/api/requests")).status_code == 401
    audit: Any = (await (await door.client("admin")).get("/api/audit")).json()
    found = [line for line in audit["items"] if line["event"] == "authentication.failed"]
    assert len(found) == 1
    assert found[0]["details"]["code"] == "invalid_key"
    assert "ask_" not in str(found)
