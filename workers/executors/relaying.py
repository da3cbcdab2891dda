"""Passes an answer on while it comes, redacted and counted (GW-1, T47, T48).

A small answer is collected first, for a moment: its outcome is on record before the caller has
its first byte, and one that breaks off can still be told as an error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from app.core.outcome import STOPPED, Ambiguous, HttpPlan, HttpResult, Passed
from app.core.ports import Relay
from app.core.redaction import Redactor
from workers.executors.answers import LARGE, Lines, clean, searched
from workers.executors.deadline import Deadline
from workers.executors.decoding import Decoder, Unreadable
from workers.executors.incoming import CALLER_LEFT, STREAM_SECONDS, Incoming
from workers.executors.summing import Summing

SMALL: Final = 65_536
"""Longest answer, in bytes, that is collected first and whose body is kept with the result."""

GRACE: Final = 0.02
"""Seconds that a small answer is waited for before it is passed on piece by piece."""

_OURS: Final = frozenset({CALLER_LEFT, STREAM_SECONDS, *STOPPED})
"""Codes of exchanges that we ended: the status had come, so that the outcome is known."""


class Relaying:
    """One answer on its way through.

    :ivar duration_ms: from the first byte out to the last byte in.
    """

    def __init__(self, plan: HttpPlan, redactor: Redactor, relay: Relay) -> None:
        """Prepare to pass an answer on."""
        self._plan = plan
        self._redactor = redactor
        self._stream = redactor.stream()
        self._relay = relay
        self._sum = Summing()
        self._size = 0
        self._kept: list[bytes | memoryview] | None = []
        self._head: tuple[int, Lines] | None = None
        self._redacted = 0
        self.duration_ms = 0

    async def run(self, send: Callable[[], Awaitable[HttpResult]]) -> HttpResult:
        """Return what came of sending; where it broke off, what the caller got goes with it."""
        try:
            return await send()
        except Ambiguous as problem:
            if self._head is None:
                raise
            if problem.code in _OURS:
                return await self._result(problem.code)
            passed = await self._passed("answer_cut")
            raise Ambiguous(problem.code, problem.detail, passed) from None

    def ready(self, hang_up: Callable[..., None]) -> None:
        """Let the caller's leaving end the exchange."""
        self._relay.hang_up = hang_up

    async def take(self, incoming: Incoming) -> HttpResult:
        """Pass an answer on, or return it whole when it is small."""
        decoder = Decoder(incoming.coding)
        begun: list[bytes] = []
        small = incoming.length is not None and incoming.length <= SMALL
        plain = not (decoder.decoded and incoming.length)
        if not decoder.readable or (small and plain and await _gathered(incoming, begun)):
            answer = await incoming.collect(b"".join(begun), self._redactor.longest)
            self.duration_ms = answer.duration_ms
            return await searched(answer, self._redactor, self._plan)
        if plain and incoming.length is not None and incoming.length > self._plan.stream_bytes:
            incoming.close()
            return self._refused(incoming)
        await self._begin(incoming, decoder)
        return await self._pass_on(incoming, decoder, b"".join(begun))

    def _refused(self, incoming: Incoming) -> HttpResult:
        """Return the head alone, of an answer that says that it is longer than is passed on."""
        headers, count = clean(incoming.headers, self._redactor, self._plan, decoded=False)
        self.duration_ms = incoming.elapsed_ms()
        return HttpResult(incoming.status, headers, b"", truncated=True, redacted=count)

    async def _begin(self, incoming: Incoming, decoder: Decoder) -> None:
        headers, self._redacted = clean(
            incoming.headers, self._redactor, self._plan, decoded=decoder.decoded
        )
        changed = decoder.decoded or bool(self._redactor.longest)
        self._head = (incoming.status, headers)
        await self._relay.begin(incoming.status, headers, None if changed else incoming.length)

    async def _pass_on(self, incoming: Incoming, decoder: Decoder, piece: bytes) -> HttpResult:
        loop, plan = asyncio.get_running_loop(), self._plan
        end = loop.time() + plan.stream_seconds
        while True:
            incoming.due(end, STREAM_SECONDS)
            try:
                cut = await self._give(decoder, piece)
            except Unreadable:
                cut = "unreadable"
            if cut:
                incoming.close()
                break
            idle = loop.time() + plan.idle_seconds
            incoming.due(min(idle, end), STREAM_SECONDS if end <= idle else "")
            piece = await incoming.read()
            if not piece:
                cut = await self._finish(decoder)
                break
        self.duration_ms = incoming.elapsed_ms()
        return await self._result(cut)

    async def _give(self, decoder: Decoder, piece: bytes) -> str:
        """Pass on what a piece from the wire says; return why no more is, if so."""
        for part in decoder.feed(piece):
            for out in await self._certain(part):
                if self._size + len(out) > self._plan.stream_bytes:
                    return "stream_bytes"
                await self._out(out)
        return ""

    async def _certain(self, part: bytes) -> tuple[bytes | memoryview, ...]:
        """Return what is certain by now; large parts are searched on another thread.

        Not those in which a moment's look finds nothing.
        """
        if len(part) < LARGE:
            return (self._stream.feed(part),)
        clear = self._stream.pass_clear(part)
        if clear is not None:
            return clear
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(None, self._stream.feed, part),)

    async def _finish(self, decoder: Decoder) -> str:
        try:
            decoder.finish()
        except Unreadable:
            return "unreadable"
        rest, count = self._redactor.end(self._stream.finish())
        self._redacted += count
        await self._out(rest)
        return ""

    async def _out(self, data: bytes | memoryview) -> None:
        if not data:
            return
        self._size += len(data)
        if self._kept is not None:
            self._kept.append(data)
            if self._size > SMALL:
                self._kept = None
        await self._sum.add(data)
        await self._relay.piece(data)

    async def _passed(self, cut: str) -> Passed:
        status = 0 if self._head is None else self._head[0]
        return Passed(status, self._size, await self._sum.hexdigest(), cut)

    async def _result(self, cut: str) -> HttpResult:
        status, headers = self._head or (0, ())
        body = b"".join(self._kept or ())
        count = self._redacted + self._stream.count
        passed = await self._passed(cut)
        return HttpResult(status, headers, body, bool(cut), count, passed)


async def _gathered(incoming: Incoming, into: list[bytes]) -> bool:
    """Read to the end within the grace; what was read is in the list in any case."""
    if incoming.arrived:
        into.append(await incoming.read())
        return True
    try:
        with Deadline(GRACE):
            while piece := await incoming.read():
                into.append(piece)
    except TimeoutError:
        return False
    return True
