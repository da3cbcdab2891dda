"""The server in our own loop: its socket, its signals and the word that it is ready."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from errno import EADDRINUSE
from typing import Any, Final

import uvicorn

from app.asgi import create_app
from app.cli.patience import Patient
from app.core.ports import MESSAGE_BYTES
from app.services.bundle import Services
from app.settings import Settings, SettingsError

CONNECTIONS: Final = 10_000
"""Open connections beyond which new calls are answered 503."""

GRACE_SECONDS: Final = 10
"""How long a stop waits for calls that are being answered."""


_YOUNG: Final = 10_000
"""New objects after which garbage is searched for; calls leave little in cycles."""


class Server(uvicorn.Server):
    """Uvicorn that leaves signals to us, and says on standard error when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        announcement: str = "",
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; an empty announcement is not printed.

        :param on_stop: called before waiting for what is being answered, to end what is endless.
        """
        super().__init__(config)
        self._announcement = announcement
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: the default raises them again, which ends us in mid-air."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        settle()
        if self._announcement:
            print(self._announcement, file=sys.stderr, flush=True)

    async def until(self, stop: asyncio.Event, sock: socket.socket) -> None:
        """Serve on the socket until ``stop`` is set, then finish what is being answered."""
        async with asyncio.TaskGroup() as group:
            waiter = group.create_task(self._exit_at(stop))
            await self.serve(sockets=[sock])
            waiter.cancel()

    async def _exit_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._on_stop()
        self.should_exit = True


def settle() -> None:
    """Leave what a started process keeps for good out of the search for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def config(app: Any, **more: Any) -> uvicorn.Config:
    """Return how we serve an application."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        loop="none",
        http=Patient,
        ws="none",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=CONNECTIONS,
        **more,
    )


def listen(settings: Settings) -> socket.socket:
    """Return the bound socket; port 0 takes a free one.

    :raises SettingsError: the address is taken or not ours.
    """
    return bound(settings.host, settings.port)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    :raises SettingsError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen()
    except OSError as error:
        sock.close()
        what = "ASSENTRY_PORT" if error.errno == EADDRINUSE else "ASSENTRY_HOST"
        message = f"cannot listen on {host}:{port}: {error.strerror or error} (set {what})"
        raise SettingsError(message) from error
    return sock


def with_port(settings: Settings, sock: socket.socket) -> Settings:
    """Return the settings with the port that the socket really has."""
    return settings.model_copy(update={"port": sock.getsockname()[1]})


def address(sock: socket.socket) -> str:
    """Return the address that a socket listens on, as ``http://host:port``."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    settings: Settings, services: Services, sock: socket.socket, stop: asyncio.Event
) -> None:
    """Serve until ``stop`` is set."""
    made = config(create_app(settings, services), lifespan="on")
    await Server(made, f"ready {address(sock)}", services.feed.end).until(stop, sock)


def on_signals(stop: asyncio.Event) -> None:
    """Set the event at the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
