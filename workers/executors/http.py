"""Carries out a granted HTTP action and reports what came of it (GW-3, GW-4, EXE-2)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Final
from urllib.parse import quote, unquote_plus

from app.core.errors import AssentryError, InvalidAction
from app.core.outcome import HttpPlan, HttpResult, Injection, NotStarted, Outcome
from app.core.paths import (
    METHODS,
    BaseUrl,
    header_name,
    header_value,
    is_framing,
    parse_base_url,
    parse_target_path,
    request_headers,
)
from app.core.redaction import Redactor
from workers.executors.http_call import Answer, Call
from workers.executors.http_client import HttpClient

_FIRST_ERROR_STATUS: Final = 400
_OURS: Final = (("accept-encoding", "identity"),)
_USER_AGENT: Final = ("user-agent", "assentry")
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
        redactor = Redactor(injection.secrets)
        call = _call(plan, injection, plan.response_bytes + redactor.longest)
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


def _call(plan: HttpPlan, injection: Injection, read_bytes: int) -> Call:
    """Check the approved parts again and put them together.

    :raises NotStarted: when a part would not be accepted today.
    """
    try:
        base = parse_base_url(plan.base_url)
        target = _target(plan, base, injection)
        headers = _headers(request_headers(plan.headers), injection)
    except AssentryError as error:
        raise NotStarted(error.code, error.detail, retryable=False) from None
    if plan.method not in METHODS:
        code, detail = "invalid_action", "the method is not accepted"
        raise NotStarted(code, detail, retryable=False)
    return Call(
        method=plan.method,
        scheme=base.scheme,
        authority=base.authority,
        host=base.host,
        target=target,
        headers=headers,
        body=plan.body,
        read_bytes=read_bytes,
        connect_seconds=plan.connect_seconds,
        total_seconds=plan.total_seconds,
        networks=plan.networks,
    )


def _target(plan: HttpPlan, base: BaseUrl, injection: Injection) -> str:
    """Return path and query, which stays byte for byte; injected parameters follow it."""
    raw = f"{plan.path}?{plan.query}" if plan.query else plan.path
    path, query = parse_target_path(raw)
    if path != plan.path or query != plan.query:
        code, detail = "invalid_action", "the path holds a question mark"
        raise NotStarted(code, detail, retryable=False)
    query = _merged_query(query, injection.query)
    return base.prefix + path + (f"?{query}" if query else "")


def _merged_query(query: str, injected: tuple[tuple[str, str], ...]) -> str:
    if not injected:
        return query
    taken = {name for name, _ in injected}
    if any(_parameter_name(part) in taken for part in query.split("&") if part):
        message = "the query holds a parameter that the credential adds"
        raise InvalidAction(message)
    ours = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in injected]
    return "&".join([query, *ours] if query else ours)


def _parameter_name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _headers(
    approved: tuple[tuple[str, str], ...], injection: Injection
) -> tuple[tuple[str, str], ...]:
    """Return the lines to send: approved ones, ours, and last the injected ones.

    Names are compared with ``_`` as ``-``: some upstreams cannot tell them apart.

    :raises InvalidAction: when an injected line cannot be written as it is.
    """
    for name, value in injection.headers:
        if header_name(name) is None or is_framing(name.lower()) or header_value(value) != value:
            message = "the credential cannot be sent in a header"
            raise InvalidAction(message)
    taken = {_folded(name) for name, _ in injection.headers}
    kept = [line for line in approved if _folded(line[0]) not in taken]
    if not any(name == _USER_AGENT[0] for name, _ in (*kept, *injection.headers)):
        kept.append(_USER_AGENT)
    return (*kept, *_OURS, *injection.headers)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


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
