"""Answers that are passed on while they come, on the running server over real sockets."""

import asyncio
import gzip
import hashlib
import random
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from app.core.action import HttpAction, unseal
from app.core.ports import Executor
from app.core.redaction import Redactor
from app.core.request import Status
from app.services.vault import Vault
from app.web.relaying import encoded
from tests.support.canary import CANARY
from tests.support.upstream import Upstream
from tests.web.conftest import Door, Served, serving
from workers.executors.http import HttpExecutor
from workers.executors.http_client import HttpClient
from workers.executors.incoming import text_of

pytestmark = [pytest.mark.requirement("GW-1"), pytest.mark.timeout(60)]

WAIT = 10.0


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    async for piece in answer.aiter_raw():
        yield piece


async def _broken(served: Served, path: str) -> str:
    """Read an answer that breaks off and return the request's id."""
    async with served.agent.stream("GET", path) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
    return str(answer.headers["x-assentry-request"])


async def test_each_event_comes_when_it_is_sent(served: Served) -> None:
    async with served.agent.stream("GET", "/gateway/upstream/sse/3") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        events = _pieces(answer)
        for number in range(3):
            assert await anext(events) == f"data: {number}\n\n".encode()
            served.upstream.release.set()
        assert not [piece async for piece in events]
    request = await served.settled(answer.headers["x-assentry-request"])
    said = served.outcome(request)
    whole = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert request.status is Status.SUCCEEDED
    assert (said["bytes"], said["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
    kept = await served.agent.get(f"/api/requests/{request.id}/result")
    assert kept.json()["body"] == {"text": whole.decode()}


async def test_a_caller_that_leaves_ends_the_call_at_once(served: Served) -> None:
    async with served.agent.stream("GET", "/gateway/upstream/sse/3") as answer:
        pieces = _pieces(answer)
        assert await anext(pieces) == b"data: 0\n\n"
    async with asyncio.timeout(WAIT):
        await served.upstream.gone.wait()
    request = await served.settled(answer.headers["x-assentry-request"])
    said = served.outcome(request)
    assert (request.status, said["status"], said["cut"]) == (
        Status.SUCCEEDED, 200, "caller_left",
    )  # fmt: skip


async def test_a_caller_that_leaves_before_an_answer_leaves_it_unknown(served: Served) -> None:
    async with asyncio.TaskGroup() as group:
        call = group.create_task(served.agent.get("/gateway/upstream/slow"))
        await served.upstream.wait_for(1)
        call.cancel()
    services = served.door.world.services
    async with asyncio.timeout(WAIT):
        with services.store.signals.following() as news:
            while True:
                waiting = await services.requests.waiting(served.door.world.anne)
                if waiting.get(Status.UNKNOWN):
                    break
                await news.get()


@pytest.mark.requirement("EXE-2")
async def test_an_answer_that_breaks_off_is_visibly_broken(served: Served) -> None:
    name = await _broken(served, "/gateway/upstream/cut-later")
    request = await served.settled(name)
    said = served.outcome(request)
    assert (request.status, said["code"], said["cut"], said["status"]) == (
        Status.UNKNOWN, "answer_cut", "answer_cut", 200,
    )  # fmt: skip
    broken = await served.agent.get("/gateway/upstream/truncated")
    assert (broken.status_code, broken.json()["code"]) == (502, "outcome_unknown")


async def test_a_long_answer_keeps_its_length_and_only_its_digest_is_kept(served: Served) -> None:
    answer = await served.agent.get("/gateway/upstream/huge/3000000")
    assert answer.headers["content-length"] == "3000000" and answer.content == bytes(3_000_000)
    request = await served.settled(answer.headers["x-assentry-request"])
    said = served.outcome(request)
    assert (said["bytes"], said["kept"]) == (3_000_000, False)
    assert said["sha256"] == hashlib.sha256(answer.content).hexdigest()
    gone = await served.agent.get(f"/api/requests/{request.id}/result")
    assert (gone.status_code, gone.json()["code"]) == (404, "result_not_kept")
    assert gone.json()["outcome"]["sha256"] == said["sha256"]


@pytest.mark.requirement("T48")
async def test_limits_end_a_stream(served: Served) -> None:
    world = served.door.world
    await world.target(served.upstream.url, "brief", stream_seconds=0.3)
    await world.target(served.upstream.url, "idle", idle_seconds=0.3)
    await world.target(served.upstream.url, "narrow", stream_bytes=10)
    for name, status, cut in (
        ("brief", Status.SUCCEEDED, "stream_seconds"),
        ("idle", Status.UNKNOWN, "answer_cut"),
        ("narrow", Status.SUCCEEDED, "stream_bytes"),
    ):
        if name == "narrow":
            served.upstream.release.set()
        request = await served.settled(await _broken(served, f"/gateway/{name}/sse/9"))
        assert (request.status, served.outcome(request)["cut"]) == (status, cut)


@pytest.mark.requirement("T48")
async def test_a_bomb_is_cut_off(served: Served) -> None:
    request = await served.settled(await _broken(served, "/gateway/upstream/bomb/400"))
    assert served.outcome(request)["cut"] == "unreadable"
    assert served.outcome(request)["bytes"] <= 2 << 20


@pytest.mark.requirement("T47")
async def test_a_stream_is_redacted(served: Served) -> None:
    services = served.door.world.services
    vault: Vault = services.vault
    made = await vault.create(
        served.door.world.anne, name="k", kind="headers", fields={"X-Api-Key": CANARY}
    )
    target = next(iter(await services.targets.list(served.door.world.anne)))
    await services.targets.update(served.door.world.anne, target.id, credential_id=made.id)
    for form in ("raw", "raw-gzip", "base64-gzip"):
        answer = await served.agent.get(f"/gateway/upstream/leak/{form}")
        assert CANARY not in answer.text and "[redacted]" in answer.text
        assert CANARY not in str(answer.headers)
    long = bytes(100_000) + CANARY.encode() + bytes(100_000)
    answer = await served.agent.put("/gateway/upstream/coded/identity", content=long)
    assert answer.status_code == 200, answer.text
    assert answer.content == bytes(100_000) + b"[redacted]" + bytes(100_000)
    assert "content-length" not in answer.headers


@pytest.mark.requirement("T47")
async def test_a_secret_is_found_anywhere_in_a_large_answer(served: Served) -> None:
    services = served.door.world.services
    made = await services.vault.create(
        served.door.world.anne, name="k", kind="headers", fields={"X-Api-Key": CANARY}
    )
    target = next(iter(await services.targets.list(served.door.world.anne)))
    await services.targets.update(served.door.world.anne, target.id, credential_id=made.id)
    clear, secret = random.Random(7).randbytes(300_000), CANARY.encode()
    mixed = "".join(f"%{ord(char):02x}" if char.isalpha() else char for char in CANARY).encode()
    parts = [clear, clear, secret, clear, mixed[:-1], clear, mixed, secret, clear * 4, secret[:-1]]
    answer = await served.agent.put("/gateway/upstream/coded/identity", content=b"".join(parts))
    assert answer.status_code == 200, answer.text
    wanted, count = Redactor([CANARY]).end(Redactor([CANARY]).bytes(b"".join(parts))[0])
    assert count == 1 and answer.content == wanted and wanted.count(b"[redacted]") == 4
    request = await served.settled(answer.headers["x-assentry-request"])
    said = served.outcome(request)
    assert (said["bytes"], said["sha256"]) == (len(wanted), hashlib.sha256(wanted).hexdigest())


async def test_codings_are_taken_off(served: Served) -> None:
    text = b"some text " * 20_000
    answer = await served.agent.put("/gateway/upstream/coded/gzip", content=gzip.compress(text))
    assert answer.content == text and "content-encoding" not in answer.headers
    answer = await served.agent.put("/gateway/upstream/coded/br", content=text)
    assert (answer.status_code, answer.json()["code"]) == (502, "answer_too_large")


@pytest.mark.requirement("T47")
async def test_cookies_pass_only_where_the_target_says_so(served: Served) -> None:
    answer = await served.agent.get("/gateway/upstream/cookies")
    assert "set-cookie" not in answer.headers
    await served.door.world.target(served.upstream.url, "sweet", pass_cookies=True)
    answer = await served.agent.get("/gateway/sweet/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]


async def test_hints_and_trailers_stay_behind(served: Served) -> None:
    answer = await served.agent.get("/gateway/upstream/early")
    assert (answer.status_code, answer.text, answer.headers["x-kept"]) == (200, "the answer", "1")
    answer = await served.agent.get("/gateway/upstream/trailers")
    assert answer.text == "first" and "trailer" not in answer.headers


@pytest.mark.requirement("T60")
async def test_upgrades_are_refused(served: Served) -> None:
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    answer = await served.agent.get("/gateway/upstream/echo", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "upgrade_refused")
    assert not served.upstream.log


@pytest.mark.requirement("EXE-2")
async def test_a_lease_is_kept_while_a_stream_runs(served: Served) -> None:
    services = served.door.world.services
    async with served.agent.stream("GET", "/gateway/upstream/sse/2") as answer:
        pieces = _pieces(answer)
        await anext(pieces)
        name = answer.headers["x-assentry-request"]
        before = await services.requests.get(served.door.world.anne, name)
        await services.execution.leases.renew()
        await services.execution.leases.renew()
        after = await services.requests.get(served.door.world.anne, name)
        assert before.lease_until is not None and after.lease_until is not None
        assert after.lease_until > before.lease_until


@pytest.mark.requirement("EXE-2")
async def test_a_stream_whose_lease_is_lost_ends(served: Served) -> None:
    services = served.door.world.services
    async with served.agent.stream("GET", "/gateway/upstream/sse/2") as answer:
        pieces = _pieces(answer)
        await anext(pieces)
        name = answer.headers["x-assentry-request"]
        await services.store.write(lambda tx: tx.requests.renew(name, 1, tx.now, tx.now))
        await services.sweeps.tick()
        await services.execution.leases.renew()
        await services.execution.leases.renew()
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)
    assert (await served.settled(name)).status is Status.UNKNOWN


# --- the bytes on the wire ---

HEAD = "Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"


async def _raw(served: Served, line: str, lines: str = "", body: bytes = b"") -> int:
    """Send a request byte by byte as given and return the answer's status; 0 for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = HEAD.format(key=served.door.keys["agent"])
    writer.write(f"{line}\r\n{head}{lines}\r\n".encode("latin-1") + body)
    async with asyncio.timeout(WAIT):
        first = await reader.readline()
    writer.close()
    return int(first.split()[1]) if first else 0


@pytest.mark.requirement("T43", "T46", "GW-2")
@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.example/gateway/upstream/echo HTTP/1.1",
        "GET //evil.example/gateway/upstream/echo HTTP/1.1",
        "GET /gateway/upstream/../../echo HTTP/1.1",
        "GET /gateway/upstream/./echo HTTP/1.1",
        "GET /gateway/upstream/%2e%2e/echo HTTP/1.1",
        "GET /gateway/upstream/%252e%252e/echo HTTP/1.1",
        "GET /gateway/upstream/echo%2f..%2fadmin HTTP/1.1",
        "GET /gateway/upstream/echo%5c..%5cadmin HTTP/1.1",
        "GET /gateway/upstream/\\..\\admin HTTP/1.1",
        "GET /gateway/upstream@evil.example/echo HTTP/1.1",
        "GET /gateway/evil.example:80/echo HTTP/1.1",
        "GET /gateway/upstream/echo%00 HTTP/1.1",
        "GET /gateway/upstream/echo%0d%0aX:1 HTTP/1.1",
        "GET /gateway/upstream//echo HTTP/1.1",
        "GET /gateway/upstream/echo;a=b HTTP/1.1",
        "CONNECT 127.0.0.1:80 HTTP/1.1",
        "TRACE /gateway/upstream/echo HTTP/1.1",
        "PROPFIND /gateway/upstream/echo HTTP/1.1",
    ],
)
async def test_odd_request_lines_reach_nobody(served: Served, line: str) -> None:
    status = await _raw(served, line, "Connection: close\r\n")
    assert 400 <= status < 500 or status == 0, status
    assert not served.upstream.log


@pytest.mark.requirement("T45", "T46", "GW-2")
@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ("Content-Length: 4\r\nContent-Length: 5\r\n", b"four5"),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        ("Content-Length: +4\r\n", b"four"),
        ("Content-Length: 4, 4\r\n", b"four"),
        ("X-A: 1\r\n continued\r\nContent-Length: 0\r\n", b""),
        ("X-A : 1\r\n", b""),
        ("X-HTTP-Method-Override: DELETE\r\n", b""),
        ("X-Method-Override: DELETE\r\n", b""),
        ("X-Original-URL: /admin\r\n", b""),
        ("Host: evil.example\r\n", b""),
        ("Upgrade: tls/1.3\r\nConnection: upgrade\r\n", b""),
    ],
)
async def test_ambiguous_framing_reaches_nobody(served: Served, lines: str, body: bytes) -> None:
    status = await _raw(served, "PUT /gateway/upstream/echo HTTP/1.1", lines, body)
    assert 400 <= status < 500 or status == 0, status
    assert not served.upstream.log


@pytest.mark.requirement("T45")
async def test_what_connection_names_stays_here(served: Served) -> None:
    lines = "Connection: X-Api-Key, close\r\nX-Api-Key: mine\r\nX-Kept: 1\r\n"
    assert await _raw(served, "GET /gateway/upstream/echo HTTP/1.1", lines) == 200
    (got,) = served.upstream.log
    assert got.header("x-kept") == ["1"] and not got.header("x-api-key")
    assert not got.header("connection") and not got.header("authorization")


@pytest.mark.requirement("T43", "GW-2")
async def test_policy_and_upstream_see_the_same_bytes(served: Served) -> None:
    """What was stored and judged, beside the line and body that came out of the socket."""
    draw = random.Random(47)
    plain = "abcXYZ019-._~!$&'()*+,=:@"
    for _ in range(40):
        part = "".join(draw.choice([*plain, "%20", "%C3%A9", "%7B", "..."]) for _ in range(12))
        query = "".join(draw.choice([*plain, "%2F", "/", "?", "%25"]) for _ in range(8))
        body = draw.randbytes(draw.randrange(64))
        path = f"/echo/{part}x?{query}"
        length = f"Content-Length: {len(body)}\r\n"
        status = await _raw(served, f"PUT /gateway/upstream{path} HTTP/1.1", length, body)
        assert status == 200, path
        got = served.upstream.log[-1]
        page = await served.agent.get("/api/requests?limit=1")
        stored = page.json()["items"][0]
        found = await served.door.world.services.requests.get(served.door.world.anne, stored["id"])
        action = unseal(found.payload).action
        assert isinstance(action, HttpAction)
        assert got.target == path == f"{action.path}?{action.query}"
        assert got.body == body == action.body and got.method == action.method


async def test_an_answer_has_one_date_and_is_of_one_request(served: Served) -> None:
    answer = await served.agent.get("/gateway/upstream/dated")
    assert answer.status_code == 200, answer.text
    assert len(answer.headers.get_list("date")) == 1
    (name,) = answer.headers.get_list("x-assentry-request")
    assert (await served.settled(name)).status is Status.SUCCEEDED


# --- over TLS ---


@pytest.fixture
async def secure(door: Door) -> AsyncIterator[Served]:
    """The same with an upstream that shows a certificate of an authority made for the test."""
    async with Upstream(tls=True) as upstream, serving(door, upstream) as opened:
        executor = HttpExecutor(HttpClient(ssl_context=upstream.client_context()))
        executors = cast("dict[str, Executor[Any]]", door.world.services.execution.executors)
        executors["http"] = executor
        yield opened
        await executor.close()


async def test_streams_come_event_by_event_over_tls(secure: Served) -> None:
    for _ in range(2):
        async with secure.agent.stream("GET", "/gateway/upstream/sse/2") as answer:
            events = _pieces(answer)
            for number in range(2):
                assert await anext(events) == f"data: {number}\n\n".encode()
                secure.upstream.release.set()
            assert not [piece async for piece in events]
        request = await secure.settled(answer.headers["x-assentry-request"])
        assert (request.status, secure.outcome(request)["bytes"]) == (Status.SUCCEEDED, 18)
    assert secure.upstream.connections == 1, "a connection is used again"


async def test_large_bodies_and_answers_pass_over_tls(secure: Served) -> None:
    sent = random.Random(3).randbytes(3 << 20)
    answer = await secure.agent.put("/gateway/upstream/coded/identity", content=sent)
    assert answer.status_code == 200 and answer.content == sent
    assert [got.body == sent for got in secure.upstream.log] == [True]


@pytest.mark.requirement("EXE-2")
async def test_what_breaks_off_over_tls_is_no_success(secure: Served) -> None:
    for path in ("cut-later", "truncated-chunks"):
        request = await secure.settled(await _broken(secure, f"/gateway/upstream/{path}"))
        assert (request.status, secure.outcome(request)["cut"]) == (Status.UNKNOWN, "answer_cut")
    for path in ("truncated", "drop", "reset"):
        answer = await secure.agent.get(f"/gateway/upstream/{path}")
        assert (answer.status_code, answer.json()["code"]) == (502, "outcome_unknown"), path


async def test_a_caller_that_leaves_ends_the_call_over_tls(secure: Served) -> None:
    async with secure.agent.stream("GET", "/gateway/upstream/sse/3") as answer:
        await anext(_pieces(answer))
    async with asyncio.timeout(WAIT):
        await secure.upstream.gone.wait()
    request = await secure.settled(answer.headers["x-assentry-request"])
    assert secure.outcome(request)["cut"] == "caller_left"


async def test_an_upstream_of_an_unknown_authority_gets_nothing(door: Door) -> None:
    async with Upstream(tls=True) as upstream, serving(door, upstream) as opened:
        answer = await opened.agent.get("/gateway/upstream/echo")
        assert (answer.status_code, answer.json()["code"]) == (502, "not_carried_out")
        assert not upstream.log


def test_a_line_beyond_ascii_is_written_as_it_came() -> None:
    line = b'attachment; filename="r\xc3\xa9sum\xc3\xa9.txt"'
    name, value = text_of(b"content-disposition", line)
    assert encoded(((name, value),), "req_1")[0] == (b"content-disposition", line)


@pytest.mark.requirement("T47")
def test_a_secret_in_a_line_of_an_older_server_is_found() -> None:
    secret = "geheim-f\xfcr-\xe9t\xe9"
    for encoding in ("utf-8", "latin-1"):
        _, value = text_of(b"x-echo", f"<{secret}>".encode(encoding))
        assert Redactor([secret]).text(value) == ("<[redacted]>", 1)
