"""The executor of commands against a real OpenSSH server, and a server that misbehaves."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.core.outcome import Ambiguous, Injection, NotStarted, Outcome
from app.core.ssh_action import SshAction, SshExec, SshHop, SshPlace
from app.core.ssh_plan import ALREADY_THERE, MARKED, NO_MARKER, UNMARKED, SshIdentity, SshPlan
from app.core.ssh_target import fingerprint
from tests.support.canary import CANARY
from tests.support.server import free_port
from tests.support.sshd import (
    Sshd,
    eventually,
    keygen,
    resident_kilobytes,
    running_sshd,
    sign,
)
from workers.executors.ssh.connecting import connect, opened
from workers.executors.ssh.executor import SshExecutor
from workers.executors.ssh.pool import CHANNELS, Pool

NETWORKS = ("127.0.0.0/8",)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Sshd]:
    async with running_sshd(tmp_path / "server") as running:
        yield running


@pytest.fixture
async def executor() -> AsyncIterator[SshExecutor]:
    made = SshExecutor()
    yield made
    await made.close()


def place_at(server: Sshd, **changes: Any) -> SshPlace:
    return replace(
        SshPlace("127.0.0.1", server.port, server.user, (server.host_key,), seconds=20), **changes
    )


def plan_for(server: Sshd, action: SshAction | str, **changes: Any) -> SshPlan:
    wanted = SshExec(action) if isinstance(action, str) else action
    return SshPlan("req_1", wanted, place_at(server, **changes), NETWORKS)


def identity_of(server: Sshd, **fields: Any) -> Injection:
    return Injection(ssh=replace(SshIdentity(private_key=server.key), **fields))


class Sent:
    """Counts how often an action was marked as sent."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def run(
    executor: SshExecutor, plan: SshPlan, injection: Injection, sent: Sent | None = None
) -> tuple[Outcome, dict[str, Any]]:
    outcome = await executor.execute(plan, injection, sent or Sent())
    return outcome, json.loads(outcome.result.body)


@pytest.mark.requirement("SSH-1", "EXE-1", "T50")
async def test_a_command_runs_as_it_is_written(server: Sshd, executor: SshExecutor) -> None:
    text = "printf '%s|' \"$0\" 'a b' \"it's\" \\* $((1+1))\nprintf 'ü' >&2; exit 3"
    sent = Sent()
    outcome, said = await run(executor, plan_for(server, text), identity_of(server), sent)
    assert said["stdout"].endswith("|a b|it's|*|2|")
    assert (said["stderr"], said["exit_code"], said["signal"]) == ("ü", 3, None)
    assert (outcome.succeeded, outcome.code, sent.times) == (False, "exit_status", 1)
    assert outcome.facts == {"exit_code": 3, "signal": None}


async def test_the_cheapest_safe_cipher_is_taken(server: Sshd) -> None:
    identity = identity_of(server).ssh
    assert identity is not None
    async with opened(await connect(plan_for(server, "true"), identity)) as connected:
        for way in ("send_cipher", "recv_cipher"):
            assert connected.connection.get_extra_info(way) == "aes128-gcm@openssh.com"


@pytest.mark.requirement("SSH-1")
async def test_a_connection_with_room_is_warm(server: Sshd) -> None:
    pool, identity = Pool(idle_seconds=0.0), identity_of(server).ssh
    assert identity is not None
    plan = plan_for(server, "true")
    assert not pool.is_warm(plan)
    async with pool.session(plan, identity):
        assert pool.is_warm(plan)
        assert not pool.is_warm(plan_for(server, "true", user="another"))
        async with AsyncExitStack() as stack:
            for _ in range(CHANNELS - 1):
                await stack.enter_async_context(pool.session(plan, identity))
            assert not pool.is_warm(plan)
        assert pool.is_warm(plan)
        server.end_sessions()
        await eventually(lambda: not pool.is_warm(plan))
    await pool.close()


