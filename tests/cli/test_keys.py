"""`assentry keys rotate`: old values under the new key."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.support.server import installation, run

NEW = "knew:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def wrapped_by(env: dict[str, str]) -> set[str]:
    with sqlite3.connect(Path(env["ASSENTRY_DATA_DIR"]) / "assentry.db") as connection:
        return {str(row[0]) for row in connection.execute("SELECT master_key FROM vault_fields")}


@pytest.mark.requirement("VLT-1")
def test_after_a_rotation_the_new_key_alone_opens(tmp_path: Path) -> None:
    with installation(tmp_path / "data", up=["--example"]) as made:
        made.stop()
        old = (tmp_path / "data" / "master.key").read_text("ascii").strip()
        both = {**made.env, "ASSENTRY_MASTER_KEY": f"{NEW},{old}"}
        assert wrapped_by(both) == {old.partition(":")[0]}
        done = run(both, "keys", "rotate")
        assert done.returncode == 0, done.stderr
        assert "credentials and items: 1 values were wrapped anew" in done.stdout
        assert "Everything stored is under knew now" in done.stdout
        assert wrapped_by(both) == {"knew"}
        assert "items: 0 values" in run(both, "keys", "rotate").stdout

        made.env["ASSENTRY_MASTER_KEY"] = NEW
        made.up("--example")
        agent = {"Authorization": f"Bearer {made.agent_key}"}
        body = {"action": "http.request", "target": "example",
                "params": {"method": "GET", "path": "/notes"}}  # fmt: skip
        with httpx.Client(base_url=made.base_urls[-1], headers=agent, timeout=30) as client:
            asked = client.post("/api/requests", json=body).json()
            seen = client.get(f"/api/requests/{asked['id']}?wait=20&until=final").json()
    assert seen["status"] == "succeeded", seen


def test_without_the_former_key_nothing_is_changed(tmp_path: Path) -> None:
    with installation(tmp_path / "data", up=["--example"]) as made:
        made.stop()
        before = wrapped_by(made.env)
        done = run({**made.env, "ASSENTRY_MASTER_KEY": NEW}, "keys", "rotate")
        assert done.returncode == 1
        assert "(cannot_open)" in done.stderr
        assert wrapped_by(made.env) == before


def test_where_nothing_is_set_up_it_says_what_to_run(env: dict[str, str]) -> None:
    done = run({**env, "ASSENTRY_MASTER_KEY": NEW}, "keys", "rotate")
    assert done.returncode == 2
    assert "run 'assentry migrate'" in done.stderr and done.stderr.count("\n") == 1


def test_other_words_are_refused(env: dict[str, str]) -> None:
    assert run(env, "keys", "print").returncode == 2
