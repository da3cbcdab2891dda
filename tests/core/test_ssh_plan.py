import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ssh_action import SshExec, SshPlace
from app.core.ssh_plan import SshIdentity, SshPlan, wire_command

PLACE = SshPlace("h", 22, "u", ())
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


@pytest.mark.requirement("SSH-1", "T50")
@given(TEXTS, st.sampled_from(["", "/var/marks"]))
def test_the_approved_text_is_one_word_of_what_is_sent(command: str, marker_dir: str) -> None:
    place = SshPlace("h", 22, "u", (), marker_dir=marker_dir)
    words = shlex.split(wire_command(SshExec(command, timeout=7), place, "req_1"))
    assert words[-1] == command
    bare = SshPlace("h", 22, "u", (), wrap=False)
    assert wire_command(SshExec(command), bare, "req_1") == command


@pytest.mark.requirement("T50")
@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_shell_reads_the_words_that_were_shown(words: list[str]) -> None:
    command = "printf '%s\\0' " + shlex.join(words)
    sent = wire_command(SshExec(command), PLACE, "req_1")
    done = subprocess.run(
        ["/bin/sh", "-c", sent], env={"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode().split("\0")[:-1] == words


def test_a_marker_is_named_after_the_request(tmp_path: Path) -> None:
    place = SshPlace("h", 22, "u", (), marker_dir=f"{tmp_path}/", wrap=False)
    assert f"{tmp_path}/req_7" in shlex.split(wire_command(SshExec("a"), place, "req_7"))
    assert "req_7" not in wire_command(SshExec("a"), PLACE, "req_7")
    assert SshPlan("req_7", SshExec("a", timeout=3), PLACE).seconds == 3
    assert SshPlan("req_7", SshExec("a"), PLACE).seconds == 60


def test_identities_are_told_apart_and_say_nothing() -> None:
    one, other = SshIdentity(private_key="a", passphrase="b"), SshIdentity(private_key="ab")
    assert one.digest != other.digest
    assert repr(one) == "SshIdentity()"
