"""The client's promises, proven on real sockets: the mark, the checked address, one try."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from app.core.outcome import Ambiguous, NotStarted
from tests.support.upstream import DEADLINE, Upstream
from workers.executors import flight
from workers.executors.http_call import Answer, Call
from workers.executors.http_client import HttpClient

ANY = "0.0.0.0"
LOOPBACK = ("127.0.0.0/8",)


class Mark:
    """Counts how often the client said that it is about to send."""

    def __init__(self, action: Callable[[], Awaitable[None]] | None = None) -> None:
        self.calls = 0
        self._action = action

    async def __call__(self) -> None:
        self.calls += 1
        if self._action is not None:
            await self._action()


class Names:
    """A resolver whose answers the test writes; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@dataclass
class Rig:
    """A client and an upstream."""

    upstream: Upstream
    client: HttpClient

    def call(self, target: str, method: str = "GET", host: str = "127.0.0.1") -> Call:
        return Call(
            method=method,
            scheme="https" if self.upstream.tls else "http",
            authority=f"{host}:{self.upstream.port}",
            host=host,
            target=target,
            headers=(),
            body=b"",
            read_bytes=1_000_000,
            connect_seconds=DEADLINE,
            total_seconds=2 * DEADLINE,
            networks=LOOPBACK,
        )


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Upstream() as upstream:
        client = HttpClient()
        yield Rig(upstream, client)
        await client.close()


async def _not_started(client: HttpClient, call: Call, code: str) -> NotStarted:
    mark = Mark()
    with pytest.raises(NotStarted) as caught:
        await client.exchange(call, mark)
    assert caught.value.code == code
    assert mark.calls == 0
    return caught.value


async def _ambiguous(client: HttpClient, call: Call, code: str) -> None:
    mark = Mark()
    with pytest.raises(Ambiguous) as caught:
        await client.exchange(call, mark)
    assert caught.value.code == code
    assert mark.calls == 1


# --- before the mark: nothing left ---------------------------------------------------------------


async def test_a_refused_connection(rig: Rig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
        call = replace(rig.call("/echo"), authority=f"127.0.0.1:{free}")
        assert (await _not_started(rig.client, call, "connect_failed")).retryable


async def test_a_name_that_does_not_resolve(rig: Rig) -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, f"{host}:{port}")

    client = HttpClient(fail)
    await _not_started(client, rig.call("/echo", host="gone.example"), "dns_failed")
    await client.close()


async def test_a_name_without_addresses(rig: Rig) -> None:
    client = HttpClient(Names([]))
    await _not_started(client, rig.call("/echo", host="empty.example"), "dns_failed")
    await client.close()


async def test_a_resolver_that_never_answers(rig: Rig) -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return (host, str(port))

    client = HttpClient(hang)
    call = replace(rig.call("/echo", host="slow.example"), connect_seconds=0.05)
    await _not_started(client, call, "connect_timeout")
    call = replace(call, connect_seconds=DEADLINE, total_seconds=0.05)
    await _not_started(client, call, "connect_timeout")
    await client.close()


