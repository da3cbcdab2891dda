"""Puts the approved parts of a call and what the vault adds together, checked once more (GW-4)."""

from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote_plus

from app.core.errors import AssentryError, InvalidAction
from app.core.handles import fill_body, fill_headers, fill_query
from app.core.json_insert import insert_field
from app.core.outcome import CallParts, HttpPlan, Injection, NotStarted
from app.core.paths import (
    CALLS,
    WEBSOCKET,
    BaseUrl,
    header_name,
    header_value,
    is_framing,
    known_request_headers,
    known_target_path,
    parse_base_url,
    request_headers,
)
from workers.executors.http_call import Call

_OURS: Final = (("accept-encoding", "identity"),)
_POINTER: Final = "/headers"
_USER_AGENT: Final = ("user-agent", "assentry")


def compose(plan: HttpPlan, injection: Injection, read_bytes: int) -> Call:
    """Check the approved parts again, put them together, and sign the whole last.

    :raises NotStarted: when a part would not be accepted today.
    """
    try:
        base = parse_base_url(plan.base_url)
        filled = _filled(plan, injection)
        target = _target(filled, base, injection)
        read = known_request_headers if filled is plan else request_headers
        headers = _headers(read(filled.headers, _POINTER), injection)
        if injection.body:
            filled = replace(filled, body=_body(filled.body, injection))
        return _call(filled, base, target, headers, injection, read_bytes)
    except AssentryError as error:
        raise NotStarted(error.code, error.detail, retryable=False) from None


def _filled(plan: HttpPlan, injection: Injection) -> HttpPlan:
    """Return the plan with values in the place of handles, once its own parts were checked."""
    _check(plan)
    values = dict(injection.handles)
    query = fill_query(plan.query, values)
    headers = fill_headers(plan.headers, values)
    body = fill_body(plan.body, plan.headers, values)
    if not values:  # what is filled in, or refused, is a handle
        return plan
    return replace(plan, query=query, headers=headers, body=body)


def _check(plan: HttpPlan) -> None:
    """Check what was approved, before anything is added.

    :raises InvalidAction: when it would not be accepted today.
    """
    raw = f"{plan.path}?{plan.query}" if plan.query else plan.path
    if known_target_path(raw, "/path") != (plan.path, plan.query):
        message = "the path holds a question mark"
        raise InvalidAction(message)
    if plan.method not in CALLS:
        message = "the method is not accepted"
        raise InvalidAction(message)


def _body(body: bytes, injection: Injection) -> bytes:
    for path, value in injection.body:
        body = insert_field(body, path, value)
    return body


def _call(
    plan: HttpPlan,
    base: BaseUrl,
    target: str,
    headers: tuple[tuple[str, str], ...],
    injection: Injection,
    read_bytes: int,
) -> Call:
    if injection.certificate is not None and base.scheme != "https":
        message = "a client certificate is shown to https targets only"
        raise InvalidAction(message)
    secrets, upgrade = injection.secrets, plan.method == WEBSOCKET
    method = "GET" if upgrade else plan.method
    if injection.sign is not None:
        path, _, query = target.partition("?")
        parts = CallParts(method, base.authority, path, query, headers, plan.body)
        signed = injection.sign(parts)
        headers = _merged(headers, signed.headers)
        secrets = (*secrets, *signed.secrets)
    return Call(
        method=method,
        upgrade=upgrade,
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
        certificate=injection.certificate,
        secrets=secrets,
    )


def _target(plan: HttpPlan, base: BaseUrl, injection: Injection) -> str:
    """Return path and query, which stays byte for byte; injected parameters follow it."""
    query = _merged_query(plan.query, injection.query)
    return base.prefix + plan.path + (f"?{query}" if query else "")


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
    agents = any(name == _USER_AGENT[0] for name, _ in (*approved, *injection.headers))
    ours = _OURS if agents else (_USER_AGENT, *_OURS)
    return _merged((*approved, *ours), injection.headers)


def _merged(
    lines: tuple[tuple[str, str], ...], injected: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return the lines and then the injected ones, which replace those of the same name."""
    for name, value in injected:
        if header_name(name) is None or is_framing(name.lower()) or header_value(value) != value:
            message = "the credential cannot be sent in a header"
            raise InvalidAction(message)
    taken = {_folded(name) for name, _ in injected}
    return (*(line for line in lines if _folded(line[0]) not in taken), *injected)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")
