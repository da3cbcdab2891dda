"""One command over one channel: what it wrote, and how it ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import asyncssh
from asyncssh.channel import SSHClientChannel

from app.core.outcome import Ambiguous, NotStarted
from app.core.ssh_plan import SshPlan

_WINDOW: Final = 2 * 1024 * 1024
_PACKET: Final = 32_768
_AFTER_EXIT: Final = 1.0
"""Seconds without output after which a command that ended is no longer listened to: something that
it left behind holds its output open."""

_ENDING: Final = 3.0
"""Seconds that a signal has to end a command."""

_ENDED: Final = ("TERM", "KILL")
_SILENT: Final = "The host did not answer in time."
_CLOSED: Final = "The connection was lost while the command ran; nobody knows how it ended."
_STILL: Final = "The command's time is over, and it may still run there."
_NO_SESSION: Final = "The host opened no further session."
_NOT_TAKEN: Final = "The host refused to run commands."

MarkSent = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Taken:
    """The first bytes of an output, and how many there were."""

    most: int
    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    def take(self, piece: bytes) -> None:
        """Keep what there is room for."""
        room = self.most - len(self.data)
        if room > 0:
            self.data += piece[:room]
        self.size += len(piece)

    @property
    def cut(self) -> bool:
        """Whether there was more than is kept."""
        return self.size > self.most


class Running(asyncssh.SSHClientSession[bytes]):
    """Collects what a command writes; the rest is read and dropped, so that memory stays flat."""

    def __init__(self, most: int) -> None:
        """Take how many bytes of each output are kept."""
        self.stdout = Taken(most)
        self.stderr = Taken(most)
        self.exit_status: int | None = None
        self.signal = ""
        self.closed = asyncio.Event()
        self.ended = asyncio.Event()
        self.heard = 0

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take output."""
        self.heard += 1
        stream = self.stdout if datatype is None else self.stderr
        stream.take(data)

    def eof_received(self) -> bool:
        """Stay open: the exit status may still come."""
        return True

    def exit_status_received(self, status: int) -> None:
        """Take the exit status."""
        self.exit_status = status
        self.ended.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: FBT001 - the library's
        """Take the signal that ended it."""
        del core_dumped, msg, lang
        self.signal = signal
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end of the channel."""
        del exc
        self.closed.set()
        self.ended.set()

    @property
    def known(self) -> bool:
        """Whether it is known how the command ended."""
        return self.exit_status is not None or bool(self.signal)


class _Marked(SSHClientChannel[bytes]):
    """A channel whose opening proves that the host is there before anything counts as sent."""

    mark: MarkSent

    async def _make_request(self, request: bytes, *args: bytes) -> bool | None:
        await self.mark()
        return await super()._make_request(request, *args)


async def start(
    connection: asyncssh.SSHClientConnection,
    command: str,
    most: int,
    mark_sent: MarkSent,
    plan: SshPlan,
) -> "tuple[asyncssh.SSHClientChannel[bytes], Running]":
    """Open a session, mark the action as sent, and start the command.

    :raises NotStarted: no session could be opened, or ``mark_sent`` says no.
    :raises Ambiguous: the request to run it was sent, and no answer came.
    """
    loop = asyncio.get_running_loop()
    channel = _Marked(connection, loop, "strict", None, "strict", _WINDOW, _PACKET)
    running, sent = Running(most), asyncio.Event()

    limit = asyncio.timeout(plan.connect_seconds)

    async def mark() -> None:
        await mark_sent()
        sent.set()
        limit.reschedule(loop.time() + plan.seconds)

    channel.mark = mark
    try:
        async with limit:
            await channel.create(
                lambda: running, command, None, {}, False, None, (0, 0, 0, 0), {}, False, None, None,  # noqa: E501, FBT003 - the library's
                False, False,  # noqa: FBT003 - likewise
            )  # fmt: skip
    except TimeoutError as error:
        channel.abort()
        raise _silent(sent=sent.is_set()) from error
    except asyncssh.ChannelOpenError as error:
        # An open channel means that the host answered by a refusal, and did not run it.
        if sent.is_set() and running.closed.is_set():
            raise Ambiguous("connection_lost", _CLOSED) from error
        detail = _NOT_TAKEN if sent.is_set() else _NO_SESSION
        raise NotStarted("session_refused", detail, retryable=not sent.is_set()) from error
    except (asyncssh.Error, OSError) as error:
        raise _cut(sent=sent.is_set()) from error
    except BaseException:
        channel.abort()
        raise
    return channel, running


def _silent(*, sent: bool) -> Ambiguous | NotStarted:
    return Ambiguous("timed_out", _SILENT) if sent else NotStarted("session_refused", _SILENT)


def _cut(*, sent: bool) -> Ambiguous | NotStarted:
    if sent:
        return Ambiguous("connection_lost", _CLOSED)
    return NotStarted("connection_lost", "The connection was lost before it began.")


async def finish(
    channel: "asyncssh.SSHClientChannel[bytes]", running: Running, seconds: float
) -> bool:
    """Wait for the end of a command; return whether we had to end it.

    :raises Ambiguous: the channel closed before it ended, or it could not be ended.
    """
    stopped = False
    try:
        if not await _within(running.ended, seconds):
            stopped = True
            await _end(channel, running)
        if not running.known:
            code, detail = ("timed_out", _STILL) if stopped else ("connection_lost", _CLOSED)
            raise Ambiguous(code, detail)
        await _rest(running)
    finally:
        channel.abort()
    return stopped


async def _end(channel: "asyncssh.SSHClientChannel[bytes]", running: Running) -> None:
    for name in _ENDED:
        if running.ended.is_set():
            return
        channel.send_signal(name)
        await _within(running.ended, _ENDING)


async def _rest(running: Running) -> None:
    """Take what is still on its way; not for longer than it keeps coming."""
    deadline = asyncio.get_running_loop().time() + 10 * _AFTER_EXIT
    while asyncio.get_running_loop().time() < deadline:
        before = running.heard
        if await _within(running.closed, _AFTER_EXIT) or running.heard == before:
            return


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