async def test_a_tls_handshake_that_never_ends(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        call = replace(rig.call("/echo"), scheme="https", authority=place, connect_seconds=0.2)
        await _not_started(rig.client, call, "connect_timeout")


async def test_tls_with_a_server_that_speaks_none(rig: Rig) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        call = replace(rig.call("/echo"), scheme="https", authority=place)
        await _not_started(rig.client, call, "tls_failed")


async def test_a_certificate_from_an_unknown_authority() -> None:
    async with Upstream(tls=True) as upstream:
        rig = Rig(upstream, HttpClient(ssl_context=ssl.create_default_context()))
        found = await _not_started(rig.client, rig.call("/echo"), "tls_certificate")
        assert not found.retryable
        await rig.client.close()


async def test_a_certificate_for_another_host() -> None:
    async with Upstream(tls=True) as upstream:
        client = HttpClient(Names(["127.0.0.1"]), upstream.client_context())
        rig = Rig(upstream, client)
        await _not_started(client, rig.call("/echo", host="other.example"), "tls_certificate")
        assert upstream.log == []
        await client.close()


async def test_tls_by_name_keeps_name_and_address_apart() -> None:
    async with Upstream(tls=True) as upstream:
        client = HttpClient(Names(["127.0.0.1"]), upstream.client_context())
        answer = await client.exchange(
            Rig(upstream, client).call("/echo", host="localhost"), Mark()
        )
        assert answer.status == 200
        assert upstream.log[0].header("host") == [f"localhost:{upstream.port}"]
        await client.close()


@pytest.mark.requirement("EXE-1")
async def test_a_mark_that_fails_stops_the_call(rig: Rig) -> None:
    class FenceLost(Exception):
        pass

    for error in (FenceLost(), TimeoutError(), ConnectionResetError(), OSError(9, "x")):

        async def fail(error: Exception = error) -> None:
            raise error

        mark = Mark(fail)
        with pytest.raises(type(error)) as caught:
            await rig.client.exchange(rig.call("/echo"), mark)
        assert caught.value is error
        assert mark.calls == 1
    assert (await rig.client.exchange(rig.call("/echo/after"), Mark())).status == 200
    assert [received.target for received in rig.upstream.log] == ["/echo/after"]


async def test_the_mark_comes_after_the_connection_and_before_the_request(rig: Rig) -> None:
    async def look() -> None:
        async with asyncio.timeout(DEADLINE):
            while rig.upstream.connections < 1:  # noqa: ASYNC110 - the accept is on this loop
                await asyncio.sleep(0)
        assert rig.upstream.log == []

    assert (await rig.client.exchange(rig.call("/echo"), Mark(look))).status == 200


async def test_the_total_limit_does_not_run_during_the_mark(rig: Rig) -> None:
    begun = asyncio.get_running_loop().time()

    async def outlast() -> None:
        while asyncio.get_running_loop().time() < begun + 0.6:  # noqa: ASYNC110
            await asyncio.sleep(0)

    call = replace(rig.call("/echo"), total_seconds=0.5)
    assert (await rig.client.exchange(call, Mark(outlast))).status == 200


async def test_a_connection_lost_during_the_mark_is_replaced(rig: Rig) -> None:
    await rig.client.exchange(rig.call("/echo/1"), Mark())
    other = HttpClient()

    async def hang_up() -> None:
        rig.upstream.hang_up()
        await other.exchange(rig.call("/echo/2"), Mark())

    mark = Mark(hang_up)
    assert (await rig.client.exchange(rig.call("/echo/3", "POST"), mark)).status == 200
    assert mark.calls == 1
    assert [received.target for received in rig.upstream.log] == ["/echo/1", "/echo/2", "/echo/3"]
    assert rig.upstream.connections == 3
    await other.close()


@pytest.mark.requirement("EXE-1")
async def test_a_mark_that_grew_old_while_connecting_lets_nothing_leave(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "MARK_SECONDS", -1.0)
    await rig.client.exchange(rig.call("/echo/1"), Mark())
    other = HttpClient()

    async def hang_up() -> None:
        rig.upstream.hang_up()
        await other.exchange(rig.call("/echo/2"), Mark())

    with pytest.raises(NotStarted) as caught:
        await rig.client.exchange(rig.call("/echo/3"), Mark(hang_up))
    assert (caught.value.code, caught.value.retryable) == ("connection_lost", True)
    assert [received.target for received in rig.upstream.log] == ["/echo/1", "/echo/2"]
    await other.close()


# --- after the mark: nobody knows ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/drop", "connection_lost"),
        ("/reset", "connection_lost"),
        ("/truncated", "answer_cut"),
        ("/truncated-chunks", "answer_cut"),
        ("/garbage", "answer_malformed"),
        ("/two-lengths", "answer_malformed"),
        ("/switch", "answer_malformed"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_no_complete_answer_is_ambiguous(
    rig: Rig, target: str, code: str, method: str
) -> None:
    await _ambiguous(rig.client, rig.call(target, method), code)
    assert len(rig.upstream.log) == 1


@pytest.mark.requirement("T48")
async def test_an_answer_that_does_not_come_in_time(rig: Rig) -> None:
    await _ambiguous(rig.client, replace(rig.call("/slow"), total_seconds=0.2), "upstream_timeout")


@pytest.mark.requirement("T48")
async def test_a_trickle_ends_on_time(rig: Rig) -> None:
    call = replace(rig.call("/trickle/1000"), total_seconds=0.2)
    await _ambiguous(rig.client, call, "upstream_timeout")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_kept_connection_that_breaks_is_not_tried_again(rig: Rig, method: str) -> None:
    await rig.client.exchange(rig.call("/echo/first"), Mark())
    await _ambiguous(rig.client, rig.call("/drop", method), "connection_lost")
    assert rig.upstream.connections == 1
    assert [received.target for received in rig.upstream.log] == ["/echo/first", "/drop"]


async def test_a_server_that_hangs_up_after_its_answer_costs_nothing(rig: Rig) -> None:
    for _ in range(3):
        answer = await rig.client.exchange(rig.call("/answer-then-drop", "POST"), Mark())
        assert answer.body == b"bye"
    assert len(rig.upstream.log) == 3


async def test_cancelling_closes_the_connection(rig: Rig) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.client.exchange(rig.call("/slow"), Mark()))
        await rig.upstream.wait_for(1)
        task.cancel()
    assert task.cancelled()
    assert (await rig.client.exchange(rig.call("/echo"), Mark())).status == 200
    assert rig.upstream.connections == 2


async def test_the_system_resolver_is_asked_by_default(rig: Rig) -> None:
    call = replace(rig.call("/echo", host="localhost"), networks=(*LOOPBACK, "::1/128"))
    assert (await rig.client.exchange(call, Mark())).status == 200


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.requirement("T49")
@pytest.mark.requirement("GW-4")
async def test_a_rebinding_name_is_refused_at_its_second_answer(rig: Rig) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    client = HttpClient(names)
    call = rig.call("/answer-then-drop", host="rebind.example")
    assert (await client.exchange(call, Mark())).status == 200
    await client.exchange(rig.call("/echo"), Mark())  # lets the hang-up arrive
    found = await _not_started(client, call, "address_not_allowed")
    assert not found.retryable
    assert names.asked == ["rebind.example"] * 2
    await client.close()


@pytest.mark.requirement("T49")
@pytest.mark.parametrize(
    "answers",
    [
        *(["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]),
        *(["169.254.169.254"], ["::ffff:127.0.0.1"], ["2606:4700::1111", "fe80::1%1"]),
        *(["not an address"], [ANY], ["::1"]),
    ],
)
async def test_one_bad_answer_refuses_the_name(rig: Rig, answers: list[str]) -> None:
    client = HttpClient(Names(answers))
    call = replace(rig.call("/echo", host="mixed.example"), networks=())
    await _not_started(client, call, "address_not_allowed")
    assert rig.upstream.connections == 0
    await client.close()


@pytest.mark.requirement("T49")
@pytest.mark.parametrize("authority", ["127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:7f00:1]"])
async def test_literal_addresses_are_checked_as_well(rig: Rig, authority: str) -> None:
    call = replace(rig.call("/echo"), authority=authority, host=authority.strip("[]"), networks=())
    await _not_started(rig.client, call, "address_not_allowed")


@pytest.mark.requirement("T49")
async def test_a_pool_is_not_shared_by_targets_with_other_networks(rig: Rig) -> None:
    client = HttpClient(Names(["127.0.0.1"]))
    call = rig.call("/echo", host="inside.example")
    await client.exchange(call, Mark())
    await _not_started(client, replace(call, networks=()), "address_not_allowed")
    await client.close()


@pytest.mark.requirement("T43")
async def test_a_url_that_would_go_elsewhere_is_not_sent(rig: Rig) -> None:
    for authority in ("evil.example@127.0.0.1", "evil.example/x", "127.0.0.1#.evil.example"):
        mark = Mark()
        call = replace(rig.call("/echo"), authority=authority)
        with pytest.raises(NotStarted):
            await rig.client.exchange(call, mark)
        assert mark.calls == 0


# --- the wire ------------------------------------------------------------------------------------


@pytest.mark.requirement("T43")
@pytest.mark.parametrize("target", ["/echo/a%2Fb%7e%c3%A9?x=%41+b&&c", "/echo/...?", "/echo/%25"])
async def test_percent_encoding_stays_byte_for_byte(rig: Rig, target: str) -> None:
    await rig.client.exchange(rig.call(target), Mark())
    assert rig.upstream.log[0].target == target


@pytest.mark.requirement("T45")
async def test_nothing_is_added_but_host_and_length(rig: Rig) -> None:
    lines = (("x-b", "1"), ("x-a", "2"), ("x-b", "3"))
    call = replace(rig.call("/echo", "POST"), headers=lines, body=b"body")
    await rig.client.exchange(call, Mark())
    host = ("Host", call.authority)
    assert rig.upstream.log[0].headers == (host, *lines, ("Content-Length", "4"))
    assert rig.upstream.log[0].body == b"body"


async def test_large_bodies_are_sent_whole(rig: Rig) -> None:
    body = bytes(range(256)) * 10_000
    await rig.client.exchange(replace(rig.call("/echo", "PUT"), body=body), Mark())
    assert rig.upstream.log[0].body == body


@pytest.mark.requirement("T45")
async def test_the_proxy_environment_is_ignored(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await rig.client.exchange(rig.call("/echo"), Mark())).status == 200


async def test_connections_are_reused(rig: Rig) -> None:
    for _ in range(5):
        await rig.client.exchange(rig.call("/echo", "POST"), Mark())
    assert rig.upstream.connections == 1


@pytest.mark.requirement("T48")
@pytest.mark.parametrize("target", ["/huge/50000000", "/bomb/100"])
async def test_a_body_is_cut_at_the_cap(rig: Rig, target: str) -> None:
    answer: Answer = await rig.client.exchange(rig.call(target), Mark())
    assert answer.truncated
    assert len(answer.body) == 1_000_000
    assert (await rig.client.exchange(rig.call("/echo"), Mark())).status == 200


async def test_a_body_without_length_ends_with_the_connection(rig: Rig) -> None:
    answer = await rig.client.exchange(rig.call("/until-close"), Mark())
    assert (answer.body, answer.truncated) == (b"to the end", False)


async def test_a_closed_client_does_not_start(rig: Rig) -> None:
    await rig.client.exchange(rig.call("/echo"), Mark())
    await rig.client.close()
    assert (await rig.client.exchange(rig.call("/echo"), Mark())).status == 200


async def test_it_knows_where_a_connection_was_left(rig: Rig) -> None:
    here = rig.upstream.url
    assert not rig.client.is_warm(here, LOOPBACK)
    await rig.client.exchange(rig.call("/echo"), Mark())
    assert rig.client.is_warm(here, LOOPBACK) and rig.client.is_warm(f"{here}/prefix", LOOPBACK)
    assert not rig.client.is_warm(here, ())
    assert not rig.client.is_warm("http://127.0.0.1:1", LOOPBACK)


async def test_it_knows_where_connecting_took_no_time(rig: Rig) -> None:
    known: list[bool] = []

    async def mark() -> None:
        known.append(rig.client.is_warm(rig.upstream.url, LOOPBACK))
        raise NotStarted("lease_lost", "stopped here")

    with pytest.raises(NotStarted):
        await rig.client.exchange(rig.call("/echo"), mark)
    assert known == [True]
    assert not rig.client.is_warm(rig.upstream.url, LOOPBACK), "nothing was sent there"


async def test_where_connecting_fails_is_forgotten(rig: Rig) -> None:
    here = rig.upstream.url
    await rig.client.exchange(rig.call("/echo"), Mark())
    await rig.upstream.__aexit__(None, None, None)
    with pytest.raises(NotStarted):
        await rig.client.exchange(rig.call("/echo"), Mark())
    assert not rig.client.is_warm(here, LOOPBACK)
