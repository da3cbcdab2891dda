"""From what an agent sends to an Action, and from a submission to the facts about it."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast
from urllib.parse import parse_qsl

from app.core.action import (
    HTTP_BUNDLE,
    HTTP_REQUEST,
    Action,
    HttpAction,
    PlainAction,
    Submission,
    action_params,
)
from app.core.calls import CallNotPermitted, objection
from app.core.canonical import canonical
from app.core.command_facts import CommandFacts
from app.core.command_rules import CommandRules, command_facts
from app.core.errors import InvalidAction, MalformedJson, TargetNotPermitted
from app.core.facts import UNCLEAR, Facts
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.paths import (
    METHODS,
    WEBSOCKET,
    known_request_headers,
    known_target_path,
    parse_target_path,
    request_headers,
)
from app.core.principals import Agent, Permission
from app.core.ssh_action import SshExec
from app.core.ssh_asking import SSH_ACTIONS, build_ssh
from app.core.strict_json import parse_json
from app.core.targets import Target

ACTION_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,127}")
"""Grammar of an action's name."""

RESERVED: Final = ("http.", "ssh.", "mcp.")
"""Beginnings of names that doors of ours give."""

_HTTP_FIELDS: Final = frozenset({"method", "path", "headers", "json", "text", "base64"})
_BODIES: Final = ("json", "text", "base64")
_NAMED: Final = "method, path, headers (an object), and one of json, text and base64 as the body"
_METHODS: Final = f"method must be one of {', '.join(sorted(METHODS))}, in capitals"
_JSON_TYPE: Final = ("content-type", "application/json")


def build_action(name: str, params: JsonObject, methods: frozenset[str] = METHODS) -> Action:
    """Return the action that the name and parameters describe.

    :param methods: those that an HTTP call may have.
    :raises InvalidAction: with a pointer to what must change.
    """
    if name == HTTP_REQUEST:
        return _http_action(params, methods)
    if name in SSH_ACTIONS:
        return build_ssh(name, params)
    if name == HTTP_BUNDLE:
        raise InvalidAction(
            f"policies judge each call of a bundle as {HTTP_REQUEST}; try the calls one by one",
            pointer="/action",
        )
    if not ACTION_NAME.fullmatch(name):
        raise InvalidAction(
            "an action's name is a lower-case letter, then up to 127 of a-z 0-9 _ . -",
            pointer="/action",
        )
    if name.startswith(RESERVED):
        raise InvalidAction(
            f"names that begin with {', '.join(RESERVED)} are reserved; of these only "
            f"{', '.join((HTTP_REQUEST, HTTP_BUNDLE, *SSH_ACTIONS))} can be asked for here",
            pointer="/action",
        )
    return PlainAction(name, params)


def _http_action(params: JsonObject, methods: frozenset[str]) -> HttpAction:
    if unknown := sorted(set(params) - _HTTP_FIELDS):
        raise InvalidAction(
            f"{HTTP_REQUEST} has no parameter {unknown[0]!r}; it takes {_NAMED}",
            pointer=f"/params/{unknown[0]}",
        )
    method = _text(params, "method")
    if method not in methods:
        raise InvalidAction(_METHODS, pointer="/params/method")
    path, query = parse_target_path(_text(params, "path"), "/params/path")
    headers = request_headers(_header_lines(params.get("headers", {})), "/params/headers")
    body = _body(params)
    if "json" in params and not any(line[0] == "content-type" for line in headers):
        headers = (*headers, _JSON_TYPE)
    return HttpAction(method, path, query, headers, body)


def read_call(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
) -> HttpAction:
    """Return the action that a call on the wire asks for.

    :param target: path and query as they came.
    :raises InvalidAction: with a pointer to what must change.
    """
    if method not in METHODS:
        raise InvalidAction(_METHODS, pointer="/method")
    path, query = known_target_path(target, "/path")
    return HttpAction(method, path, query, known_request_headers(tuple(headers), "/headers"), body)


def read_opening(target: str, headers: Iterable[tuple[str, str]]) -> HttpAction:
    """Return the action that opens a WebSocket (RFC 6455); a door with a caller alone makes it.

    :param target: path and query as they came.
    :raises InvalidAction: with a pointer to what must change.
    """
    path, query = known_target_path(target, "/path")
    lines = known_request_headers(tuple(headers), "/headers")
    return HttpAction(WEBSOCKET, path, query, lines, b"")


