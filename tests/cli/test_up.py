"""`assentry up`: from nothing to a server that answers, and back."""

import os
import re
import signal
import stat
from pathlib import Path

import httpx
import pytest

from tests.support.server import Process, environment, free_port, install, installation, run


@pytest.fixture
def listening(env: dict[str, str]) -> dict[str, str]:
    return {**env, "ASSENTRY_PORT": str(free_port())}


@pytest.mark.requirement("PPL-3", "OPS-3")
def test_from_nothing_to_an_answer_and_back(listening: dict[str, str]) -> None:
    process = Process(listening, "up")
    base = process.wait_for("ready ")
    assert base == f"http://127.0.0.1:{listening['ASSENTRY_PORT']}"
    assert httpx.get(f"{base}/health").json() == {"status": "alive"}
    assert httpx.get(f"{base}/ready").json() == {"status": "ready"}
    assert process.stop() == 0
    assert base in process.out
    assert len(re.findall(rf"{base}/setup\?token=[\w-]{{40,}}", process.out)) == 1
    assert "token" not in process.err
    data = Path(listening["ASSENTRY_DATA_DIR"])
    for name in ("master.key", "assentry.db"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    assert "worker_stopped" in process.err
    assert not (data / "assentry.db-wal").exists()


@pytest.mark.requirement("T68")
def test_what_it_keeps_is_its_owners_alone(env: dict[str, str], tmp_path: Path) -> None:
    """Whatever the umask is, also of the files that are there only while it runs."""
    data = tmp_path / "made"
    env = {**env, "ASSENTRY_DATA_DIR": str(data), "ASSENTRY_PORT": str(free_port())}
    before = os.umask(0)
    try:
        assert run(env, "bootstrap", folder=tmp_path).returncode == 0
        process = Process(env, "up")
    finally:
        os.umask(before)
    process.wait_for("ready ")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    assert process.stop() == 0
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {"master.key", "assentry.db", "assentry.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.requirement("PPL-3")
def test_the_link_is_new_each_time_and_gone_when_somebody_exists(tmp_path: Path) -> None:
    listening = environment(tmp_path, port=free_port())
    links: list[str] = []
    for _ in range(2):
        process = Process(listening, "up")
        process.wait_for("ready ")
        assert process.stop() == 0
        links += re.findall(r"token=(\S+)", process.out)
    assert len(set(links)) == 2
    with installation(tmp_path / "other") as made:
        (process,) = made.processes
        assert made.stop() == [0]
    assert "token" not in process.out


def test_an_interrupt_ends_it_as_well(listening: dict[str, str]) -> None:
    process = Process(listening, "up")
    process.wait_for("ready ")
    process._process.send_signal(signal.SIGINT)
    assert process.ended() == 0
    assert "Traceback" not in process.err


@pytest.mark.requirement("OPS-2")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ASSENTRY_PROT", "8700", "unknown settings: ASSENTRY_PROT"),
        ("ASSENTRY_PORT", "eighty", "ASSENTRY_PORT: "),
        ("ASSENTRY_DATABASE_URL", "mysql://somewhere/db", "mysql is no supported database"),
        ("ASSENTRY_DATABASE_URL", "anna:secret-word", "it is not written as"),
        ("ASSENTRY_MASTER_KEY", "k1:c2hvcnQ=", "is not the base64 of 32 random bytes"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_one_line(
    listening: dict[str, str], name: str, value: str, words: str
) -> None:
    done = run({**listening, name: value}, "up")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("assentry: ") and done.stderr.count("\n") == 1
    assert "secret-word" not in done.stderr
    assert done.stdout == ""


@pytest.mark.requirement("OPS-2")
def test_a_missing_secret_file_is_warned_about(listening: dict[str, str], tmp_path: Path) -> None:
    process = Process({**listening, "ASSENTRY_MASTER_KEY_FILE": f"{tmp_path}/none"}, "up")
    process.wait_for("ready ")
    assert process.stop() == 0
    assert "assentry: warning: ASSENTRY_MASTER_KEY_FILE: cannot read" in process.err


def test_a_port_that_is_taken_is_named(listening: dict[str, str]) -> None:
    first = Process(listening, "up")
    first.wait_for("ready ")
    done = run(listening, "up")
    assert first.stop() == 0
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.requirement("OPS-1")
def test_a_database_that_does_not_answer_is_one_line(env: dict[str, str], tmp_path: Path) -> None:
    url = f"postgresql://nobody:hidden-word@/nothing?host={tmp_path}"
    done = run({**env, "ASSENTRY_DATABASE_URL": url}, "up")
    assert done.returncode == 1
    assert "the database does not answer" in done.stderr
    assert "Traceback" not in done.stderr and "hidden-word" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ASSENTRY_DATABASE_URL", "sqlite:///{file}/a.db", "ASSENTRY_DATABASE_URL cannot be used"),
        ("ASSENTRY_DATA_DIR", "{file}/data", "cannot be used"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(
    env: dict[str, str], tmp_path: Path, name: str, value: str, words: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    done = run({**env, name: value.format(file=file)}, "up", folder=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.requirement("EXE-1")
def test_a_reviewed_call_runs_after_approval(tmp_path: Path) -> None:
    with installation(tmp_path / "data", up=["--example"]) as made:
        agent = {"Authorization": f"Bearer {made.agent_key}"}
        admin = {"Authorization": f"Bearer {made.admin_key}"}
        with httpx.Client(base_url=made.base_url, timeout=30) as client:
            body = {"action": "http.request", "target": "example", "reason": "tidying up"}
            read = {**body, "params": {"method": "GET", "path": "/whoami"}}
            seen = client.post("/api/requests", json=read, headers=agent).json()
            link = f"/api/requests/{seen['id']}"
            seen = client.get(f"{link}?wait=20&until=final", headers=agent).json()
            assert seen["status"] == "succeeded", seen
            answer = client.get(f"{link}/result", headers=agent).text
            assert "redacted" in answer.lower()

            remove = {**body, "params": {"method": "DELETE", "path": "/notes/1"}}
            asked = client.post("/api/requests", json=remove, headers=agent)
            assert asked.status_code == 202, asked.text
            link = f"/api/requests/{asked.json()['id']}"
            vote = {"decision": "approve", "digest": asked.json()["digest"], "comment": "fine"}
            decided = client.post(f"{link}/decide", json=vote, headers=admin)
            assert decided.status_code == 200, decided.text
            seen = client.get(f"{link}?wait=20&until=final", headers=agent).json()
            assert seen["status"] == "succeeded", seen
        assert made.stop() == [0]


def test_the_example_stays_where_it_was(tmp_path: Path) -> None:
    made = install(tmp_path / "data")
    seen: list[tuple[str, int]] = []
    for _ in range(2):
        process = made.up("--example")
        with httpx.Client(base_url=made.base_urls[-1]) as client:
            admin = {"Authorization": f"Bearer {made.admin_key}"}
            listed = client.get("/api/targets", headers=admin).json()
        (target,) = listed["items"] if "items" in listed else listed["targets"]
        seen.append((target["base_url"], target["revision"]))
        assert process.stop() == 0
    assert seen[0] == seen[1]
