"""What every executor owes, run over the registry (success, refusal, timeout, cut, ...)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

import asyncssh
import pytest

from app.core.outcome import Ambiguous, HttpPlan, Injection, NotStarted, Outcome
from app.core.ssh_action import SshExec, SshPlace
from app.core.ssh_plan import SshIdentity, SshPlan
from tests.support.canary import CANARY
from tests.support.upstream import Upstream
from workers.executors import EXECUTORS
from workers.executors.http import HttpExecutor
from workers.executors.http_client import HttpClient
from workers.executors.ssh.executor import SshExecutor

Mark = Callable[[], Awaitable[None]]


class Bench(Protocol):
    """One executor with the foreign system it talks to."""

    async def run(self, case: str, mark: Mark) -> Outcome:
        """Carry out the action that plays the case: success, refusal, timeout, cut, echo, hang."""
        ...

    async def started(self) -> None:
        """Wait until the foreign system has received the action."""
        ...

    def received(self) -> int:
        """Say how many actions arrived."""
        ...


class HttpBench:
    """The HTTP executor with a real upstream."""

    _paths: Final = {
        "success": "/echo",
        "refusal": "/status/403",
        "timeout": "/slow",
        "cut": "/truncated",
        "echo": "/leak/raw",
        "hang": "/slow",
    }

    def __init__(self, upstream: Upstream, executor: HttpExecutor) -> None:
        self._upstream = upstream
        self._executor = executor

    async def run(self, case: str, mark: Mark) -> Outcome:
        plan = HttpPlan(
            method="POST",
            base_url="http://127.0.0.1:1" if case == "unreachable" else self._upstream.url,
            path=self._paths.get(case, "/echo"),
            query="",
            headers=(),
            body=b"",
            networks=("127.0.0.0/8",),
            total_seconds=0.2 if case == "timeout" else 10.0,
        )
        injection = Injection(headers=(("x-api-key", CANARY),), secrets=(CANARY,))
        return await self._executor.execute(plan, injection, mark)

    async def started(self) -> None:
        await self._upstream.wait_for(1)

    def received(self) -> int:
        return len(self._upstream.log)


@asynccontextmanager
async def _http() -> AsyncGenerator[Bench]:
    async with Upstream() as upstream:
        executor = HttpExecutor(HttpClient())
        try:
            yield HttpBench(upstream, executor)
        finally:
            await executor.close()


class Host(asyncssh.SSHServer):
    """Lets in who knows the password."""

    def password_auth_supported(self) -> bool:
        """Take passwords alone."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Whether it is the one."""
        return (username, password) == ("root", CANARY)


class SshBench:
    """The SSH executor with a host that does what the command's text says."""

    def __init__(self, executor: SshExecutor) -> None:
        self._executor = executor
        self._began = asyncio.Event()
        self._commands: list[str] = []
        self.place = SshPlace("127.0.0.1", 1, "root", (), seconds=1, wrap=False)

    async def run(self, case: str, mark: Mark) -> Outcome:
        place = replace(self.place, port=1) if case == "unreachable" else self.place
        place = replace(place, seconds=1 if case == "timeout" else 10)
        plan = SshPlan("req_1", SshExec(case), place, ("127.0.0.0/8",))
        login = Injection(ssh=SshIdentity(password=CANARY), secrets=(CANARY,))
        return await self._executor.execute(plan, login, mark)

    async def started(self) -> None:
        await self._began.wait()

    def received(self) -> int:
        return len(self._commands)

    async def handle(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Play a case."""
        case = str(process.command)
        self._commands.append(case)
        self._began.set()
        if case == "cut":
            process.get_extra_info("connection").abort()
        elif case in ("timeout", "hang"):
            await process.wait_closed()
        else:
            process.stdout.write(CANARY.encode())
            process.exit(4 if case == "refusal" else 0)


@asynccontextmanager
async def _ssh() -> AsyncGenerator[Bench]:
    bench = SshBench(executor := SshExecutor())
    key = asyncssh.generate_private_key("ssh-ed25519")
    listener = await asyncssh.create_server(
        Host, "127.0.0.1", 0, server_host_keys=[key], process_factory=bench.handle, encoding=None
    )
    public = " ".join(key.export_public_key().decode().split()[:2])
    bench.place = replace(bench.place, port=listener.get_port(), keys=(public,))
    try:
        yield bench
    finally:
        await executor.close()
        listener.close()
        await listener.wait_closed()


BENCHES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Bench]]]] = {
    "http": _http, "ssh": _ssh,
}  # fmt: skip

every_executor = pytest.mark.parametrize("kind", [entry.kind for entry in EXECUTORS])
pytestmark = pytest.mark.requirement("EXE-2")


class Marks:
    """Counts the marks."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1


def test_every_executor_has_a_bench() -> None:
    assert {entry.kind for entry in EXECUTORS} == set(BENCHES)


def test_every_entry_loads_the_executor_of_its_kind() -> None:
    assert all(entry.load().kind == entry.kind for entry in EXECUTORS)


@every_executor
async def test_success(kind: str) -> None:
    marks = Marks()
    async with BENCHES[kind]() as bench:
        outcome = await bench.run("success", marks)
        assert (outcome.succeeded, outcome.code, marks.calls) == (True, "ok", 1)
        assert bench.received() == 1


@every_executor
async def test_refusal(kind: str) -> None:
    marks = Marks()
    async with BENCHES[kind]() as bench:
        outcome = await bench.run("refusal", marks)
        assert (outcome.succeeded, marks.calls) == (False, 1)


@every_executor
async def test_unreachable(kind: str) -> None:
    marks = Marks()
    async with BENCHES[kind]() as bench:
        with pytest.raises(NotStarted):
            await bench.run("unreachable", marks)
        assert (marks.calls, bench.received()) == (0, 0)


@every_executor
@pytest.mark.parametrize("case", ["timeout", "cut"])
async def test_no_definite_answer(kind: str, case: str) -> None:
    marks = Marks()
    async with BENCHES[kind]() as bench:
        with pytest.raises(Ambiguous) as caught:
            await bench.run(case, marks)
        assert CANARY not in str(caught.value)
        assert (marks.calls, bench.received()) == (1, 1)


@every_executor
async def test_redaction(kind: str) -> None:
    async with BENCHES[kind]() as bench:
        outcome = await bench.run("echo", Marks())
        assert CANARY not in repr(outcome)
        assert outcome.result.redacted >= 1


@every_executor
async def test_cancellation(kind: str) -> None:
    async with BENCHES[kind]() as bench:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.run("hang", Marks()))
            await bench.started()
            task.cancel()
        assert task.cancelled()


@every_executor
async def test_a_lost_fence_lets_nothing_out(kind: str) -> None:
    async def lost() -> None:
        message = "fence lost"
        raise LookupError(message)

    async with BENCHES[kind]() as bench:
        with pytest.raises(LookupError):
            await bench.run("success", lost)
        assert bench.received() == 0
