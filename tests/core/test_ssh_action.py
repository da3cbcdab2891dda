from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.action import BoundTarget, Kind, Submission, Urgency, action_params, seal, unseal
from app.core.ssh_action import (
    SshAction,
    SshExec,
    SshGet,
    SshHop,
    SshPlace,
    SshPut,
    read_params,
)

PLACE = SshPlace(
    "db1.example.com", 22, "deploy", ("ssh-ed25519 AAAA",), ("ssh-ed25519 BBBB",),
    (SshHop("bastion", 2222, "jump", ("SHA256:x",)),), 30, 1000, 2000, "/var/tmp/marks",
)  # fmt: skip
TARGET = BoundTarget("tgt_1", "db", "ssh://deploy@db1.example.com:22", 3, PLACE)
ACTIONS = (
    SshExec("uptime"),
    SshExec("cat\n\tx", b"\x00\xff", 12, "web.example.com"),
    SshGet("/etc/motd", 100, "ab" * 32, "h"),
    SshPut("/tmp/x", b"caf\xc3\xa9", 0o640, overwrite=True),
)


def submission(action: SshAction, target: BoundTarget = TARGET) -> Submission:
    return Submission("agt_1", action, target, Urgency.NORMAL, "", {})


@pytest.mark.requirement("SSH-1", "SSH-6", "REQ-2")
@pytest.mark.parametrize("action", ACTIONS)
def test_the_envelope_holds_all_of_an_action(action: SshAction) -> None:
    asked = submission(action)
    assert unseal(seal(asked)) == asked
    assert action.kind is Kind.SSH
    assert read_params(action.name, action_params(action)) == action


@pytest.mark.requirement("SSH-3", "REQ-2")
def test_the_profiles_of_a_key_are_kept_and_old_envelopes_stay_as_they_are() -> None:
    asked = submission(SshExec("uptime"), replace(TARGET, ssh=replace(PLACE, key_profiles=("a",))))
    assert unseal(seal(asked)) == asked
    assert b"key_profiles" not in seal(submission(SshExec("uptime")))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_a_command_comes_back_as_it_was(command: str) -> None:
    asked = submission(SshExec(command))
    assert unseal(seal(asked)) == asked


@pytest.mark.requirement("SSH-1", "SSH-2", "T50")
@pytest.mark.parametrize(
    "place",
    [
        replace(PLACE, host="other"),
        replace(PLACE, port=23),
        replace(PLACE, user="root"),
        replace(PLACE, keys=("ssh-ed25519 CCCC",)),
        replace(PLACE, authorities=()),
        replace(PLACE, jumps=()),
        replace(PLACE, jumps=(SshHop("bastion", 2222, "jump", ("SHA256:y",)),)),
        replace(PLACE, seconds=31),
        replace(PLACE, marker_dir=""),
        replace(PLACE, key_profiles=("a",)),
    ],
)
def test_whatever_shapes_the_run_is_in_the_digest(place: SshPlace) -> None:
    here = submission(SshExec("uptime"))
    there = submission(SshExec("uptime"), replace(TARGET, ssh=place))
    assert seal(here) != seal(there)


@pytest.mark.parametrize(
    "action", [SshExec("a"), SshExec("a", b""), SshExec("a", b"x"), SshExec("a", timeout=1)]
)
def test_no_two_actions_are_the_same(action: SshExec) -> None:
    others = [one for one in (SshExec("a"), SshExec("a", b""), SshExec("a", b"x")) if one != action]
    assert all(seal(submission(one)) != seal(submission(action)) for one in others)


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown action"):
        read_params("ssh.sudo", {"host": "", "path": "/x"})


def test_an_address_is_shown_with_brackets_where_it_needs_them() -> None:
    assert PLACE.address == "deploy@db1.example.com:22"
    assert replace(PLACE, host="::1").address == "deploy@[::1]:22"
