"""The HTTP executor: what goes out, what comes back, and that no secret does."""

import gzip
import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from app.core.credentials import build_injection
from app.core.instant import Instant
from app.core.outcome import HttpPlan, Injection, NotStarted, Outcome
from app.core.redaction import Redactor
from tests.support.upstream import Upstream
from workers.executors.http import HttpExecutor
from workers.executors.http_client import HttpClient

SECRET = "hunter2-hunter2"
NOW = Instant(1_440_938_160_000_000)
KEY = build_injection("headers", {"X-Api-Key": SECRET}, NOW)

NOTHING = Injection()


@dataclass
class Bench:
    """An executor and an upstream."""

    upstream: Upstream
    executor: HttpExecutor
    marks: int = 0

    async def run(
        self,
        path: str,
        injection: Injection = NOTHING,
        **plan: Any,
    ) -> Outcome:
        values: dict[str, Any] = {
            "method": "GET",
            "base_url": self.upstream.url,
            "path": path,
            "query": "",
            "headers": (),
            "body": b"",
            "networks": ("127.0.0.0/8",),
        }
        return await self.executor.execute(HttpPlan(**values | plan), injection, self.mark)

    async def mark(self) -> None:
        self.marks += 1


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Upstream() as upstream:
        executor = HttpExecutor(HttpClient())
        yield Bench(upstream, executor)
        await executor.close()


@pytest.mark.requirement("T67")
async def test_a_large_answer_is_searched_on_another_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, here = Redactor.bytes, list[bool]()

    def spied(self: Redactor, data: bytes) -> tuple[bytes, int]:
        here.append(threading.current_thread() is threading.main_thread())
        return search(self, data)

    monkeypatch.setattr(Redactor, "bytes", spied)
    body = b"[redacted]" * 10_000
    outcome = await bench.run("/echo", KEY, method="POST", body=body)
    assert body in outcome.result.body
    assert here == [False]


@pytest.mark.requirement("EXE-2")
async def test_the_approved_call_goes_out_as_approved(bench: Bench) -> None:
    outcome = await bench.run(
        "/a%20b",
        method="POST",
        base_url=f"{bench.upstream.url}/echo/",
        query="x=%41&y",
        headers=(("content-type", "text/plain"),),
        body=b"hello",
    )
    seen = bench.upstream.log[0]
    assert (seen.method, seen.target, seen.body) == ("POST", "/echo/a%20b?x=%41&y", b"hello")
    assert seen.headers[1:] == (
        ("content-type", "text/plain"),
        ("user-agent", "assentry"),
        ("accept-encoding", "identity"),
        ("Content-Length", "5"),
    )
    assert (outcome.succeeded, outcome.code, outcome.result.status) == (True, "ok", 200)
    assert json.loads(outcome.result.body)["method"] == "POST"
    assert outcome.result.headers == (("content-type", "application/json"),)
    assert outcome.duration_ms >= 0
    assert bench.marks == 1


@pytest.mark.requirement("EXE-2")
@pytest.mark.parametrize(
    ("status", "succeeded"), [(204, True), (302, True), (404, False), (500, False)]
)
async def test_the_status_decides(bench: Bench, status: int, *, succeeded: bool) -> None:
    outcome = await bench.run(f"/status/{status}", method="HEAD")
    assert outcome.succeeded is succeeded
    assert outcome.code == ("ok" if succeeded else "upstream_status")
    assert outcome.result.status == status


@pytest.mark.requirement("GW-3")
@pytest.mark.requirement("T45")
async def test_injected_headers_replace_the_agents(bench: Bench) -> None:
    await bench.run("/echo", KEY, headers=(("x-api-key", "mine"), ("x-a", "1")))
    seen = bench.upstream.log[0]
    assert seen.header("x-api-key") == [SECRET]
    assert seen.header("x-a") == ["1"]


@pytest.mark.requirement("GW-3")
async def test_injected_parameters_follow_the_agents(bench: Bench) -> None:
    injection = build_injection("query", {"api key": "s3cret&v=1"}, NOW)
    outcome = await bench.run("/echo", injection, query="a=%41&&b")
    assert bench.upstream.log[0].target == "/echo?a=%41&&b&api%20key=s3cret%26v%3D1"
    for query in ("api+key=mine", "a=1&api%20key", "%61pi+key=x"):
        with pytest.raises(NotStarted, match="the credential adds"):
            await bench.run("/echo", injection, query=query)
    assert b"s3cret" not in outcome.result.body


@pytest.mark.requirement("GW-3")
@pytest.mark.parametrize(
    ("kind", "fields", "sent"),
    [
        ("bearer", {"token": SECRET}, f"Bearer {SECRET}"),
        (
            "basic",
            {"username": "u", "password": SECRET},
            "Basic dTpodW50ZXIyLWh1bnRlcjI=",
        ),
    ],
)
async def test_authorization_is_sent_and_redacted(
    bench: Bench, kind: str, fields: dict[str, str], sent: str
) -> None:
    outcome = await bench.run("/echo", build_injection(kind, fields, NOW))
    assert bench.upstream.log[0].header("authorization") == [sent]
    assert outcome.result.redacted == 1
    assert sent.split()[1].encode() not in outcome.result.body


@pytest.mark.requirement("T44")
async def test_a_redirect_is_an_answer_and_not_followed(bench: Bench) -> None:
    async with Upstream() as other:
        place = f"{other.url}/echo"
        outcome = await bench.run("/redirect", KEY, headers=(("x-redirect-to", place),))
        assert outcome.result.status == 302
        assert ("location", place) in outcome.result.headers
        assert other.connections == 0


