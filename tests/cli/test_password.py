"""`assentry password`: who lost theirs gets another one, and the record says so."""

from pathlib import Path

import httpx
import pytest

from tests.support.server import EMAIL, PASSWORD, Installation, install, run

pytestmark = pytest.mark.requirement("PPL-1", "T31")

NEW = "quite another set of words 58"


def signs_in(base_url: str, password: str) -> bool:
    answer = httpx.post(
        f"{base_url}/api/session", json={"email": EMAIL, "password": password},
        headers={"Origin": base_url}, timeout=30,
    )  # fmt: skip
    return answer.status_code == 201


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path / "data")


def test_a_lost_password_is_replaced_and_the_old_one_is_worth_nothing(
    made: Installation, tmp_path: Path
) -> None:
    made.up()
    try:
        assert signs_in(made.base_url, PASSWORD)
        (tmp_path / "new").write_text(NEW, "utf-8")
        done = run(
            made.env, "password", f" {EMAIL.upper()}", "--password-file", str(tmp_path / "new")
        )
        assert done.returncode == 0, done.stderr
        assert "has a new password; sessions ended: 1" in done.stdout
        assert NEW not in done.stdout + done.stderr
        assert not signs_in(made.base_url, PASSWORD) and signs_in(made.base_url, NEW)
        headers = {"Authorization": f"Bearer {made.admin_key}"}
        found = httpx.get(
            f"{made.base_url}/api/audit?event=person.password_reset", headers=headers, timeout=30
        ).json()
        assert [item["subject"] for item in found["items"]] == [f"person:{made.admin_id}"]
        assert found["items"][0]["actor"] == "system:assentry"
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("email", "password", "code"),
    [("nobody@example.org", NEW, "not_found"), (EMAIL, "short", "weak_password")],
)
def test_what_cannot_be_is_refused(
    made: Installation, tmp_path: Path, email: str, password: str, code: str
) -> None:
    (tmp_path / "new").write_text(password, "utf-8")
    done = run(made.env, "password", email, "--password-file", str(tmp_path / "new"))
    assert done.returncode == 1 and f"({code})" in done.stderr
    missing = run(made.env, "password", EMAIL, "--password-file", str(tmp_path / "none"))
    assert missing.returncode != 0 and "cannot read" in missing.stderr


def test_without_a_terminal_it_is_not_asked_for(made: Installation) -> None:
    done = run(made.env, "password", EMAIL)
    assert done.returncode != 0 and "--password-file" in done.stderr