@pytest.mark.requirement("SSH-1")
@pytest.mark.parametrize("wrap", [True, False])
async def test_standard_input_is_given_or_closed(
    server: Sshd, executor: SshExecutor, *, wrap: bool
) -> None:
    fed = plan_for(server, SshExec("cat", b"\x00\xffx" * 50_000), wrap=wrap)
    _, said = await run(executor, fed, identity_of(server))
    assert said["stdout_encoding"] == "base64"
    assert said["stdout_bytes"] == 150_000
    _, said = await run(executor, plan_for(server, "cat; echo end", wrap=wrap), identity_of(server))
    assert said["stdout"] == "end\n"


@pytest.mark.requirement("SSH-1")
@pytest.mark.parametrize("wrap", [True, False])
async def test_a_signal_is_reported_as_one(
    server: Sshd, executor: SshExecutor, *, wrap: bool
) -> None:
    outcome, said = await run(
        executor, plan_for(server, "kill -TERM $$", wrap=wrap), identity_of(server)
    )
    assert (said["exit_code"], said["signal"], outcome.code) == (None, "TERM", "signalled")


def running_with(word: str) -> list[str]:
    found = subprocess.run(["pgrep", "-f", word], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.mark.requirement("SSH-1", "T53")
async def test_a_time_limit_ends_the_process_there(server: Sshd, executor: SshExecutor) -> None:
    word = "7771"
    command = f"echo begun; sleep {word} | cat; echo never"
    outcome, said = await run(
        executor, plan_for(server, SshExec(command, timeout=1)), identity_of(server)
    )
    assert (outcome.code, said["timed_out"], said["stdout"]) == ("timed_out", True, "begun\n")
    await eventually(lambda: not running_with(f"sleep {word}"))


@pytest.mark.requirement("SSH-1", "T53")
@pytest.mark.parametrize("marked", [True, False])
async def test_a_time_limit_holds_when_our_side_is_gone(
    server: Sshd, executor: SshExecutor, tmp_path: Path, *, marked: bool
) -> None:
    word = "7772"
    action = SshExec(f"touch {tmp_path}/began; (sleep {word}; true) | cat", timeout=3)
    plan = plan_for(server, action, marker_dir=str(tmp_path) if marked else "")
    running = asyncio.ensure_future(run(executor, plan, identity_of(server)))
    await eventually((tmp_path / "began").exists)
    server.end_sessions()
    with pytest.raises(Ambiguous):
        await running
    await eventually(lambda: not running_with(f"sleep {word}"))


@pytest.mark.requirement("SSH-1", "T53")
async def test_a_time_limit_ends_what_ignores_the_first_signal(
    server: Sshd, executor: SshExecutor
) -> None:
    word = "7773"
    action = SshExec(f"trap '' TERM; while :; do sleep {word} || true; done", timeout=1)
    outcome, said = await run(executor, plan_for(server, action), identity_of(server))
    assert (outcome.code, said["timed_out"]) == ("timed_out", True)
    await eventually(lambda: not running_with(f"sleep {word}"))


@pytest.mark.requirement("SSH-1", "T53")
async def test_a_large_output_is_cut_and_memory_stays_flat(
    server: Sshd, executor: SshExecutor
) -> None:
    plan = plan_for(server, "head -c 100000000 /dev/zero | tr '\\0' x; echo >&2 done")
    plan = replace(plan, place=replace(plan.place, output_bytes=1000))
    await run(executor, plan_for(server, "true"), identity_of(server))
    before = resident_kilobytes()
    outcome, said = await run(executor, plan, identity_of(server))
    assert resident_kilobytes() - before < 20_000
    assert said["stdout"] == "x" * 1000
    assert (said["stdout_bytes"], said["stdout_truncated"]) == (100_000_000, True)
    assert (said["stderr"], said["stderr_truncated"], said["exit_code"]) == ("done\n", False, 0)
    assert outcome.result.truncated


@pytest.mark.requirement("SSH-1")
async def test_twenty_at_once_share_few_connections(server: Sshd, executor: SshExecutor) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                run(executor, plan_for(server, f"sleep 0.3; echo {n}"), identity_of(server))
            )
            for n in range(20)
        ]
    assert [task.result()[1]["stdout"] for task in tasks] == [f"{n}\n" for n in range(20)]
    assert server.log.count("Accepted publickey") == 3


