"""`assentry serve` and `assentry work`: apart, several, one of them killed."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import Installation, Process, free_port, installation


@pytest.fixture
def apart(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """Two servers and a worker, on each engine."""
    with installation(tmp_path / "data", servers=2, workers=1, database_url=database_url) as made:
        yield made


def asked(made: Installation, server: int = 0) -> dict[str, object]:
    """Ask for a plain action at one of the servers."""
    headers = {"Authorization": f"Bearer {made.agent_key}"}
    url = f"{made.base_urls[server]}/api/requests"
    return httpx.post(url, json={"action": "send_mail"}, headers=headers, timeout=30).json()


@pytest.mark.requirement("OPS-1")
def test_servers_and_a_worker_are_one_installation(apart: Installation) -> None:
    request = asked(apart)
    headers = {"Authorization": f"Bearer {apart.admin_key}"}
    other = httpx.get(f"{apart.base_urls[1]}/api/requests/{request['id']}", headers=headers)
    assert other.json()["digest"] == request["digest"]
    vote = {"decision": "deny", "digest": request["digest"], "comment": "no"}
    url = f"{apart.base_urls[1]}/api/requests/{request['id']}/decide"
    assert httpx.post(url, json=vote, headers=headers).status_code == 200
    seen = httpx.get(f"{apart.base_url}/api/requests/{request['id']}", headers=headers)
    assert seen.json()["status"] == "denied"
    assert apart.stop() == [0, 0, 0]
    notes = ["on SQLite" in process.err for process in apart.processes]
    assert set(notes) == {apart.env["ASSENTRY_DATABASE_URL"].startswith("sqlite")}


@pytest.mark.requirement("OPS-1")
def test_a_killed_server_leaves_the_other(apart: Installation) -> None:
    request = asked(apart, 0)
    apart.servers[0].kill9()
    assert apart.servers[0].code == -9
    headers = {"Authorization": f"Bearer {apart.agent_key}"}
    seen = httpx.get(f"{apart.base_urls[1]}/api/requests/{request['id']}", headers=headers)
    assert seen.json()["status"] == "pending"


@pytest.mark.requirement("PPL-3")
def test_a_server_points_to_bootstrap_and_prints_no_token(env: dict[str, str]) -> None:
    process = Process({**env, "ASSENTRY_PORT": str(free_port())}, "serve")
    process.wait_for("ready ")
    assert process.stop() == 0
    assert "assentry bootstrap" in process.err
    assert not re.search("token", process.out + process.err)
