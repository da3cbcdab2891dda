"""The command `assentry`: lists without importing, runs one, refuses the rest."""

import subprocess
import sys

import pytest

from assentry.__main__ import HELP, main

LOADED = (
    "import sys; from assentry.__main__ import main; main(['--help']); "
    "print(sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
)


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert [name for name in HELP if f"  {name} " not in listed] == []
    assert main([]) == 0
    assert capsys.readouterr().out == listed


def test_help_imports_no_part_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert "assentry" in loaded
    for name in ("app", "pydantic", "typer", "rich", "httpx", "mcp", "sqlalchemy", "fastapi"):
        assert f"'{name}'" not in loaded


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upp"]) == 2
    said = capsys.readouterr()
    assert "'upp'" in said.err
    assert "assentry --help" in said.err
    assert said.out == ""


def test_a_command_gets_the_remaining_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--help"])
    assert ended.value.code == 0
    assert "doctor" in capsys.readouterr().out


def test_runs_as_a_module_and_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assentry", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
