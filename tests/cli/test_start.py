"""What every command shares: heavy parts are loaded late, refusals are one line."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.start import FAILED, USAGE, guarded
from app.core.errors import StoreUnavailable
from app.settings import Settings, SettingsError
from tests.support.server import environment, run

HEAVY = ("fastapi", "uvicorn", "sqlalchemy", "aiohttp", "apscheduler", "alembic", "cel_expr_python")
COMMANDS = ("bootstrap", "doctor", "keys", "migrate", "serve", "up", "work")

SCRIPT = """
import sys
from importlib import import_module
try:
    import_module(f"app.cli.{sys.argv[1]}").main(["--help"])
finally:
    print(sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, command], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []
    assert f"assentry {command}" in done.stdout


RAISING = """
import sys
from app.cli.start import guarded
from app.core.errors import StoreUnavailable
from app.settings import SettingsError
async def run(settings):
    error = {"settings": SettingsError("that is wrong"), "store": StoreUnavailable("it is away"),
             "bug": RuntimeError("a bug")}[sys.argv[1]]
    raise ExceptionGroup("of a task group", [error]) if sys.argv[2] == "group" else error
sys.exit(guarded(run))
"""


FILES = """
import resource
from app.cli.start import allow_files
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, min(hard, 512)))
allow_files()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 512),) * 2
allow_files()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 512),) * 2
"""


def test_as_many_files_may_be_open_as_are_allowed() -> None:
    subprocess.run([sys.executable, "-c", FILES], check=True)


@pytest.mark.requirement("OPS-2")
@pytest.mark.parametrize("wrapped", ["plain", "group"])
@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("settings", USAGE, "assentry: that is wrong\n"),
        ("store", FAILED, "assentry: it is away (store_unavailable)\n"),
    ],
)
def test_an_expected_refusal_is_one_line(what: str, code: int, words: str, wrapped: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISING, what, wrapped], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, words)


def test_a_bug_is_shown_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISING, "bug", "plain"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr


@pytest.mark.requirement("OPS-2")
def test_an_unknown_name_stops_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_settings: Settings) -> int:
        raise SettingsError from StoreUnavailable()

    monkeypatch.setenv("ASSENTRY_NOPE", "1")
    assert guarded(run) == USAGE
    assert capsys.readouterr().err.startswith("assentry: unknown settings: ASSENTRY_NOPE")


@pytest.mark.requirement("T68")
def test_a_lost_master_key_is_missed_and_not_replaced(tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert run(env, "bootstrap").returncode == 0
    with sqlite3.connect(tmp_path / "assentry.db") as connection:
        connection.execute(
            "INSERT INTO credentials (id, vault, name, description, kind, version, created_at,"
            " updated_at) VALUES ('crd_1', 'default', 'mine', '', 'bearer', 1, 1, 1)"
        )
        connection.execute("INSERT INTO vault_fields VALUES ('crd_1', 'token', X'00', 'k_old')")
    found = json.loads(run(env, "doctor", "--json").stdout)
    assert "k_old is missing" in next(one["detail"] for one in found if not one["good"])
    key = tmp_path / "master.key"
    kept = key.read_bytes()
    key.unlink()
    for command in ("bootstrap", "up"):
        refused = run(env, command)
        assert refused.returncode == USAGE
        assert "only the master key k_old opens" in refused.stderr
        assert not key.exists()
    key.write_bytes(kept)
