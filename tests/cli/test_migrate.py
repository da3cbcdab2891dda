"""`assentry migrate`: the schema, and the folder it lives in."""

import stat
from pathlib import Path

import pytest

from app.store.migrate import head
from tests.support.server import run


@pytest.mark.requirement("OPS-1")
def test_it_says_where_the_database_is(env: dict[str, str]) -> None:
    for _ in range(2):
        done = run(env, "migrate")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"the database is at {head()}\n"


def test_the_folder_is_the_owners_alone(env: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "made"
    done = run({**env, "ASSENTRY_DATA_DIR": str(folder)}, "migrate", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
