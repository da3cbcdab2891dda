"""The server's socket, its announcement and its end."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.cli.listening import Server, address, bound, config, listen, on_signals, with_port
from app.settings import Settings, SettingsError


def test_port_zero_takes_a_free_one_and_says_which(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path).model_copy(update={"port": 0})
    with listen(settings) as sock:
        real = with_port(settings, sock)
        assert real.port > 0
        assert real.public_url == address(sock) == f"http://127.0.0.1:{real.port}"


def test_a_taken_address_is_named() -> None:
    with bound("127.0.0.1", 0) as sock, pytest.raises(SettingsError, match="set ASSENTRY_PORT"):
        bound("127.0.0.1", sock.getsockname()[1])
    with pytest.raises(SettingsError, match="set ASSENTRY_HOST"):
        bound("192.0.2.1", 0)


def test_an_ipv6_address_is_bracketed() -> None:
    try:
        sock = bound("::1", 0)
    except SettingsError:
        return  # a machine without IPv6
    with sock:
        assert address(sock).startswith("http://[::1]:")


async def test_a_stop_lets_what_is_being_answered_end(capsys: pytest.CaptureFixture[str]) -> None:
    begun, gate, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> PlainTextResponse:
        begun.set()
        await gate.wait()
        return PlainTextResponse("done")

    sock = bound("127.0.0.1", 0)
    url = address(sock)
    server = Server(config(Starlette(routes=[Route("/", slow)]), lifespan="off"), "ready to go")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group, httpx.AsyncClient() as client:
        group.create_task(server.until(stop, sock))
        answer = group.create_task(client.get(url))
        await begun.wait()
        stop.set()
        gate.set()
        assert (await answer).text == "done"
        assert "server" not in (await answer).headers
    assert capsys.readouterr().err == "ready to go\n"


async def test_the_first_signal_asks_and_the_handlers_are_gone() -> None:
    stop = asyncio.Event()
    on_signals(stop)
    try:
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await stop.wait()
        loop = asyncio.get_running_loop()
        assert not loop.remove_signal_handler(signal.SIGTERM)
        assert not loop.remove_signal_handler(signal.SIGINT)
    finally:
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
