"""Puts the approved parts of a call and what the vault adds together, checked once more (GW-4)."""

from typing import Final
from urllib.parse import quote, unquote_plus

from app.core.errors import AssentryError, InvalidAction
from app.core.outcome import HttpPlan, Injection, NotStarted
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
from workers.executors.http_call import Call

_OURS: Final = (("accept-encoding", "identity"),)
_USER_AGENT: Final = ("user-agent", "assentry")


def compose(plan: HttpPlan, injection: Injection, read_bytes: int) -> Call:
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
