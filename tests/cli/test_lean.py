"""What a command loads leaves out what no log needs."""

import subprocess
import sys

_PROBE = """
import sys
import app.cli.start
assert "structlog" in sys.modules
assert "rich" not in sys.modules
import rich.pretty
"""


def test_logging_does_not_load_rich_and_who_needs_it_still_can() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