def _text(params: JsonObject, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str):
        raise InvalidAction(f"{name} must be given as a string", pointer=f"/params/{name}")
    return value


def _header_lines(value: JsonValue) -> list[tuple[str, str]]:
    if not isinstance(value, Mapping):
        raise InvalidAction("headers must be an object", pointer="/params/headers")
    for name, text in value.items():
        if not isinstance(text, str):
            raise InvalidAction("a header's value is a string", pointer=f"/params/headers/{name}")
    return list(cast("Mapping[str, str]", value).items())


def _body(params: JsonObject) -> bytes:
    given = [name for name in _BODIES if name in params]
    if len(given) > 1:
        raise InvalidAction("give one of json, text and base64", pointer=f"/params/{given[1]}")
    if not given:
        return b""
    if given[0] == "json":
        return canonical(params["json"])
    text = _text(params, given[0])
    if given[0] == "text":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAction("base64 is not valid", pointer="/params/base64") from error


def permit(permissions: tuple[Permission, ...] | None, target: str, action: HttpAction) -> None:
    """Refuse a call that the key's permissions do not include (KEY-2).

    :raises TargetNotPermitted: naming the target and the call.
    """
    if permissions is None:
        return
    here = [one for one in permissions if one.target == target and not one.profiles]
    method, path = action.method, action.path
    denied = any(one.denied and one.calls.forbids(method, path) for one in here)
    if denied or not any(not one.denied and one.calls.permits(method, path) for one in here):
        message = f"this key does not permit {method} {path} at {target}"
        raise TargetNotPermitted(message, pointer="/target")


def check_call(target: Target, action: HttpAction) -> None:
    """Refuse a call that the target's lists do not let pass, whoever makes it (GW-5).

    :raises CallNotPermitted: saying what would pass.
    """
    settings = target.settings
    if not settings.allow and not settings.deny:
        return
    if reason := objection(settings.allow, settings.deny, action.method, action.path):
        raise CallNotPermitted(f"{target.name}: {reason}", pointer="/params/path")


def facts_of(
    submission: Submission,
    agent: Agent,
    now: Instant,
    remote_ip: str | None,
    counters: Mapping[str, int],
    rules: CommandRules | None = None,
) -> Facts:
    """Return what the policies may look at, computed from the very bytes that would run.

    :param rules: for commands; without them conditions on commands are indeterminate.
    """
    action, target = submission.action, submission.target
    return Facts(
        action=action.name,
        kind=action.kind.value,
        agent_id=agent.id,
        agent_name=agent.name,
        target=None if target is None else target.name,
        urgency=submission.urgency.value,
        reason=submission.reason,
        params=action_params(action),
        context=submission.context,
        http=_http_facts(action) if isinstance(action, HttpAction) else None,
        now=now,
        remote_ip=remote_ip,
        counters=counters,
        command=_command_facts(action, rules),
    )


def _command_facts(action: Action, rules: CommandRules | None) -> CommandFacts | None:
    if rules is None or not isinstance(action, SshExec):
        return None
    return command_facts(action.command, rules, fed=action.stdin is not None)


def _http_facts(action: HttpAction) -> Mapping[str, object]:
    facts: dict[str, object] = {
        "method": action.method,
        "path": action.path,
        "query": _query_of(action.query),
        "headers": _gather(action.headers),
        "body_bytes": len(action.body) if action.detached is None else action.detached.size,
    }
    if action.body or action.detached is not None:
        facts["json"] = _json_of(action)
    return facts


def _query_of(query: str) -> object:
    """Return what a query says, or that nobody can tell: some servers split it at semicolons."""
    if ";" in query:
        return UNCLEAR
    return _gather(parse_qsl(query, keep_blank_values=True)) if query else {}


def _json_of(action: HttpAction) -> object:
    """Return what a body says as JSON, or that nobody can tell what the upstream reads in it."""
    if not action.body or not action.says_json:
        return UNCLEAR
    try:
        return parse_json(action.body)
    except MalformedJson:
        return UNCLEAR


def _gather(pairs: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            before = found[name]
            earlier = cast("list[str]", before) if isinstance(before, list) else [before]
            found[name] = [*earlier, value]
        else:
            found[name] = value
    return found
