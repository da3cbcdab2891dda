"""Missing system parts: a skip with advice for newcomers, a failure under CI=true."""

import os
from typing import NoReturn

import pytest


def skip(part: str, install: str) -> NoReturn:
    """Skip the test for want of a part of the system, and say at the end what to install."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} is missing; install {install}", pytrace=False)
    pytest.skip(f"needs {part}: install {install}")


def summarise(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which parts were missing."""
    advice = {
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and "needs " in str(report.longrepr[2])
    }
    for line in sorted(advice):
        terminalreporter.write_line(f"skipped: {line}")
