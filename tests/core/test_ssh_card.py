import hashlib

import pytest

from app.core.action import BoundTarget, Submission, Urgency
from app.core.card import card_of, headline_of
from app.core.ssh_action import SshAction, SshExec, SshGet, SshHop, SshPlace, SshPut

PLACE = SshPlace(
    "db1", 22, "deploy", ("SHA256:aa",), ("ssh-ed25519 CC",),
    (SshHop("bastion", 2222, "jump", ("SHA256:bb",)),), 30, 1000, 2000, "/var/marks",
)  # fmt: skip
TARGET = BoundTarget("tgt_1", "db", "ssh://deploy@db1:22", 3, PLACE)


def texts(action: SshAction, target: BoundTarget | None = TARGET) -> dict[str, tuple[str, str]]:
    submission = Submission("agt_1", action, target, Urgency.NORMAL, "because", {})
    card = card_of(submission, ())
    assert card.reason == "because"
    return {block.title: (block.text, block.note) for block in card.blocks}


@pytest.mark.requirement("SSH-1", "SSH-2", "T50")
def test_the_exact_command_and_the_place_are_shown() -> None:
    shown = texts(SshExec("rm -rf \\\n  /srv/old", b"yes\n", 5))
    assert shown["Command"][0] == "rm -rf \\\n  /srv/old"
    assert "exactly" in shown["Command"][1]
    assert shown["Standard input"][0] == "yes\n"
    where = shown["Where"][0]
    for part in ("deploy@db1:22", "SHA256:aa", "ssh-ed25519 CC", "jump@bastion:2222", "SHA256:bb"):
        assert part in where
    limits = shown["Limits"][0]
    assert "5 seconds" in limits
    assert "/var/marks" in limits
    assert "1,000 bytes" in limits


def test_what_is_not_said_is_the_targets() -> None:
    limits = texts(SshExec("uptime"))["Limits"][0]
    assert "30 seconds" in limits
    assert "standard input closed" in limits


@pytest.mark.requirement("SSH-6")
def test_files_are_shown_with_their_digest() -> None:
    digest = hashlib.sha256(b"\xff\x00").hexdigest()
    shown = texts(SshPut("/srv/x", b"\xff\x00", 0o640))
    assert shown["File to write"] == ("/srv/x", "mode 640, only where there is none yet")
    assert digest in shown["Content"][1]
    assert "replaces" in texts(SshPut("/srv/x", b"", overwrite=True))["File to write"][1]
    assert "whatever" in texts(SshGet("/srv/x"))["File to read"][1]
    assert "ab" * 32 in texts(SshGet("/srv/x", sha256="ab" * 32))["File to read"][1]


def headline(action: SshAction, target: BoundTarget | None = TARGET) -> str:
    return headline_of(Submission("agt_1", action, target, Urgency.NORMAL, "", {}))


def test_the_headline_names_verb_and_target() -> None:
    assert headline(SshExec("uptime")) == "ssh db: uptime"
    assert headline(SshExec("uptime", host="db1")) == "ssh db (db1): uptime"
    assert headline(SshGet("/a")) == "ssh db: read /a"
    assert headline(SshPut("/a", b"")) == "ssh db: write /a"
    assert headline(SshExec("x" * 500), None) == f"ssh ?: {'x' * 160}…"
    assert texts(SshExec("uptime"), None)["Where"][0] == "?"
