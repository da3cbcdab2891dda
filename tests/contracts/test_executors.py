"""What every executor owes, run over the registry (success, refusal, timeout, cut, ...)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import pytest

from app.core.outcome import Ambiguous, HttpPlan, Injection, NotStarted, Outcome
from tests.support.canary import CANARY
from tests.support.upstream import Upstream
from workers.executors import EXECUTORS
from workers.executors.http import HttpExecutor
from workers.executors.http_client import HttpClient

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


BENCHES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Bench]]]] = {"http": _http}

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
