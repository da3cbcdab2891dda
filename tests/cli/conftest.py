"""Folders and environments of installations that commands run on."""

from pathlib import Path

import pytest

from tests.support.server import environment


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation that does not exist yet."""
    folder = tmp_path / "data"
    folder.mkdir()
    return environment(folder)
