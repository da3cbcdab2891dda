"""Carries out a granted SSH action and reports what came of it (SSH-1, SSH-6)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ClassVar, Final

from app.core.outcome import Ambiguous, Injection, NotStarted, Outcome
from app.core.ports import Listener
from app.core.redaction import Redactor
from app.core.ssh_action import SshExec
from app.core.ssh_marker import LOOK_BYTES, Marker, look_command, marker_in
from app.core.ssh_plan import (
    KILL_AFTER,
    SshIdentity,
    SshPlan,
    wire_command,
)
from app.core.ssh_result import CommandResult, Stream
from workers.executors.redactors import Redactors
from workers.executors.ssh import files
from workers.executors.ssh.pool import Pool
from workers.executors.ssh.session import Running, Taken, finish, start

_LATE: Final = 5.0
"""Seconds that the program which ends a command there may be late."""

_BY_TIME: Final = frozenset({124, 128 + 9})
"""Exit codes of ``timeout`` when it ended a command."""

_AT_ONCE: Final = 65_536
_LOOK_SECONDS: Final = 10.0

MarkSent = Callable[[], Awaitable[None]]


class SshExecutor:
    """Runs the approved command, once, over a connection that is kept."""

    kind: ClassVar[str] = "ssh"

    def __init__(self, pool: Pool | None = None) -> None:
        """Keep the connections."""
        self._pool = pool or Pool()
        self._redactors = Redactors()

    async def execute(
        self,
        plan: SshPlan,
        injection: Injection,
        mark_sent: MarkSent,
        relay: Listener | None = None,
    ) -> Outcome:
        """Carry out the plan.

        :param mark_sent: awaited once, when the session is open and just before the command is
            sent; when it raises, nothing is sent and its error is raised here.
        :param relay: is not used: the answer has a known, small size.
        :raises NotStarted: when nothing of the action left this machine, proven.
        :raises Ambiguous: when it was sent and nobody knows how it ended.
        """
        del relay
        identity = _identity(injection)
        redactor = self._redactors.of(injection.secrets)
        async with self._pool.session(plan, identity) as connected:
            if isinstance(plan.action, SshExec):
                return await _command(connected.connection, plan, plan.action, redactor, mark_sent)
            return await files.carry_out(connected.connection, plan, redactor, mark_sent)

    async def look_back(self, plan: SshPlan, injection: Injection) -> Marker:
        """Return what the marker of a command says that was sent before.

        :raises NotStarted: it could not be looked at.
        """
        async with self._pool.session(plan, _identity(injection)) as connected:
            text = look_command(plan.place, plan.request_id)
            try:
                channel, running = await start(
                    connected.connection, text, LOOK_BYTES, _unmarked, plan
                )
                channel.write_eof()
                await finish(channel, running, _LOOK_SECONDS)
            except Ambiguous as error:
                raise NotStarted(
                    error.code, "The host did not say what the marker holds."
                ) from error
        return marker_in(bytes(running.stdout.data))

    def is_warm(self, plan: SshPlan) -> bool:
        """Whether a connection to the place stands with room for one more session."""
        return self._pool.is_warm(plan)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()


def _identity(injection: Injection) -> SshIdentity:
    if injection.ssh is None:
        detail = "The target has no credential to log in with."
        raise NotStarted("no_credential", detail, retryable=False)
    return injection.ssh


async def _unmarked() -> None:
    """Nothing of the action is sent by a look at what it left."""


async def _command(
    connection: "files.Connection",
    plan: SshPlan,
    action: SshExec,
    redactor: Redactor,
    mark_sent: MarkSent,
) -> Outcome:
    text = wire_command(action, plan.place, plan.request_id)
    most = plan.place.output_bytes + redactor.longest
    channel, running = await start(connection, text, most, mark_sent, plan)
    clock = asyncio.get_running_loop()
    began = clock.time()
    with suppress(BrokenPipeError):  # it ended already, and its exit status is known
        if action.stdin:
            channel.write(action.stdin)
        channel.write_eof()
    grace = KILL_AFTER + _LATE if plan.place.wrap else 0.0
    stopped = await finish(channel, running, plan.seconds + grace)
    seconds = clock.time() - began
    late = plan.place.wrap and seconds >= plan.seconds and _ended_by_time(running)
    return (await _result(plan, running, redactor, seconds, timed_out=stopped or late)).outcome()


def _ended_by_time(running: Running) -> bool:
    return running.exit_status in _BY_TIME or running.signal == "KILL"


async def _result(
    plan: SshPlan, running: Running, redactor: Redactor, seconds: float, *, timed_out: bool
) -> CommandResult:
    most = plan.place.output_bytes
    large = max(len(running.stdout.data), len(running.stderr.data)) > _AT_ONCE
    if large:
        stdout, in_out = await asyncio.to_thread(clean, running.stdout, redactor, most)
        stderr, in_err = await asyncio.to_thread(clean, running.stderr, redactor, most)
    else:
        (stdout, in_out), (stderr, in_err) = (
            clean(taken, redactor, most) for taken in (running.stdout, running.stderr)
        )
    return CommandResult(
        exit_code=running.exit_status if not running.signal else None,
        signal=running.signal,
        stdout=stdout,
        stderr=stderr,
        duration_ms=round(seconds * 1000),
        timed_out=timed_out,
        redacted=in_out + in_err,
    )


def clean(taken: Taken, redactor: Redactor, most: int) -> tuple[Stream, int]:
    """Return what is kept of an output, without secrets, and how many were replaced.

    Where it was cut, its last bytes may be the beginning of a secret; those are left out.
    """
    data = bytes(taken.data)
    if not taken.cut:
        body, count = redactor.bytes(data)
    else:
        stream = redactor.stream()
        body = stream.feed(data)
        count = stream.count
    body, more = redactor.end(body)
    cut = taken.size > most or len(body) > most
    return Stream(body[:most], taken.size, truncated=cut), count + more


__all__ = ("SshExecutor", "SshIdentity", "clean")
