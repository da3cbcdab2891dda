"""No test says a secret aloud: the watch over the suite's output, watched."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT

TESTS = """
import base64, logging, sys
from tests.support import canary

def test_quiet():
    print("nothing of it")

def test_printed():
    print("Basic", base64.b64encode(f"robot:{canary.CANARY}".encode()).decode())

def test_written():
    sys.stderr.write(canary.WILD[::-1])

def test_logged():
    logging.getLogger("a.library").warning("sent %r", {"key": canary.TAME})

def test_said_by_a_process():
    canary.hear("assentry work", f"token={canary.CANARY}")

def test_after_it():
    canary.hear("assentry work", "ready")
"""


@pytest.mark.requirement("T62")
def test_a_secret_in_the_output_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.canary",
         "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=40,
    )  # fmt: skip
    failed = {
        line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "FAILED" in line
    }
    assert failed == {"test_printed", "test_written", "test_logged", "test_said_by_a_process"}
    assert "2 passed" in done.stdout
