from typing import Any

import pytest

from app.core.asking import build_action
from app.core.errors import InvalidAction
from app.core.ssh_action import SshExec, SshGet, SshPut
from app.core.ssh_asking import build_ssh


@pytest.mark.requirement("SSH-1")
def test_a_command_is_taken_as_it_is_written() -> None:
    text = "  printf '%s\\n' \"$HOME\"\n\techo ü; rm -rf /  "
    assert build_action("ssh.exec", {"command": text}) == SshExec(text)


def test_everything_about_a_command_can_be_said() -> None:
    params: dict[str, Any] = {
        "command": "cat", "stdin_base64": "AP8=", "timeout": 5, "host": "Web1.Example.com.",
    }  # fmt: skip
    assert build_ssh("ssh.exec", params) == SshExec("cat", b"\x00\xff", 5, "web1.example.com")
    assert build_ssh("ssh.exec", {"command": "cat", "stdin": ""}) == SshExec("cat", b"")


@pytest.mark.requirement("SSH-6")
def test_files_are_read_and_written_by_whole_paths() -> None:
    sha = "ab" * 32
    assert build_ssh("ssh.get", {"path": "/a/b", "most": 9, "sha256": sha}) == SshGet(
        "/a/b", 9, sha
    )
    made = build_ssh("ssh.put", {"path": "/a", "content": "ü", "mode": "0640", "overwrite": True})
    assert made == SshPut("/a", "ü".encode(), 0o640, overwrite=True)


@pytest.mark.requirement("SSH-1", "SSH-6", "T50")
@pytest.mark.parametrize(
    ("name", "params", "pointer"),
    [
        ("ssh.exec", {}, "/params/command"),
        ("ssh.exec", {"command": ""}, "/params/command"),
        ("ssh.exec", {"command": " \n"}, "/params/command"),
        ("ssh.exec", {"command": 7}, "/params/command"),
        ("ssh.exec", {"command": "a\x00b"}, "/params/command"),
        ("ssh.exec", {"command": "a\x1b[2J"}, "/params/command"),
        ("ssh.exec", {"command": "a\rb"}, "/params/command"),
        ("ssh.exec", {"command": "a\x9bb"}, "/params/command"),
        ("ssh.exec", {"command": "a\ud800"}, "/params/command"),
        ("ssh.exec", {"command": "a" * 65_537}, "/params/command"),
        ("ssh.exec", {"command": "a", "timeout": 0}, "/params/timeout"),
        ("ssh.exec", {"command": "a", "timeout": True}, "/params/timeout"),
        ("ssh.exec", {"command": "a", "timeout": 1.5}, "/params/timeout"),
        ("ssh.exec", {"command": "a", "timeout": 3601}, "/params/timeout"),
        ("ssh.exec", {"command": "a", "stdin": 1}, "/params/stdin"),
        (
            "ssh.exec",
            {"command": "a", "stdin": "x", "stdin_base64": "eA=="},
            "/params/stdin_base64",
        ),
        ("ssh.exec", {"command": "a", "stdin_base64": "%"}, "/params/stdin_base64"),
        ("ssh.exec", {"command": "a", "stdin_base64": 3}, "/params/stdin_base64"),
        ("ssh.exec", {"command": "a", "stdin": "x" * 1_048_577}, "/params/stdin"),
        ("ssh.exec", {"command": "a", "env": {}}, "/params/env"),
        ("ssh.exec", {"command": "a", "host": "-oProxyCommand=x"}, "/params/host"),
        ("ssh.exec", {"command": "a", "host": "root@web"}, "/params/host"),
        ("ssh.exec", {"command": "a", "host": 3}, "/params/host"),
        ("ssh.get", {"path": "etc/motd"}, "/params/path"),
        ("ssh.get", {"path": "/var/../etc"}, "/params/path"),
        ("ssh.get", {"path": "/var//etc"}, "/params/path"),
        ("ssh.get", {"path": "/a\nb"}, "/params/path"),
        ("ssh.get", {"path": "/a", "sha256": "AB"}, "/params/sha256"),
        ("ssh.put", {"path": "/a"}, "/params/content"),
        ("ssh.put", {"path": "/a", "content": "", "mode": "4755"}, "/params/mode"),
        ("ssh.put", {"path": "/a", "content": "", "mode": 640}, "/params/mode"),
        ("ssh.put", {"path": "/a", "content": "", "overwrite": 1}, "/params/overwrite"),
    ],
)
def test_what_is_wrong_is_pointed_at(name: str, params: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidAction) as caught:
        build_action(name, params)
    assert caught.value.pointer == pointer