@pytest.mark.requirement("T47")
@pytest.mark.requirement("EXE-2")
@pytest.mark.parametrize("form", ["raw", "base64", "hex", "json", "raw-gzip", "base64-gzip"])
async def test_an_echoed_secret_is_redacted_everywhere(bench: Bench, form: str) -> None:
    outcome = await bench.run(f"/leak/{form}", KEY)
    text = repr(outcome.result)
    assert SECRET not in text
    assert SECRET.encode().hex() not in text
    assert "aHVudGVyMi1odW50ZXIy" not in text
    assert outcome.result.redacted == 3
    assert "set-cookie" not in dict(outcome.result.headers)


@pytest.mark.requirement("T47")
@pytest.mark.parametrize("before", range(90, 101))
async def test_a_secret_across_the_cut_does_not_show_in_part(bench: Bench, before: int) -> None:
    body = b"-" * before + SECRET.encode() * 3
    outcome = await bench.run("/coded/identity", KEY, method="POST", body=body, response_bytes=100)
    assert outcome.result.truncated
    assert len(outcome.result.body) <= 100
    assert b"h" not in outcome.result.body


def _two_members(data: bytes) -> bytes:
    return gzip.compress(data[:5]) + gzip.compress(data[5:])


def _raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", _two_members),
        ("deflate", zlib.compress),
        ("deflate", _raw_deflate),
        ("identity", bytes),
    ],
)
async def test_known_codings_are_taken_off(
    bench: Bench, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    outcome = await bench.run(f"/coded/{coding}", method="POST", body=encode(b"plain text"))
    assert (outcome.result.body, outcome.result.truncated) == (b"plain text", False)
    assert ("content-encoding", coding) not in outcome.result.headers or coding == "identity"


@pytest.mark.requirement("T47")
@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", SECRET.encode()), ("gzip,gzip", b"x"), ("gzip", b"no gzip"), ("deflate", b"\xff\xff")],
)
async def test_what_cannot_be_read_is_withheld(bench: Bench, coding: str, body: bytes) -> None:
    outcome = await bench.run(f"/coded/{coding}", KEY, method="POST", body=body)
    assert (outcome.result.body, outcome.result.truncated) == (b"", True)


async def test_a_cut_gzip_body_is_marked(bench: Bench) -> None:
    outcome = await bench.run("/coded/gzip", method="POST", body=gzip.compress(b"text" * 99)[:-9])
    assert outcome.result.truncated


async def test_an_empty_gzip_body_is_empty(bench: Bench) -> None:
    outcome = await bench.run("/coded/gzip", method="POST")
    assert (outcome.result.body, outcome.result.truncated) == (b"", False)


@pytest.mark.requirement("T48")
async def test_endless_empty_gzip_members_end(bench: Bench) -> None:
    body = gzip.compress(b"") * 10_000
    outcome = await bench.run("/coded/gzip", method="POST", body=body, response_bytes=10)
    assert (outcome.result.body, outcome.result.truncated) == (b"", True)


async def test_a_body_of_exactly_the_cap_is_whole(bench: Bench) -> None:
    outcome = await bench.run("/huge/65536", response_bytes=65_536)
    assert (len(outcome.result.body), outcome.result.truncated) == (65_536, False)


@pytest.mark.requirement("T45")
async def test_headers_of_the_connection_and_cookies_are_dropped(bench: Bench) -> None:
    outcome = await bench.run("/hop")
    assert outcome.result.headers == (("x-kept", "1"), ("x-kept", "2"))


@pytest.mark.requirement("GW-4")
@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"path": "/../x"}, "invalid_action"),
        ({"path": "//evil.example"}, "invalid_action"),
        ({"path": "/a?b"}, "invalid_action"),
        ({"query": "a#b"}, "invalid_action"),
        ({"base_url": "http://127.1"}, "invalid_field"),
        ({"base_url": "ftp://a.example"}, "invalid_field"),
        ({"method": "TRACE"}, "invalid_action"),
        ({"method": "GET\r\nX: 1"}, "invalid_action"),
        ({"headers": (("host", "evil.example"),)}, "invalid_action"),
        ({"networks": ()}, "address_not_allowed"),
        ({"networks": ("10.0.0.0/8", "rubbish")}, "address_not_allowed"),
    ],
)
async def test_what_is_not_acceptable_today_does_not_start(
    bench: Bench, plan: dict[str, Any], code: str
) -> None:
    values: dict[str, Any] = {"path": "/echo"} | plan
    with pytest.raises(NotStarted) as caught:
        await bench.run(**values)
    assert caught.value.code == code
    assert not caught.value.retryable
    assert (bench.marks, bench.upstream.log) == (0, [])


@pytest.mark.parametrize("line", [("x-key", "a\r\nb"), ("host", "evil"), ("x key", "a")])
async def test_an_injection_that_breaks_out_does_not_start(
    bench: Bench, line: tuple[str, str]
) -> None:
    with pytest.raises(NotStarted):
        await bench.run("/echo", Injection(headers=(line,)))
    assert bench.marks == 0


@pytest.mark.requirement("T48")
async def test_a_bomb_costs_no_more_than_the_cap(bench: Bench) -> None:
    outcome = await bench.run("/bomb/200", response_bytes=10_000)
    assert (len(outcome.result.body), outcome.result.truncated) == (10_000, True)