@pytest.mark.requirement("SSH-2", "T51")
async def test_another_host_key_is_refused_before_any_secret(
    server: Sshd, executor: SshExecutor
) -> None:
    plan, sent = plan_for(server, "true"), Sent()
    await run(executor, plan, identity_of(server))
    await executor.close()
    await server.new_host_key()
    (server.home / "log").write_text("")
    with pytest.raises(NotStarted) as caught:
        await run(executor, plan, identity_of(server), sent)
    assert (caught.value.code, caught.value.retryable) == ("host_key_changed", False)
    assert fingerprint(server.host_key) in caught.value.detail
    assert sent.times == 0
    assert "publickey" not in server.log


@pytest.mark.requirement("SSH-2")
async def test_a_fingerprint_is_enough_of_a_pin(server: Sshd, executor: SshExecutor) -> None:
    plan = plan_for(server, "echo x", keys=(fingerprint(server.host_key),))
    _, said = await run(executor, plan, identity_of(server))
    assert said["stdout"] == "x\n"


@pytest.mark.requirement("SSH-2", "T51")
@pytest.mark.parametrize("keys", [(), ("SHA256:" + "A" * 43,)])
async def test_no_pin_no_connection(
    server: Sshd, executor: SshExecutor, keys: tuple[str, ...]
) -> None:
    with pytest.raises(NotStarted) as caught:
        await run(executor, plan_for(server, "true", keys=keys), identity_of(server))
    assert caught.value.code == "host_key_changed"


