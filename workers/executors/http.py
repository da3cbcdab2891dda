"""Carries out a granted HTTP action and reports what came of it (GW-3, GW-4, EXE-2)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar, Final, cast

from app.core.outcome import HttpPlan, HttpResult, Injection, NotStarted, Outcome
from app.core.ports import Conversation, Listener, Relay
from app.core.redaction import Redactor
from workers.executors.answers import searched
from workers.executors.composing import compose
from workers.executors.conversing import Conversing
from workers.executors.http_call import Call
from workers.executors.http_client import HttpClient
from workers.executors.redactors import Redactors
from workers.executors.relaying import Relaying

_FIRST_ERROR_STATUS: Final = 400


class HttpExecutor:
    """Sends the approved call with the credential filled in, once, and redacts the answer."""

    kind: ClassVar[str] = "http"

    def __init__(self, client: HttpClient) -> None:
        """Keep the client that every call goes through."""
        self._client = client
        self._redactors = Redactors()

    async def execute(
        self,
        plan: HttpPlan,
        injection: Injection,
        mark_sent: Callable[[], Awaitable[None]],
        relay: Listener | None = None,
    ) -> Outcome:
        """Carry out the plan.

        :param mark_sent: awaited once, just before the first byte leaves; when it raises (the
            fence is lost), nothing is sent and its error is raised here.
        :param relay: takes an answer that is not small while it comes.
        :raises NotStarted: when no byte of the action left this machine, proven.
        :raises Ambiguous: when bytes left and no complete answer came back.
        """
        call = compose(plan, injection, plan.response_bytes)
        redactor = self._redactors.of(call.secrets)
        if plan.content is not None:
            _check_apart(injection)
            seconds = max(plan.total_seconds, plan.stream_seconds)
            call = replace(call, content=plan.content, total_seconds=seconds)
        if call.upgrade:
            return await self._converse(call, plan, redactor, mark_sent, relay)
        if relay is None:
            answer = await self._client.send(
                call, mark_sent, lambda incoming: incoming.collect(beyond=redactor.longest)
            )
            return _outcome(await searched(answer, redactor, plan), answer.duration_ms)
        passing = Relaying(plan, redactor, cast("Relay", relay))
        result = await passing.run(
            lambda: self._client.send(call, mark_sent, passing.take, passing.ready)
        )
        return _outcome(result, passing.duration_ms)

    async def _converse(
        self,
        call: Call,
        plan: HttpPlan,
        redactor: Redactor,
        mark_sent: Callable[[], Awaitable[None]],
        relay: Listener | None,
    ) -> Outcome:
        """Carry a WebSocket for the caller who waits at the other end."""
        if relay is None:
            code, detail = "needs_its_caller", "A WebSocket is carried only while its caller waits."
            raise NotStarted(code, detail, retryable=False)
        carried = Conversing(plan, redactor, cast("Conversation", relay))
        result = await carried.run(
            lambda: self._client.send(call, mark_sent, carried.take, carried.ready)
        )
        return replace(_outcome(result, carried.duration_ms), facts=carried.facts)

    def is_warm(self, plan: HttpPlan) -> bool:
        """Whether a connection was left for the next call lately."""
        return self._client.is_warm(plan.base_url, plan.networks)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()


def _check_apart(injection: Injection) -> None:
    """Refuse to add to, or sign, a body that is kept apart: it is never in memory as a whole.

    :raises NotStarted: the credential needs the body.
    """
    if injection.body or injection.signs_body:
        code, detail = "body_too_large", "The credential needs the body, which is too large for it."
        raise NotStarted(code, detail, retryable=False)


def _outcome(result: HttpResult, duration_ms: int) -> Outcome:
    succeeded = result.status < _FIRST_ERROR_STATUS
    code = "ok" if succeeded else "upstream_status"
    return Outcome(succeeded, code, duration_ms, result)
