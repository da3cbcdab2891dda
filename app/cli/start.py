"""What the commands that run something share: settings, schema, server, signals."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvicorn
import uvloop

from app.asgi import create_app
from app.cli import logs
from app.factory import Services
from app.services.sealing import MASTER_KEY_FILE, create_master_key
from app.settings import Settings, SettingsError, load
from app.store.database import Database
from app.store.migrate import migrate

USAGE: Final = 2
"""Exit code for a start that settings or arguments do not allow."""


def guarded(run: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Load the settings, set up logs, and run; say in one line why it cannot start."""
    os.umask(0o077)
    try:
        settings = load()
        logs.configure(settings)
        return uvloop.run(run(settings))
    except SettingsError as error:
        print(f"assentry: {error}", file=sys.stderr)
        return USAGE


def prepare(settings: Settings) -> None:
    """Make the data folder and the master key where none is set, and migrate."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not settings.master_key.get_secret_value():
        create_master_key(settings.data_dir / MASTER_KEY_FILE)
    migrate(Database(settings.database))


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket; port 0 takes a free one.

    :raises SettingsError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        message = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise SettingsError(message) from error
    return sock


def with_port(settings: Settings, sock: socket.socket) -> Settings:
    """Return the settings with the port that the socket really has."""
    return settings.model_copy(update={"port": sock.getsockname()[1]})


async def serve(settings: Settings, services: Services, sock: socket.socket) -> None:
    """Serve until the process is told to stop."""
    config = uvicorn.Config(
        create_app(settings, services),
        access_log=False,
        log_config=None,
        server_header=False,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    print(f"ready {settings.public_url}", file=sys.stderr, flush=True)
    await server.serve(sockets=[sock])


def on_signals(stop: asyncio.Event) -> None:
    """Set the event at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def show_setup(settings: Settings, services: Services) -> None:
    """Print the one-time link of the set-up, while nobody has an account."""
    token = await services.people.issue_setup_token()
    if token is None:
        print(f"Assentry runs at {settings.public_url}", flush=True)
        return
    print(
        "\n".join(
            [
                "",
                f"  Assentry runs at {settings.public_url}",
                "",
                "  Nobody has an account yet. Open this link once to make the first one:",
                "",
                f"    {settings.public_url}/setup?token={token}",
                "",
            ]
        ),
        flush=True,
    )
