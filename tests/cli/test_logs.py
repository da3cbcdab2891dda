"""Logs: structured, and without secrets whoever writes them."""

import json
import logging
import subprocess
import sys

import pytest

from app.cli.logs import HIDDEN, without_secrets

KEY = "ask_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

SCRIPT = f"""
import logging, sys, structlog
from app.cli.logs import configure
from app.settings import Settings
configure(Settings(log_format=sys.argv[1], log_level=sys.argv[2]))
log = structlog.get_logger()
log.info("started", request_id="req_1", body="canary-body")
log.debug("detail")
try:
    raise ValueError("bad key {KEY}")
except ValueError:
    log.exception("failed")
logging.getLogger("uvicorn.error").error("upstream said Bearer %s", "canary-token-123")
logging.getLogger("noisy").info("library chatter")
"""


def said(form: str, level: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, form, level], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.requirement("T62")
def test_lines_of_json_with_ids_and_without_secrets() -> None:
    lines = said("json", "info")
    entries = [json.loads(line) for line in lines]
    assert [entry["event"] for entry in entries] == ["started", "failed", "library_said"]
    assert entries[0]["request_id"] == "req_1"
    assert {"level", "timestamp"} <= set(entries[0])
    assert "ValueError" in entries[1]["exception"]
    assert entries[2]["library"] == "uvicorn.error"
    assert "canary" not in "".join(lines) and KEY not in "".join(lines)


@pytest.mark.requirement("T62")
def test_text_hides_the_same() -> None:
    text = "\n".join(said("text", "debug"))
    assert "started" in text and "detail" in text and "chatter" not in text
    assert "canary" not in text and KEY not in text


def test_the_least_level_holds() -> None:
    assert [json.loads(line)["event"] for line in said("json", "error")] == [
        "failed", "library_said",
    ]  # fmt: skip


@pytest.mark.requirement("T62")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"detail": f"key {KEY}."}, {"detail": f"key ask_{HIDDEN}."}),
        ({"detail": "Authorization: Bearer abc.def-123"},
         {"detail": f"Authorization: Bearer {HIDDEN}"}),
        ({"url": "/setup?token=abcdef&x=1"}, {"url": f"/setup?token={HIDDEN}&x=1"}),
        ({"url": "postgresql://anna:hush@db/x"}, {"url": f"postgresql://anna:{HIDDEN}@db/x"}),
        ({"Password": "hush", "Body": b"hush"}, {"Password": HIDDEN, "Body": HIDDEN}),
        ({"nested": {"headers": {"a": "b"}, "list": [KEY, 1, None]}},
         {"nested": {"headers": HIDDEN, "list": [f"ask_{HIDDEN}", 1, None]}}),
        ({"count": 3, "good": True, "none": None}, {"count": 3, "good": True, "none": None}),
    ],
)  # fmt: skip
def test_what_is_hidden(given: dict[str, object], expected: dict[str, object]) -> None:
    assert without_secrets(None, "", dict(given)) == expected
    assert without_secrets(None, "", dict(expected)) == expected


def test_importing_it_changes_no_logging() -> None:
    assert logging.getLogger("noisy").handlers == []