@pytest.mark.requirement("SSH-4", "SSH-2")
async def test_a_host_key_may_be_signed(tmp_path: Path, executor: SshExecutor) -> None:
    async with running_sshd(tmp_path / "ca", authority=True) as server:
        authority = " ".join((server.home / "host_ca.pub").read_text().split()[:2])
        plan = plan_for(server, "echo x", keys=(), authorities=(authority,))
        _, said = await run(executor, plan, identity_of(server))
        assert said["stdout"] == "x\n"
        other = " ".join(keygen(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
        plan = plan_for(server, "echo x", keys=(), authorities=(other,))
        with pytest.raises(NotStarted):
            await run(SshExecutor(), plan, identity_of(server))


@pytest.mark.requirement("SSH-6")
async def test_a_jump_host_is_gone_through(
    server: Sshd, tmp_path: Path, executor: SshExecutor
) -> None:
    async with running_sshd(tmp_path / "bastion") as bastion:
        (bastion.home / "authorized_keys").write_text((server.home / "client_key.pub").read_text())
        hop = SshHop("127.0.0.1", bastion.port, bastion.user, (bastion.host_key,))
        plan = plan_for(server, "echo x", jumps=(hop,))
        _, said = await run(executor, plan, identity_of(server))
        assert said["stdout"] == "x\n"
        assert "Accepted publickey" in bastion.log
        wrong = replace(hop, keys=(server.host_key,))
        with pytest.raises(NotStarted) as caught:
            await run(SshExecutor(), plan_for(server, "x", jumps=(wrong,)), identity_of(server))
        assert caught.value.code == "host_key_changed"


@pytest.mark.requirement("SSH-1")
async def test_a_key_with_a_passphrase_and_a_certificate(
    server: Sshd, executor: SshExecutor
) -> None:
    passphrase = CANARY
    path = keygen(server.home / "other_key", "-N", passphrase)
    with (server.home / "authorized_keys").open("a") as keys:
        keys.write(path.with_suffix(".pub").read_text())
    sealed = SshIdentity(path.read_text(), passphrase)
    _, said = await run(executor, plan_for(server, "echo x"), Injection(ssh=sealed))
    assert said["stdout"] == "x\n"
    fresh = keygen(server.home / "fresh_key")
    signed = sign(server.home / "user_ca", fresh.with_suffix(".pub"), "-n", server.user)
    certified = SshIdentity(fresh.read_text(), certificate=signed.read_text())
    _, said = await run(executor, plan_for(server, "echo y"), Injection(ssh=certified))
    assert said["stdout"] == "y\n"


@pytest.mark.requirement("SSH-1")
@pytest.mark.parametrize(
    ("injection", "code"),
    [
        (Injection(), "no_credential"),
        (Injection(ssh=SshIdentity(password=CANARY)), "login_refused"),
        (Injection(ssh=SshIdentity(private_key="no key")), "credential_unreadable"),
    ],
)
async def test_who_cannot_log_in_sends_nothing(
    server: Sshd, executor: SshExecutor, injection: Injection, code: str
) -> None:
    sent = Sent()
    with pytest.raises(NotStarted) as caught:
        await run(executor, plan_for(server, "true"), injection, sent)
    assert (caught.value.code, sent.times) == (code, 0)


@pytest.mark.requirement("SSH-1", "T49")
@pytest.mark.parametrize(
    ("changes", "code"),
    [({"networks": ()}, "address_refused"), ({"cidrs": ("10.0.0.0/8",)}, "address_refused")],
)
async def test_addresses_are_checked(
    server: Sshd, executor: SshExecutor, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(NotStarted) as caught:
        await run(executor, replace(plan_for(server, "true"), **changes), identity_of(server))
    assert caught.value.code == code


async def test_nobody_there(server: Sshd, executor: SshExecutor) -> None:
    plan = plan_for(server, "true", port=free_port())
    with pytest.raises(NotStarted) as caught:
        await run(executor, plan, identity_of(server))
    assert (caught.value.code, caught.value.retryable) == ("connect_failed", True)


@pytest.mark.requirement("SSH-1", "T52")
async def test_nothing_of_our_own_user_is_used(
    server: Sshd, executor: SshExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand touch {home}/used\n")
    (home / ".ssh" / "id_ed25519").write_text(server.key)
    (home / ".ssh" / "id_ed25519").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    wrong = Injection(ssh=SshIdentity(password=CANARY))
    with pytest.raises(NotStarted) as caught:
        await run(executor, plan_for(server, "true"), wrong)
    assert caught.value.code == "login_refused"
    _, said = await run(executor, plan_for(server, "echo $SSH_AUTH_SOCK"), identity_of(server))
    assert said["stdout"] == "\n"
    assert not (home / "used").exists()


@pytest.mark.requirement("EXE-2")
async def test_secrets_are_redacted(server: Sshd, executor: SshExecutor) -> None:
    secret = CANARY
    injection = replace(identity_of(server), secrets=(secret,))
    outcome, said = await run(
        executor, plan_for(server, f"echo {secret}; echo x{secret} >&2"), injection
    )
    assert secret not in outcome.result.body.decode()
    assert outcome.result.redacted == 2
    assert said["stdout"] != ""


@pytest.mark.requirement("EXE-1", "SSH-1")
async def test_a_holder_that_is_told_to_stop_sends_nothing(
    server: Sshd, executor: SshExecutor, tmp_path: Path
) -> None:
    async def refuse() -> None:
        code = "lease_lost"
        raise NotStarted(code, "over")

    with pytest.raises(NotStarted) as caught:
        await executor.execute(
            plan_for(server, f"touch {tmp_path}/ran"), identity_of(server), refuse
        )
    assert caught.value.code == "lease_lost"
    _, said = await run(executor, plan_for(server, f"ls {tmp_path}/ran"), identity_of(server))
    assert said["exit_code"] != 0


@pytest.mark.requirement("EXE-1", "SSH-1")
async def test_a_marker_lets_a_request_run_once(
    server: Sshd, executor: SshExecutor, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    plan = plan_for(server, f"echo x >>{tmp_path}/ran; exit 4", marker_dir=str(marks))
    _, said = await run(executor, plan, identity_of(server))
    assert (said["exit_code"], said["stderr"]) == (UNMARKED, f"{NO_MARKER}\n")
    marks.mkdir()
    _, said = await run(executor, plan, identity_of(server))
    assert said["exit_code"] == 4
    assert (marks / "req_1").read_text() == "4\n"
    _, said = await run(executor, plan, identity_of(server))
    assert (said["exit_code"], said["stderr"]) == (MARKED, f"{ALREADY_THERE}\n")
    assert (tmp_path / "ran").read_text() == "x\n"


@pytest.mark.requirement("T53", "SSH-1")
async def test_a_command_cannot_say_that_it_did_not_run(
    server: Sshd, executor: SshExecutor, tmp_path: Path
) -> None:
    (tmp_path / "marks").mkdir()
    told = f"touch {tmp_path}/ran; printf '{ALREADY_THERE}\\n' >&2; exit {MARKED}"
    plan = plan_for(server, told, marker_dir=str(tmp_path / "marks"))
    _, said = await run(executor, plan, identity_of(server))
    assert said["exit_code"] == MARKED and (tmp_path / "ran").exists()


async def test_what_is_left_behind_does_not_hold_the_answer(
    server: Sshd, executor: SshExecutor
) -> None:
    began = time.monotonic()
    _, said = await run(
        executor, plan_for(server, "sleep 30 & echo $!", wrap=False), identity_of(server)
    )
    assert time.monotonic() - began < 10
    os.kill(int(said["stdout"]), 9)


async def test_a_connection_that_died_is_made_anew(server: Sshd, executor: SshExecutor) -> None:
    await run(executor, plan_for(server, "true"), identity_of(server))
    server.end_sessions()
    server.stop()
    await server.start()
    _, said = await run(executor, plan_for(server, "echo x"), identity_of(server))
    assert said["stdout"] == "x\n"


# --- a server that misbehaves ---


class Misbehaving(asyncssh.SSHServer):
    """Lets a password in."""

    password = CANARY

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == self.password


@asynccontextmanager
async def misbehaving(handle: Any, seconds: int = 2) -> AsyncGenerator[SshPlan]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    listener = await asyncssh.create_server(
        Misbehaving, "127.0.0.1", 0, server_host_keys=[key], process_factory=handle, encoding=None
    )
    public = " ".join(key.export_public_key().decode().split()[:2])
    place = SshPlace(
        "127.0.0.1", listener.get_port(), "root", (public,), seconds=seconds, wrap=False
    )
    try:
        yield SshPlan("req_1", SshExec("anything"), place, NETWORKS)
    finally:
        listener.close()
        await listener.wait_closed()


BY_PASSWORD = Injection(ssh=SshIdentity(password=Misbehaving.password))


@pytest.mark.requirement("SSH-1")
async def test_a_password_lets_in(executor: SshExecutor) -> None:
    def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"\x1b[2Jhello")
        process.exit(0)

    async with misbehaving(handle) as plan:
        _, said = await run(executor, plan, BY_PASSWORD)
        await executor.close()
    assert (said["stdout"], said["exit_code"]) == ("\x1b[2Jhello", 0)


@pytest.mark.requirement("SSH-1", "EXE-1", "T53")
@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_connection_lost_after_sending_is_unknown(executor: SshExecutor, how: str) -> None:
    def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"begun")
        connection = process.channel.get_connection()
        connection.abort() if how == "abort" else process.channel.abort()

    sent = Sent()
    async with misbehaving(handle) as plan:
        with pytest.raises(Ambiguous) as caught:
            await run(executor, plan, BY_PASSWORD, sent)
        await executor.close()
    assert (caught.value.code, sent.times) == ("connection_lost", 1)


@pytest.mark.requirement("SSH-1", "EXE-1", "T53")
async def test_a_command_that_never_ends_is_unknown(executor: SshExecutor) -> None:
    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await process.wait_closed()

    async with misbehaving(handle, seconds=1) as plan:
        with pytest.raises(Ambiguous) as caught:
            await run(executor, plan, BY_PASSWORD)
        await executor.close()
    assert caught.value.code == "timed_out"


@pytest.mark.requirement("SSH-1")
async def test_a_host_that_says_nothing_is_given_up(executor: SshExecutor) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        place = SshPlace("127.0.0.1", port, "root", ("SHA256:" + "A" * 43,))
        plan = SshPlan("req_1", SshExec("x"), place, NETWORKS, connect_seconds=0.5)
        with pytest.raises(NotStarted) as caught:
            await run(executor, plan, BY_PASSWORD)
    assert (caught.value.code, caught.value.retryable) == ("connect_timeout", True)
