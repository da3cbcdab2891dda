"""The dispatcher with the server installed: its commands are known by name, and not loaded."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

_LISTING = """
import json, sys
from assentry.__main__ import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def dispatched(*arguments: str) -> tuple[int, set[str], str]:
    """Return exit code, loaded packages and output of the dispatcher in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _LISTING, *arguments], capture_output=True, text=True, check=True
    )
    *said, last = done.stdout.splitlines()
    code, loaded = json.loads(last)
    return code, set(loaded), "\n".join(said) + done.stderr


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_lists_each_installed_command_and_loads_no_server(arguments: list[str]) -> None:
    installed = {entry.name for entry in entry_points(group="assentry.commands")}
    assert {"bootstrap", "doctor", "keys", "migrate", "serve", "up", "work"} <= installed
    code, loaded, said = dispatched(*arguments)
    assert code == 0
    assert [name for name in sorted(installed) if f"  {name} " not in said] == []
    assert loaded & {"app", "workers", "sqlalchemy", "fastapi", "pydantic", "httpx"} == set()


def test_an_unknown_command_exits_2_and_loads_no_server() -> None:
    code, loaded, said = dispatched("upp")
    assert code == 2
    assert "'upp'" in said and "Traceback" not in said
    assert "app" not in loaded
