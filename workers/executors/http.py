"""Carries out a granted HTTP action and reports what came of it (GW-3, GW-4, EXE-2)."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import ClassVar, Final

from app.core.outcome import HttpPlan, HttpResult, Injection, Outcome
from app.core.redaction import Redactor
from workers.executors.composing import compose
from workers.executors.http_call import Answer
from workers.executors.http_client import HttpClient

_FIRST_ERROR_STATUS: Final = 400
_DROPPED: Final = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("set-cookie", "set-cookie2", "alt-svc"),
    }
)


class HttpExecutor:
    """Sends the approved call with the credential filled in, once, and redacts the answer."""

    kind: ClassVar[str] = "http"

    def __init__(self, client: HttpClient) -> None:
        """Keep the client that every call goes through."""
        self._client = client

    async def execute(
        self,
        plan: HttpPlan,
        injection: Injection,
        mark_sent: Callable[[], Awaitable[None]],
    ) -> Outcome:
        """Carry out the plan.

        :param mark_sent: awaited once, just before the first byte leaves; when it raises (the
            fence is lost), nothing is sent and its error is raised here.
        :raises NotStarted: when no byte of the action left this machine, proven.
        :raises Ambiguous: when bytes left and no complete answer came back.
        """
        call = compose(plan, injection, plan.response_bytes)
        redactor = Redactor(call.secrets)
        call = replace(call, read_bytes=plan.response_bytes + redactor.longest)
        answer = await self._client.exchange(call, mark_sent)
        succeeded = answer.status < _FIRST_ERROR_STATUS
        return Outcome(
            succeeded=succeeded,
            code="ok" if succeeded else "upstream_status",
            duration_ms=answer.duration_ms,
            result=_result(answer, redactor, plan),
        )

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()


def _result(answer: Answer, redactor: Redactor, plan: HttpPlan) -> HttpResult:
    body, count, truncated = _clean_body(answer, redactor, plan.response_bytes)
    headers: list[tuple[str, str]] = []
    for raw_name, raw_value in _kept(answer, head=plan.method == "HEAD"):
        name, in_name = redactor.text(raw_name)
        value, in_value = redactor.text(raw_value)
        headers.append((name.lower(), value))
        count += in_name + in_value
    return HttpResult(answer.status, tuple(headers), body, truncated=truncated, redacted=count)


def _clean_body(answer: Answer, redactor: Redactor, cap: int) -> tuple[bytes, int, bool]:
    """Redact the body and cut it to the cap.

    Where the body broke off, its last bytes may be the beginning of a secret: the stream form
    holds them back, and they are never asked for.
    """
    if not answer.truncated:
        body, count = redactor.bytes(answer.body)
    else:
        stream = redactor.stream()
        body = stream.feed(answer.body)
        count = stream.count
    body, more = redactor.end(body)
    return body[:cap], count + more, answer.truncated or len(body) > cap


def _kept(answer: Answer, *, head: bool) -> Iterable[tuple[str, str]]:
    """Drop what concerns the connection alone, cookies, and what the body no longer fits."""
    dropped = set(_DROPPED)
    for name, value in answer.headers:
        if name.lower() == "connection":
            dropped.update(option.strip().lower() for option in value.split(","))
    if not head:
        dropped.add("content-length")
    if answer.decoded:
        dropped.add("content-encoding")
    return (line for line in answer.headers if line[0].lower() not in dropped)
