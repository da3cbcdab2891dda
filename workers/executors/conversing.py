"""Carries a WebSocket: messages both ways, those of the upstream redacted and counted (T60).

What is on record is the opening, how it ended, and of each direction how much was said and its
digest. The words themselves are not kept.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from app.core.following import Following
from app.core.json_types import JsonObject
from app.core.outcome import STOPPED, Ambiguous, HttpPlan, HttpResult, Passed
from app.core.ports import Conversation, Spoken
from app.core.redaction import Redactor
from workers.executors.answers import LARGE, clean, searched
from workers.executors.incoming import CALLER_LEFT, STREAM_SECONDS, Incoming
from workers.executors.opening import LOST, SWITCHING

if TYPE_CHECKING:
    from workers.executors.upgraded import Upgraded

IDLE_SECONDS: Final = "idle_seconds"
"""Why a conversation was ended in which nobody said anything."""

_USUAL: Final = 1000
_NO_STATUS: Final = 1005
_GOING_AWAY: Final = 1001
_RESTART: Final = 1012
_VANISHED: Final = frozenset({_NO_STATUS, LOST, _RESTART})
"""Codes of a caller that is gone, or was sent away, without a word of its own."""

_REASON_BYTES: Final = 123
"""Bytes of the longest reason of a close (RFC 6455, section 5.5); redacted, one may be longer."""

_REFUSED: Final = 1008
_TOO_BIG: Final = 1009
_FAILED: Final = 1011
_CODES: Final = {
    "stream_bytes": _TOO_BIG, "request_bytes": _TOO_BIG, "message_bytes": _TOO_BIG,
    **dict.fromkeys((STREAM_SECONDS, IDLE_SECONDS, *STOPPED), _REFUSED),
}  # fmt: skip
"""How the caller's end is closed where we end it; else it is a failure."""


class Tally:
    """How much was said in one direction: messages, bytes and the digest of all bytes in order."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.messages = self.size = 0
        self._digest = hashlib.sha256()

    def add(self, message: Spoken, most: int) -> bool:
        """Count a message, unless there would be more bytes than may be; return whether."""
        data = message.encode() if isinstance(message, str) else message
        if self.size + len(data) > most:
            return False
        self.messages += 1
        self.size += len(data)
        self._digest.update(data)
        return True

    @property
    def sha256(self) -> str:
        """The digest, in hex."""
        return self._digest.hexdigest()


class Conversing:
    """One WebSocket on its way through.

    :ivar duration_ms: from the first byte out to the end.
    """

    def __init__(self, plan: HttpPlan, redactor: Redactor, caller: Conversation) -> None:
        """Prepare to carry it between an upstream and a caller."""
        self._plan = plan
        self._redactor = redactor
        self._caller = caller
        self._to_upstream, self._to_caller = Tally(), Tally()
        self._lines: tuple[tuple[str, str], ...] | None = None
        self._following = Following(redactor)
        self._redacted = 0
        self._end = 0.0
        self.duration_ms = 0

    @property
    def facts(self) -> JsonObject:
        """What the record keeps of it besides."""
        if self._lines is None:
            return {}
        return {
            "closed": self._caller.ending[0],
            "messages": self._to_caller.messages,
            "said_messages": self._to_upstream.messages,
            "said_bytes": self._to_upstream.size,
            "said_sha256": self._to_upstream.sha256,
        }

    async def run(self, send: Callable[[], Awaitable[HttpResult]]) -> HttpResult:
        """Return what came of sending; what ends a conversation that had begun is its result."""
        try:
            return await send()
        except Ambiguous as problem:
            if self._lines is None:
                raise
            return self._result(problem.code)

    def ready(self, hang_up: Callable[..., None]) -> None:
        """Let the caller's leaving end it."""
        self._caller.hang_up = hang_up

    async def take(self, incoming: Incoming) -> HttpResult:
        """Carry messages until either side ends; an upstream that refuses is a usual answer."""
        if incoming.status != SWITCHING:
            answer = await incoming.collect(beyond=self._redactor.longest)
            self.duration_ms = answer.duration_ms
            return await searched(answer, self._redactor, self._plan)
        self._end = asyncio.get_running_loop().time() + self._plan.stream_seconds
        line = incoming.upgraded()
        try:
            lines, self._redacted = clean(
                incoming.headers, self._redactor, self._plan, decoded=False
            )
            await self._caller.begin(SWITCHING, lines, None)
            self._lines = lines
            cut = await self._both_ways(incoming, line)
        finally:
            self.duration_ms = incoming.elapsed_ms()
            line.leave(_GOING_AWAY)
        return self._result(cut)

    async def _both_ways(self, incoming: Incoming, line: "Upgraded") -> str:
        """Carry messages; return why it was broken off, if so."""
        self._touch(incoming)
        async with asyncio.TaskGroup() as group:
            ways = [
                group.create_task(way(incoming, line)) for way in (self._upward, self._downward)
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        return next(way.result() for way in ways if not way.cancelled())

    async def _upward(self, incoming: Incoming, line: "Upgraded") -> str:
        """Carry what the caller says."""
        while (message := await self._caller.heard()) is not None:
            if not self._to_upstream.add(message, self._plan.request_bytes):
                return "request_bytes"
            self._touch(incoming)
            await line.send(message)
        if self._caller.left in _VANISHED:
            return CALLER_LEFT
        line.close(self._caller.left)
        self._caller.ending = (self._caller.left, "")
        return ""

    async def _downward(self, incoming: Incoming, line: "Upgraded") -> str:
        """Carry what the upstream says."""
        while (message := await line.receive()) is not None:
            shown = await self._cleaned(message)
            if not self._to_caller.add(shown, self._plan.stream_bytes):
                return "stream_bytes"
            self._touch(incoming)
            await self._caller.say(shown)
        code, reason = line.ended
        said = _USUAL if code == _NO_STATUS else code
        shown = str(self._clean(reason)).encode()[:_REASON_BYTES]
        self._caller.ending = (said, shown.decode("utf-8", "ignore"))
        return line.failure

    def _touch(self, incoming: Incoming) -> None:
        """Let the idle time begin again."""
        idle = asyncio.get_running_loop().time() + self._plan.idle_seconds
        why = STREAM_SECONDS if self._end <= idle else IDLE_SECONDS
        incoming.due(min(idle, self._end), why)

    async def _cleaned(self, message: Spoken) -> Spoken:
        """Return it without secrets; a long one is searched on another thread."""
        if len(message) < LARGE or not self._redactor.longest:
            return self._clean(message)
        return await asyncio.get_running_loop().run_in_executor(None, self._clean, message)

    def _clean(self, message: Spoken) -> Spoken:
        """Return the next message without secrets; what is clean stays the very same."""
        data = message.encode() if isinstance(message, str) else message
        clean = self._following.clean(data)
        if clean == data:
            return message
        return clean.decode("utf-8", "replace") if isinstance(message, str) else clean

    def _result(self, cut: str) -> HttpResult:
        if cut:
            self._caller.ending = (_CODES.get(cut, _FAILED), cut)
        tally = self._to_caller
        passed = Passed(SWITCHING, tally.size, tally.sha256, cut)
        count = self._redacted + self._following.count
        return HttpResult(SWITCHING, self._lines or (), b"", bool(cut), count, passed)
