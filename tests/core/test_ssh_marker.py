"""Looks at markers, carried out by a real shell."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ssh_action import SshExec, SshPlace
from app.core.ssh_marker import Marker, Says, look_command, marker_in
from app.core.ssh_plan import ALREADY_THERE, MARKED, wire_command

pytestmark = pytest.mark.requirement("SSH-7", "T53")


def shell(text: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["/bin/sh", "-c", text], env={"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
        capture_output=True, check=False,
    )  # fmt: skip


def place_in(folder: Path) -> SshPlace:
    return SshPlace("h", 22, "u", (), marker_dir=str(folder))


def look(folder: Path) -> Marker:
    return marker_in(shell(look_command(place_in(folder), "req_1")).stdout)


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_status_of_what_ended_is_found(tmp_path: Path, code: int) -> None:
    shell(wire_command(SshExec(f"exit {code}"), place_in(tmp_path), "req_1"))
    assert look(tmp_path) == Marker(Says.FINISHED, code)
    assert str(code) in look(tmp_path).detail


def test_what_never_began_cannot_begin_after_a_look(tmp_path: Path) -> None:
    assert look(tmp_path) == Marker(Says.NONE)
    assert look(tmp_path) == Marker(Says.NONE)
    late = shell(wire_command(SshExec(f"touch {tmp_path}/ran"), place_in(tmp_path), "req_1"))
    assert (late.returncode, late.stderr.decode()) == (MARKED, f"{ALREADY_THERE}\n")
    assert not (tmp_path / "ran").exists()


def test_a_look_that_cannot_write_leaves_nothing_that_says_it_began(tmp_path: Path) -> None:
    text = look_command(place_in(tmp_path), "req_1").removeprefix("exec ")
    assert marker_in(shell(f"ulimit -f 0; {text}").stdout) == Marker(Says.UNREADABLE)
    assert list(tmp_path.iterdir()) == []
    assert look(tmp_path) == Marker(Says.NONE)


def test_a_command_finds_its_marker_empty_while_it_runs(tmp_path: Path) -> None:
    inside = look_command(place_in(tmp_path), "req_1").removeprefix("exec ")
    said = shell(wire_command(SshExec(inside), place_in(tmp_path), "req_1"))
    assert marker_in(said.stdout) == Marker(Says.BEGAN)


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "missing") == Marker(Says.UNREADABLE)
    (tmp_path / "req_1").mkdir()
    assert look(tmp_path) == Marker(Says.UNREADABLE)


@pytest.mark.parametrize("content", ["256\n", "0", "-1\n", "0\n0\n", "\n", "ok\n", "fenced", "٣\n"])
def test_no_other_content_counts(tmp_path: Path, content: str) -> None:
    (tmp_path / "req_1").write_text(content)
    assert look(tmp_path) == Marker(Says.UNREADABLE)


@given(st.binary(max_size=40))
def test_noise_says_nothing(noise: bytes) -> None:
    assert marker_in(noise) == Marker(Says.UNREADABLE)


def test_what_a_shell_says_at_its_start_does_not_matter() -> None:
    assert marker_in(b"Welcome!\nassentry-marker:there\n3\n") == Marker(Says.FINISHED, 3)


def test_the_outcome_says_how_it_is_known() -> None:
    assert json.loads(Marker(Says.FINISHED, 0).outcome()) == {
        "code": "ok", "exit_code": 0, "known_by": "marker"
    }  # fmt: skip
    assert json.loads(Marker(Says.FINISHED, 3).outcome())["code"] == "exit_status"
