"""The real product in processes of its own: `assentry up`, or servers and workers apart.

Everything here blocks. A test whose own loop plays an upstream calls ``stop`` through
``asyncio.to_thread``, so that what is running can still be answered.
"""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.support import canary
from tests.support.templates import prepare

DEADLINE = 40.0
"""Seconds that a process has to start, or to end."""

PASSWORD = "correct horse battery staple 47"
"""The administrator's."""

EMAIL = "admin@example.org"

_COMMAND = (sys.executable, "-m", "assentry")
_KEPT = ("PATH", "HOME", "LANG", "TZ", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class NotReadyError(RuntimeError):
    """A process did not say in time what it was to say; the message holds what it said."""


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Return the environment of an installation; settings are named as in ``Settings``."""
    given = {"data_dir": folder, "log_format": "json", **settings}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {f"ASSENTRY_{name.upper()}": str(value) for name, value in given.items()}


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(
    env: Mapping[str, str], *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in its data folder or another one."""
    done = subprocess.run(
        [*_COMMAND, *arguments], env=env, capture_output=True, text=True, check=False,
        timeout=DEADLINE, cwd=folder or env["ASSENTRY_DATA_DIR"],
    )  # fmt: skip
    canary.hear(f"assentry {' '.join(arguments)}", done.stdout + done.stderr)
    return done


class Process:
    """One process of the product.

    :ivar code: how it exited, or None while it runs.
    """

    def __init__(self, env: Mapping[str, str], *arguments: str) -> None:
        """Start it."""
        self.arguments = arguments
        self._said: dict[str, list[str]] = {"out": [], "err": []}
        self._news: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*_COMMAND, *arguments], env=env, text=True, cwd=env["ASSENTRY_DATA_DIR"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout and self._process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", self._process.stdout), ("err", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._said[name].append(line)
                self._news.put((name, line))
        self._news.put((name, ""))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def out(self) -> str:
        """What it has said on standard output so far."""
        return "".join(self._said["out"])

    @property
    def err(self) -> str:
        """What it has said on standard error so far."""
        return "".join(self._said["err"])

    def wait_for(self, beginning: str) -> str:
        """Return the rest of the first line on standard error that begins so.

        :raises NotReadyError: it ended, or the time is over; it runs no more then.
        """
        end = time.monotonic() + DEADLINE
        while (left := end - time.monotonic()) > 0:
            try:
                name, line = self._news.get(timeout=left)
            except queue.Empty:
                break
            if name == "err" and line.startswith(beginning):
                return line.removeprefix(beginning).strip()
            if name == "err" and not line:
                break
        self.kill9()
        message = f"{self.arguments} did not say {beginning!r}:\n{self.out}\n{self.err}"
        raise NotReadyError(message)

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return its exit code."""
        if self.code is None:
            self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill9(self) -> None:
        """End it in mid-air."""
        self._process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait until it has ended and return its exit code; kill it when it is late."""
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            for reader in self._readers:
                reader.join()
            canary.hear(f"assentry {' '.join(self.arguments)}", self.out + self.err)
        return self._process.returncode


@dataclass
class Installation:
    """An installation with its first administrator and an agent, and its running processes.

    :ivar env: the environment that all its processes share.
    :ivar admin_key: a person's key that may decide and administer.
    :ivar agent_key: an agent's key that may ask.
    :ivar base_urls: addresses of the servers, in the order of their start.
    """

    env: dict[str, str]
    admin_id: str
    admin_key: str
    agent_id: str
    agent_key: str
    base_urls: list[str] = field(default_factory=list[str])
    servers: list[Process] = field(default_factory=list[Process])
    workers: list[Process] = field(default_factory=list[Process])

    @property
    def base_url(self) -> str:
        """Address of the first server."""
        return self.base_urls[0]

    @property
    def processes(self) -> list[Process]:
        """Servers and workers; one process is in both with ``up``."""
        return [*self.servers, *(one for one in self.workers if one not in self.servers)]

    def up(self, *arguments: str) -> Process:
        """Start server and worker in one process."""
        process = self._server("up", *arguments)
        self.workers.append(process)
        return process

    def serve(self) -> Process:
        """Start a server alone."""
        return self._server("serve")

    def work(self) -> Process:
        """Start a worker alone."""
        process = Process(self.env, "work")
        self.workers.append(process)
        process.wait_for("working ")
        return process

    def _server(self, *arguments: str) -> Process:
        port = free_port()
        process = Process({**self.env, "ASSENTRY_PORT": str(port)}, *arguments)
        self.servers.append(process)
        self.base_urls.append(process.wait_for("ready "))
        return process

    def stop(self) -> list[int]:
        """Stop everything gracefully and return the exit codes."""
        return [process.stop() for process in self.processes]

    def kill9(self) -> None:
        """End everything in mid-air."""
        for process in self.processes:
            process.kill9()


def install(
    folder: Path, *, agent: str = "robot", works_alone: bool = True, **settings: object
) -> Installation:
    """Make an installation with an administrator and an agent; nothing runs yet.

    :param works_alone: the administrator, who owns the agent, may decide its requests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    env = environment(folder, **settings)
    prepare(str(settings.get("database_url", f"sqlite:///{folder / 'assentry.db'}")))
    alone = ("--works-alone",) if works_alone else ()
    done = run(
        env, "bootstrap", "--admin", EMAIL, "--name", "Admin", "--password-file", str(password),
        "--agent", agent, *alone,
    )  # fmt: skip
    password.unlink()
    if done.returncode:
        raise NotReadyError(done.stderr)
    return Installation(env, **json.loads(done.stdout))


@contextmanager
def installation(
    folder: Path,
    *,
    servers: int = 0,
    workers: int = 0,
    up: Sequence[str] = (),
    agent: str = "robot",
    works_alone: bool = True,
    **settings: object,
) -> Generator[Installation, None, None]:
    """Run an installation: `up` with the given arguments, or servers and workers apart.

    Settings are named as in ``Settings``, such as ``database_url`` or ``lease_margin``.
    """
    made = install(folder, agent=agent, works_alone=works_alone, **settings)
    try:
        if servers or workers:
            for _ in range(servers):
                made.serve()
            for _ in range(workers):
                made.work()
        else:
            made.up(*up)
        yield made
    finally:
        for process in made.processes:
            if process.code is None:
                process.kill9()
