"""Rules for commands are files: bundled ones and an operator's own, read again when changed."""

from pathlib import Path

import pytest

from app.core.command_guard import judge
from app.core.command_line import parse_command
from app.core.command_profile import check
from app.core.command_rules import CommandRules
from app.core.errors import InvalidPolicy
from app.core.policy import Effect
from app.services.profiles import Profiles, line_of, load, opened
from app.settings import SettingsError

pytestmark = pytest.mark.requirement("SSH-3")

OWN = """
name = "{name}"
title = "Own"
description = "Own."
{more}
[[program]]
names = ["{program}"]
"""
RULE = """
[[rule]]
name = "deploys"
effect = "review"
reason = "It deploys."
programs = ["deploy"]
"""


def write(folder: Path, name: str, program: str, more: str = "") -> None:
    text = OWN.format(name=name, program=program, more=more)
    (folder / f"{name}.toml").write_text(text, "utf-8")


def permits(given: Profiles | CommandRules, name: str, command: str) -> bool:
    rules = given.current if isinstance(given, Profiles) else given
    return check(rules.profiles[name], parse_command(command)).effect is Effect.ALLOW


def test_the_sixteen_starters_are_there() -> None:
    assert {name for name, one in load().profiles.items() if not one.base} == {
        "debian-ops", "debian-readonly", "docker-ops", "docker-readonly", "kubernetes-readonly",
        "logs-readonly", "network-diagnostics", "package-readonly", "proxmox-ops",
        "proxmox-readonly", "readonly-safe", "rhel-ops", "rhel-readonly", "systemd-ops",
        "ubuntu-ops", "ubuntu-readonly",
    }  # fmt: skip


def test_own_files_come_beside_the_bundled_ones(tmp_path: Path) -> None:
    write(tmp_path, "app", "app-status", 'extends = ["more", "logs-readonly"]')
    write(tmp_path, "more", "app-info", 'extends = ["base-words"]')
    (tmp_path / "ssh_guard.toml").write_text(RULE, "utf-8")
    rules = load(tmp_path)
    assert all(permits(rules, "app", one) for one in ("app-status", "app-info", "ls /var/log"))
    assert judge(parse_command("deploy"), rules.guard).rule == "deploys"
    assert judge(parse_command("rm x"), rules.guard).effect is Effect.REVIEW


def test_an_own_profile_takes_the_place_of_a_bundled_one(tmp_path: Path) -> None:
    write(tmp_path, "logs-readonly", "app-logs")
    rules = load(tmp_path)
    assert permits(rules, "logs-readonly", "app-logs")
    assert not permits(rules, "logs-readonly", "ls /var/log")


def test_a_change_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    write(tmp_path, "app", "one")
    profiles = opened(str(tmp_path))
    assert (permits(profiles, "app", "one"), profiles.refresh()) == (True, False)
    write(tmp_path, "app", "another")
    assert profiles.refresh()
    assert permits(profiles, "app", "another") and not permits(profiles, "app", "one")
    (tmp_path / "app.toml").write_text("[[progam]]", "utf-8")
    assert not profiles.refresh()
    assert permits(profiles, "app", "another")
    assert (
        profiles.error
        == "app.toml, line 1: unknown field \"progam\"; did you mean 'program'? /progam"
    )
    write(tmp_path, "app", "a-third")
    assert profiles.refresh()
    assert (profiles.error, permits(profiles, "app", "a-third")) == ("", True)


def test_a_removed_profile_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "app", "one")
    profiles = opened(str(tmp_path))
    (tmp_path / "app.toml").unlink()
    assert profiles.refresh()
    assert "app" not in profiles.current.profiles


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("x", "utf-8")
    with pytest.raises(SettingsError, match=r"COMMAND_RULES: app\.toml: this is no TOML"):
        opened(str(tmp_path))
    with pytest.raises(SettingsError, match="no such folder"):
        opened(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": 'extends = ["b"]', "b": 'extends = ["a"]'}, "extends itself"),
        ({"a": 'extends = ["c"]'}, "no profile 'c'"),
        ({"a": 'extends = "[["\nx = 1'}, "unknown field"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    for name, more in files.items():
        write(tmp_path, name, "x", more)
    with pytest.raises(InvalidPolicy, match=said) as error:
        load(tmp_path)
    assert error.value.detail.startswith(("a.toml: ", "a.toml, line "))


def test_a_file_is_named_like_its_profile(tmp_path: Path) -> None:
    write(tmp_path, "a", "x")
    (tmp_path / "a.toml").rename(tmp_path / "b.toml")
    with pytest.raises(InvalidPolicy, match="the name in it is 'a'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("pointer", "line"),
    [("/name", 1), ("/patterns/word", 4), ("/program/0", 6), ("/program/1/flags/2", 11),
     ("/program/1/flag", 9), ("/program/7", 0), ("", 0), ("/extends", 0)],
)  # fmt: skip
def test_a_pointer_is_about_a_line(pointer: str, line: int) -> None:
    document = (
        'name = "x"\n\n[patterns]\nword = "a"\n\n[[program]]\nnames = ["x"]\n\n'
        '[[program]]\nnames = ["y"]\nflags = ["-a"]\n'
    )
    assert line_of(document, pointer) == line


def test_a_file_whose_rights_change_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "app", "app-status")
    profiles = opened(str(tmp_path))
    assert not profiles.refresh()
    (tmp_path / "app.toml").chmod(0o600)
    assert profiles.refresh()
    (tmp_path / "app.toml").unlink()
    tmp_path.rmdir()
    assert not profiles.refresh()
    assert "no such folder" in profiles.error
    assert permits(profiles, "app", "app-status")
