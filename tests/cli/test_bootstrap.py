"""`assentry bootstrap`: what a person or a script needs before the first start."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from tests.support.server import EMAIL, PASSWORD, run


def password_file(env: dict[str, str], text: str = PASSWORD) -> str:
    path = Path(env["ASSENTRY_DATA_DIR"]) / "password"
    path.write_text(f"{text}\n", encoding="utf-8")
    return str(path)


def administrator(env: dict[str, str]) -> list[str]:
    return ["bootstrap", "--admin", EMAIL, "--password-file", password_file(env)]


def rows(env: dict[str, str], statement: str) -> list[tuple[object, ...]]:
    path = Path(env["ASSENTRY_DATA_DIR"]) / "assentry.db"
    with sqlite3.connect(path) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.requirement("PPL-3")
def test_it_prints_the_link_while_nobody_has_an_account(env: dict[str, str]) -> None:
    done = run(env, "bootstrap")
    assert done.returncode == 0, done.stderr
    assert re.search(r"http://127\.0\.0\.1:8700/setup\?token=[\w-]{40,}\n", done.stdout)
    assert run(env, *administrator(env)).returncode == 0
    done = run(env, "bootstrap")
    assert done.returncode == 0
    assert "token" not in done.stdout and "is set up" in done.stdout


@pytest.mark.requirement("PPL-3", "KEY-1")
def test_it_makes_an_administrator_and_an_agent(env: dict[str, str]) -> None:
    done = run(env, *administrator(env), "--agent", "robot", "--works-alone")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert set(made) == {"admin_id", "admin_key", "agent_id", "agent_key"}
    for key in (made["admin_key"], made["agent_key"]):
        assert re.fullmatch(r"ask_[\w-]{43}", key)
        assert key not in done.stderr
        data = Path(env["ASSENTRY_DATA_DIR"])
        assert not any(key.encode() in path.read_bytes() for path in data.glob("assentry.db*"))
    assert rows(env, "SELECT name, owner_id FROM agents") == [("robot", made["admin_id"])]
    events = {str(row[0]) for row in rows(env, "SELECT event FROM audit")}
    assert {"installation.set_up", "installation.owner_may_decide", "agent.created"} <= events


@pytest.mark.requirement("PPL-3")
def test_there_is_one_first_administrator(env: dict[str, str]) -> None:
    assert run(env, *administrator(env)).returncode == 0
    done = run(env, *administrator(env))
    assert done.returncode == 1
    assert "(setup_closed)" in done.stderr and "Traceback" not in done.stderr
    assert rows(env, "SELECT count(*) FROM people") == [(1,)]


def test_an_agent_can_be_added_later_and_needs_an_owner(env: dict[str, str]) -> None:
    done = run(env, "bootstrap", "--agent", "robot")
    assert done.returncode == 1
    assert "make an administrator first" in done.stderr
    assert run(env, *administrator(env)).returncode == 0
    done = run(env, "bootstrap", "--agent", "robot")
    assert done.returncode == 0
    assert set(json.loads(done.stdout)) == {"agent_id", "agent_key"}


def test_what_was_made_is_printed_when_the_rest_fails(env: dict[str, str]) -> None:
    done = run(env, *administrator(env), "--agent", "not a good name \x07")
    assert done.returncode == 1
    assert set(json.loads(done.stdout)) == {"admin_id", "admin_key"}
    assert "Traceback" not in done.stderr


def test_a_weak_password_is_refused(env: dict[str, str]) -> None:
    done = run(env, "bootstrap", "--admin", EMAIL, "--password-file", password_file(env, "pass"))
    assert done.returncode == 1
    assert "(weak_password)" in done.stderr
    assert rows(env, "SELECT count(*) FROM people") == [(0,)]


def test_wrong_arguments_are_named(env: dict[str, str], tmp_path: Path) -> None:
    done = run(env, "bootstrap", "--admin", EMAIL)
    assert done.returncode == 2
    assert "--admin needs --password-file" in done.stderr
    done = run(env, "bootstrap", "--admin", EMAIL, "--password-file", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "cannot read" in done.stderr and "Traceback" not in done.stderr
