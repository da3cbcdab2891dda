"""An answer that its connection's close ends: over TLS the close has to say so."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from app.core.outcome import Ambiguous
from tests.support.upstream import DEADLINE, Upstream
from workers.executors.closing import was_closed
from workers.executors.http_call import Answer, Call
from workers.executors.http_client import HttpClient

LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)


async def _sent() -> None:
    """Let the bytes leave."""


async def _answer(path: str, *, tls: bool) -> Answer:
    async with Upstream(tls=tls) as upstream:
        client = HttpClient(ssl_context=upstream.client_context() if tls else None)
        call = Call(
            method="GET", scheme="https" if tls else "http", host="127.0.0.1",
            authority=f"127.0.0.1:{upstream.port}", target=path, headers=(), body=b"",
            read_bytes=1000, connect_seconds=DEADLINE, total_seconds=DEADLINE,
            networks=("127.0.0.0/8",),
        )  # fmt: skip
        try:
            return await client.exchange(call, _sent)
        finally:
            await client.close()


def _run(loop: Callable[[], asyncio.AbstractEventLoop], answer: Awaitable[Answer]) -> Answer:
    async def wait() -> Answer:
        return await answer

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(wait())


@pytest.mark.parametrize("loop", LOOPS, ids=("asyncio", "uvloop"))
@pytest.mark.requirement("GW-1", "T46")
def test_a_close_that_tls_does_not_say_is_a_cut(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with pytest.raises(Ambiguous) as caught:
        _run(loop, _answer("/until-cut", tls=True))
    assert caught.value.code == "answer_cut"


@pytest.mark.parametrize("loop", LOOPS, ids=("asyncio", "uvloop"))
@pytest.mark.parametrize(("path", "tls"), [("/until-close", True), ("/until-cut", False)])
def test_a_close_that_is_said_or_that_nothing_could_say_is_the_end(
    loop: Callable[[], asyncio.AbstractEventLoop], path: str, tls: bool
) -> None:
    answer = _run(loop, _answer(path, tls=tls))
    assert (answer.body, answer.truncated) == (b"to the end", False)


def test_a_handshake_that_is_not_over_was_not_closed() -> None:
    tls = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="upstream.example"
    )
    assert not was_closed(tls)
