"""Processes of the product that are born in milliseconds, to be killed by the dozen.

One process imports the product and then forks for every worker or server that is asked for; the
child runs the command's own entry point, ``app.cli.work`` or ``app.cli.serve``, in the
installation's environment. The connection on which it was asked for is the child's standard output
and error, so that it ends when the child does.
"""

import asyncio
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, NoReturn

from tests.support import canary, dying_worker

DEADLINE: Final = 30.0
"""Seconds that a process has to say what it is to say, or to end."""

Command = Literal["work", "serve"]

PRELOADED: Final = (
    "app.cli.work", "app.cli.serve", "app.cli.listening", "app.cli.logs", "app.factory", "uvloop",
    "workers.main", "app.store.migrate", "app.store.listen", "workers.executors.http",
    "workers.executors.http_client", "workers.executors.ssh.executor",
    "sqlalchemy.dialects.sqlite", "alembic.runtime.migration",
    "sqlalchemy.dialects.postgresql.psycopg",
)  # fmt: skip
"""What the children would each import; none of it starts a thread."""


class Child:
    """A process of the product.

    :ivar pid: its id.
    :ivar said: what it has said so far, as far as somebody has waited for it.
    """

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self.said = ""
        self._reader = reader
        self._writer = writer

    async def says(self, beginning: str) -> str:
        """Return the rest of the first line that begins so."""
        async with asyncio.timeout(DEADLINE):
            while line := (await self._reader.readline()).decode():
                self.said += line
                if line.startswith(beginning):
                    return line.removeprefix(beginning).strip()
        message = f"it ended before it said {beginning!r}:\n{self.said}"
        raise AssertionError(message)

    async def ended(self) -> str:
        """Wait until it is gone and return all that it said."""
        async with asyncio.timeout(DEADLINE):
            self.said += (await self._reader.read()).decode()
        self._writer.close()
        canary.hear(f"process {self.pid}", self.said)
        return self.said

    async def kill9(self) -> None:
        """End it in mid-air; it is an error when it has ended by itself."""
        os.kill(self.pid, signal.SIGKILL)
        await self.ended()

    async def stop(self) -> str:
        """Ask it to end and return all that it said."""
        os.kill(self.pid, signal.SIGTERM)
        return await self.ended()


class Nursery:
    """Where processes of one installation are born."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def work(self, step: str = "", *victim: str) -> Child:
        """Start a worker; with a step, one that dies there (see ``dying_worker``).

        :param victim: id and path of the request that it dies at; with any of them its jobs come
            back soon.
        """
        child = await self._born(command="work", step=step, victim=victim, env={})
        await child.says("working ")
        return child

    async def serve(self, port: int) -> tuple[Child, str]:
        """Start a server; return it and its address."""
        env = {"ASSENTRY_PORT": str(port)}
        child = await self._born(command="serve", step="", victim=(), env=env)
        return child, await child.says("ready ")

    async def _born(self, **wanted: object) -> Child:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(json.dumps(wanted).encode() + b"\n")
        async with asyncio.timeout(DEADLINE):
            return Child(int(await reader.readline()), reader, writer)


@contextmanager
def nursery(env: Mapping[str, str]) -> Generator[Nursery, None, None]:
    """Run a nursery in an installation's environment; its children end with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.nursery"], env=dict(env), text=True,
        cwd=env["ASSENTRY_DATA_DIR"], stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout
        try:
            yield Nursery(int(process.stdout.readline()))
        finally:
            os.killpg(process.pid, signal.SIGKILL)


# --- in the nursery's own process ---


def main() -> NoReturn:
    """Import the product, say the port, and fork for every connection."""
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children leave no zombies
    with socket.create_server(("127.0.0.1", 0)) as server:
        _say(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _live(connection)
            connection.close()


def _live(connection: socket.socket) -> NoReturn:
    """Be the process that is asked for; never return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("r", encoding="utf-8") as asked:
        wanted = json.loads(asked.readline())
    os.dup2(connection.fileno(), 1)
    os.dup2(connection.fileno(), 2)
    connection.close()
    _say(os.getpid())
    os.environ.update(wanted["env"])
    if wanted["victim"]:
        dying_worker.hasten()
    if wanted["step"]:
        dying_worker.arm(wanted["step"], wanted["victim"])
    code = 1
    try:
        code = importlib.import_module(f"app.cli.{wanted['command']}").main([])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


if __name__ == "__main__":
    main()
