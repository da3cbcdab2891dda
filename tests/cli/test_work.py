"""`assentry work`: a worker that starts, says so, and ends when it is told."""

from pathlib import Path

import pytest

from tests.support.server import Process, install


@pytest.mark.requirement("EXE-1")
def test_a_worker_says_who_it_is_and_ends(tmp_path: Path) -> None:
    made = install(tmp_path / "data")
    process = Process(made.env, "work")
    name = process.wait_for("working ")
    assert name.startswith(f"{process.pid}-")
    assert process.stop() == 0
    assert f'"worker": "{name}"' in process.err and "worker_stopped" in process.err
    assert process.out == ""
