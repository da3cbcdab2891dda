"""An approver in a terminal, against the running product: seen, written out, counted."""

import errno
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assentry.approving import approve, inbox
from tests.support import canary
from tests.support.server import DEADLINE, Installation, free_port, installation, run

pytestmark = pytest.mark.requirement("DEC-1", "CH-5")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Generator[Installation]:
    with installation(tmp_path_factory.mktemp("terminal")) as made:
        yield made


def person(product: Installation, **changes: str) -> dict[str, str]:
    return {**product.env, "ASSENTRY_URL": product.base_url, "ASSENTRY_KEY": product.admin_key,
            **changes}  # fmt: skip


def ask(product: Installation, **params: Any) -> dict[str, Any]:
    made = httpx.post(
        f"{product.base_url}/api/requests", json={"action": "send_mail", "params": params},
        headers={"Authorization": f"Bearer {product.agent_key}"},
    )  # fmt: skip
    found: dict[str, Any] = made.json()
    return found


def trail(product: Installation, request_id: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{product.base_url}/api/requests/{request_id}/audit",
        headers={"Authorization": f"Bearer {product.admin_key}"},
    )
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def at_a_terminal(env: dict[str, str], typed: str, *arguments: str) -> tuple[int, str]:
    """Run a command at a terminal of 80 columns, and type."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "assentry", *arguments], env=env, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    os.write(ours, typed.encode())
    said = b""
    while piece := _read(ours):
        said += piece
    os.close(ours)
    text = said.decode()
    canary.hear(f"assentry {' '.join(arguments)}", text)
    return process.wait(DEADLINE), text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # the other side is closed
            return b""
        raise


def test_an_agents_key_is_told_so_also_when_nothing_waits(product: Installation) -> None:
    refused = run(person(product, ASSENTRY_KEY=product.agent_key), "inbox")
    assert refused.returncode != 0
    assert "people" in refused.stderr


def test_what_waits_is_listed_and_shown_whole(product: Installation) -> None:
    made = ask(product, to="ada@example.org", text="right\u202eto left \x1b[2K")
    listed = run(person(product), "inbox")
    assert listed.returncode == 0
    assert made["id"] in listed.stdout and "send_mail" in listed.stdout
    whole = run(person(product), "show", made["id"])
    assert whole.returncode == 0
    assert "\\u{202E}" in whole.stdout
    assert "\x1b" not in whole.stdout and "\u202e" not in whole.stdout
    as_json = json.loads(run(person(product), "show", made["id"], "--json").stdout)
    assert as_json["digest"] == made["digest"]


def test_the_word_decides_and_nothing_else(product: Installation) -> None:
    made = ask(product, to="somebody")
    for typed in ("\n", "y\n", "yes\n", "deny\n"):
        code, said = at_a_terminal(person(product), typed, "approve", made["id"])
        assert (code, "Nothing was decided" in said) == (1, True)
    code, said = at_a_terminal(person(product), "approve\n", "approve", made["id"], "-m", "fine")
    assert (code, "The request is approved" in said) == (0, True), said
    voted = [row for row in trail(product, made["id"]) if row["event"] == "request.approved"]
    assert [(row["details"]["channel"], row["details"]["comment"]) for row in voted] == [
        ("cli", "fine")
    ]
    card = json.loads(run(person(product), "show", made["id"], "--json").stdout)
    assert voted[0]["details"]["display"] == card["display"]
    code, said = at_a_terminal(person(product), "deny\n", "deny", made["id"])
    assert (code, "already_decided" in said) == (3, True)


def test_a_program_names_the_digest_that_was_seen(product: Installation) -> None:
    made = ask(product, number=1)
    without = run(person(product), "deny", made["id"])
    assert (without.returncode, "--digest" in without.stderr) == (1, True)
    wrong = run(person(product), "deny", made["id"], "--digest", "0" * 64)
    assert (wrong.returncode, "digest_mismatch" in wrong.stderr) == (3, True)
    short = run(person(product), "deny", made["id"], "--digest", made["digest"][:4])
    assert (short.returncode, "12 to 64 digits" in short.stderr) == (2, True)
    done = run(person(product), "deny", made["id"], "--digest", made["digest"][:12], "--json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "denied")


def test_what_a_terminal_does_not_show_whole_is_not_approved_there(product: Installation) -> None:
    admin = {"Authorization": f"Bearer {product.admin_key}"}
    target = {"name": "far", "base_url": "https://api.example.org"}
    added = httpx.post(f"{product.base_url}/api/targets", json=target, headers=admin)
    assert added.status_code == 201, added.text
    made = httpx.post(
        f"{product.base_url}/gateway/far/x", content=b"rm -rf / " * 300_000,
        headers={"Authorization": f"Bearer {product.agent_key}"},
    ).json()  # fmt: skip
    given = (person(product), "approve", made["id"])
    code, said = at_a_terminal(given[0], "approve\n", *given[1:])
    assert (code, "not_shown_in_full" in said) == (1, True), said
    named = run(*given, "--digest", made["digest"])
    assert (named.returncode, f"/requests/{made['id']}" in named.stderr) == (1, True)
    assert run(person(product), "deny", made["id"], "--digest", made["digest"]).returncode == 0


def test_the_inbox_says_how_many_more_there_are(product: Installation) -> None:
    made = [ask(product, number=number) for number in range(4, 7)]
    shown = run(person(product), "inbox", "--limit", "2")
    assert '{ "number": 6 }' in shown.stdout
    assert re.search(r"\n[0-9]+ more; --limit shows up to 50\.\n", shown.stdout)
    assert " more; " not in run(person(product), "inbox").stdout
    for item in made:
        run(person(product), "deny", item["id"], "--digest", item["digest"])


def test_refusals_say_what_to_do(product: Installation, tmp_path: Path) -> None:
    made = ask(product, number=2)
    agent = person(product, ASSENTRY_KEY=product.agent_key)
    turned = run(agent, "approve", made["id"], "--digest", made["digest"])
    assert (turned.returncode, "(forbidden)" in turned.stderr) == (1, True)
    assert "an agent's key; " in turned.stderr
    held = run(person(product, ASSENTRY_KEY_FILE=str(tmp_path / "key")), "inbox")
    assert (held.returncode, "both set" in held.stderr) == (2, True)
    gone = run(person(product, ASSENTRY_URL=f"http://127.0.0.1:{free_port()}"), "inbox", "--json")
    assert (gone.returncode, json.loads(gone.stdout)["code"]) == (4, "unreachable")
    keyless = run(person(product, ASSENTRY_KEY=""), "inbox")
    assert (keyless.returncode, "Set ASSENTRY_KEY" in keyless.stderr) == (2, True)
    assert run(person(product), "show", "req_nothing").returncode == 1
    run(person(product), "deny", made["id"], "--digest", made["digest"])


def test_help_says_where_the_key_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (inbox, approve):
        with pytest.raises(SystemExit):
            command(["--help"])
        assert "ASSENTRY_KEY_FILE" in capsys.readouterr().out
