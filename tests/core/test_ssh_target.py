import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.errors import InvalidAction, InvalidField, TargetNotPermitted
from app.core.principals import Permission
from app.core.ssh_action import SshAction, SshExec, SshGet, SshHop, SshPut
from app.core.ssh_target import (
    HostNotPermitted,
    HostNotPinned,
    SshSettings,
    check_ssh,
    fingerprint,
    permit_ssh,
    place_of,
    profiles_of,
)

KEY = (
    Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    .decode()
)
PRINT = "SHA256:" + base64.b64encode(
    hashlib.sha256(base64.b64decode(KEY.split()[1])).digest()
).decode().rstrip("=")
FIXED = SshSettings(host="db1", user="deploy", host_keys=(KEY,))
DYNAMIC = SshSettings(
    user="deploy", hosts=("*.db.example.com",), cidrs=("10.1.0.0/16",),
    host_keys=(f"10.1.2.3 {KEY}", f"a.db.example.com {PRINT}"),
)  # fmt: skip


@pytest.mark.requirement("SSH-2")
def test_a_fingerprint_is_that_of_ssh_keygen() -> None:
    assert fingerprint(KEY) == PRINT
    assert fingerprint(f"{KEY} a comment") == PRINT
    assert fingerprint(PRINT) == PRINT
    for wrong in ("", "SHA256:x", "ssh-ed25519 AAAA", "ssh-ed25519", "ü ü"):
        with pytest.raises(ValueError, match="host key"):
            fingerprint(wrong)


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        (replace(FIXED, host=""), "host"),
        (replace(FIXED, host="Db1"), "host"),
        (replace(FIXED, host="a b"), "host"),
        (replace(FIXED, host="-oProxyCommand=x"), "host"),
        (replace(FIXED, user=""), "user"),
        (replace(FIXED, user="-l root"), "user"),
        (replace(FIXED, port=0), "port"),
        (replace(FIXED, port=65_536), "port"),
        (replace(FIXED, host_keys=("x",)), "host_keys/0"),
        (replace(FIXED, host_keys=(f"db1 {KEY}",)), "host_keys/0"),
        (replace(FIXED, host_keys=(KEY,) * 65), "host_keys"),
        (replace(FIXED, ca_keys=(PRINT,)), "ca_keys"),
        (replace(FIXED, jumps=(SshHop("b", 22, "u", ()),)), "jumps/0/keys"),
        (replace(FIXED, jumps=(SshHop("b", 0, "u", (KEY,)),)), "jumps/0/port"),
        (replace(FIXED, jumps=(SshHop("B", 22, "u", (KEY,)),)), "jumps/0/host"),
        (replace(FIXED, jumps=(SshHop("b", 22, "u", (KEY,)),) * 5), "jumps"),
        (replace(FIXED, seconds=0), "seconds"),
        (replace(FIXED, output_bytes=1 << 30), "output_bytes"),
        (replace(FIXED, file_bytes=0), "file_bytes"),
        (replace(FIXED, marker_dir="marks"), "marker_dir"),
        (replace(FIXED, marker_dir="/a b"), "marker_dir"),
        (replace(FIXED, hosts=("*",)), "host"),
        (replace(DYNAMIC, hosts=("UP*",)), "hosts/0"),
        (replace(DYNAMIC, hosts=("a",) * 65), "hosts"),
        (replace(DYNAMIC, cidrs=("10.1.2.3/8",)), "cidrs/0"),
        (replace(DYNAMIC, host_keys=(KEY,)), "host_keys/0"),
        (replace(DYNAMIC, jumps=(SshHop("b", 22, "u", (KEY,)),)), "cidrs"),
    ],
)
def test_settings_that_cannot_work_are_pointed_at(settings: SshSettings, pointer: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_ssh(settings)
    assert caught.value.pointer == f"/settings/ssh/{pointer}"


def test_settings_that_work() -> None:
    check_ssh(FIXED)
    check_ssh(DYNAMIC)
    check_ssh(replace(FIXED, host_keys=(), jumps=(SshHop("b", 22, "u", (PRINT,)),)))
    assert FIXED.address == "ssh://deploy@db1:22"
    assert DYNAMIC.address == "ssh://deploy@*:22"
    assert replace(FIXED, host="::1").address == "ssh://deploy@[::1]:22"


@pytest.mark.requirement("SSH-4")
def test_a_host_that_the_agent_names_must_be_within_bounds() -> None:
    assert place_of(DYNAMIC, SshExec("a", host="10.1.2.3")).keys == (KEY,)
    assert place_of(DYNAMIC, SshExec("a", host="a.db.example.com")).keys == (PRINT,)
    for host in ("10.2.0.1", "db.example.com", "a.db.example.com.evil.org", "127.0.0.1", "::1",
                 "169.254.169.254", "0x0a010203", "10.1.2", "167837955"):  # fmt: skip
        with pytest.raises(HostNotPermitted):
            place_of(
                replace(DYNAMIC, hosts=("*.db.example.com", "[0-9]*")), SshExec("a", host=host)
            )
    with pytest.raises(HostNotPinned):
        place_of(DYNAMIC, SshExec("a", host="10.1.2.4"))
    signed = replace(DYNAMIC, ca_keys=(KEY,))
    assert place_of(signed, SshExec("a", host="10.1.2.4")).authorities == (KEY,)


@pytest.mark.parametrize(
    ("settings", "action", "pointer"),
    [
        (FIXED, SshExec("a", host="db1"), "/params/host"),
        (DYNAMIC, SshExec("a"), "/params/host"),
        (FIXED, SshExec("a", timeout=61), "/params/timeout"),
        (FIXED, SshGet("/a", most=1_048_577), "/params/most"),
        (replace(FIXED, file_bytes=1), SshPut("/a", b"xx"), "/params/content"),
    ],
)
def test_what_goes_beyond_the_target_is_pointed_at(
    settings: SshSettings, action: SshAction, pointer: str
) -> None:
    with pytest.raises(InvalidAction) as caught:
        place_of(settings, action)
    assert caught.value.pointer == pointer


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    ("permissions", "good"),
    [
        (None, True),
        ((), False),
        ((Permission("db"),), True),
        ((Permission("web"),), False),
        ((Permission("db", ("GET",)),), False),
        ((Permission("db", (), ("/x",)),), False),
        ((Permission("db"), Permission("db", ("GET",), (), denied=True)), False),
    ],
)
def test_a_key_permits_a_host_as_a_whole(permissions: Any, *, good: bool) -> None:
    if good:
        permit_ssh(permissions, "db")
        return
    with pytest.raises(TargetNotPermitted):
        permit_ssh(permissions, "db")


@pytest.mark.requirement("SSH-3", "KEY-2")
@pytest.mark.parametrize(
    ("permissions", "found"),
    [
        (None, ()),
        ((Permission("db"),), ()),
        ((Permission("db", profiles=("a", "b")),), ("a", "b")),
        ((Permission("web", profiles=("a",)),), ()),
        ((Permission("db", profiles=("a",)), Permission("db", profiles=("b", "a"))), ("a", "b")),
        ((Permission("db", profiles=("a",)), Permission("db")), ()),
        ((Permission("db", profiles=("a",)), Permission("db", ("GET",))), ("a",)),
    ],
)
def test_a_key_names_profiles_for_a_host(permissions: Any, found: tuple[str, ...]) -> None:
    assert profiles_of(permissions, "db") == found
