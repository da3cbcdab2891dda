"""What an agent wants done, and the canonical envelope that binds all of it (threats T1, T3).

The envelope is the one truth about a request: policy, page, vote and executor read it, and its
SHA-256 is the digest that a decision and a grant are bound to.
"""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Final, TypeAlias, cast

from msgspec import Struct

from app.core.action_kinds import Kind
from app.core.canonical import canonical
from app.core.json_types import JsonObject, JsonValue
from app.core.ssh_action import SshAction, SshPlace, place_in, place_out, read_params, ssh_params
from app.core.strict_json import parse_json

ENVELOPE_VERSION: Final = 1
HTTP_REQUEST: Final = "http.request"
HTTP_BUNDLE: Final = "http.bundle"
_RESTS: Final = 256


class Urgency(StrEnum):
    """How much the agent presses; it may change who is asked, never what is allowed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


_JSON: Final = re.compile(
    r"application/(?:[a-z0-9.!#$&^_-]+\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?"
)


@dataclass(frozen=True, slots=True)
class Detached:
    """A body that is too large to stand in the envelope: kept apart, bound by its digest.

    :ivar sha256: in hex.
    :ivar size: bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class HttpAction:
    """One HTTP call at a target; ``path`` and ``query`` keep their percent-encoding.

    :ivar body: the bytes; empty where they are ``detached``.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    detached: Detached | None = None

    kind: ClassVar[Kind] = Kind.HTTP
    name: ClassVar[str] = HTTP_REQUEST

    @property
    def says_json(self) -> bool:
        """Whether exactly one content type is given, and it is JSON in UTF-8 (RFC 8259, 6839)."""
        types = [value for name, value in self.headers if name == "content-type"]
        return len(types) == 1 and _JSON.fullmatch(types[0].strip().lower()) is not None


class PlainAction(Struct, frozen=True):
    """Something that the agent carries out by itself once it is approved."""

    name: str
    params: JsonObject

    kind: ClassVar[Kind] = Kind.PLAIN


@dataclass(frozen=True, slots=True)
class BoundTarget:
    """The target as it was when the request was made; another revision is another binding.

    :ivar ssh: of an SSH target: where exactly the action runs, and with which host keys.
    """

    id: str
    name: str
    base_url: str
    revision: int
    ssh: SshPlace | None = None


class OnFailure(StrEnum):
    """What becomes of the calls after one that failed."""

    STOP = "stop"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class BundleItem:
    """One call of a bundle, bound to its target; ``note`` is the agent's word on it."""

    call: HttpAction
    target: BoundTarget
    note: str = ""


@dataclass(frozen=True, slots=True)
class BundleAction:
    """Several HTTP calls that are carried out in order; they are numbered from 1."""

    items: tuple[BundleItem, ...]
    on_failure: OnFailure

    kind: ClassVar[Kind] = Kind.BUNDLE
    name: ClassVar[str] = HTTP_BUNDLE


Action: TypeAlias = HttpAction | BundleAction | PlainAction | SshAction


class Submission(Struct, frozen=True):
    """All that the agent asks for and says; every field is bound by the digest."""

    agent_id: str
    action: Action
    target: BoundTarget | None
    urgency: Urgency
    reason: str
    context: JsonObject


def seal(submission: Submission) -> bytes:
    """Return the canonical envelope (RFC 8785) of a submission."""
    asked = canonical(
        {
            "action": submission.action.name,
            "agent": submission.agent_id,
            "context": submission.context,
            "kind": submission.action.kind.value,
            "params": action_params(submission.action),
            "reason": submission.reason,
        }
    )
    rest = _rest(submission.target, submission.urgency)
    return asked[:-1] + rest  # the names of the rest come after those of the first


@lru_cache(_RESTS)
def _rest(target: BoundTarget | None, urgency: Urgency) -> bytes:
    """Return what an envelope ends with; few ends are many requests'."""
    rest = canonical(
        {
            "target": None if target is None else _target_out(target),
            "urgency": urgency.value,
            "v": ENVELOPE_VERSION,
        }
    )
    return b"," + rest[1:]


def unseal(envelope: bytes) -> Submission:
    """Return the submission that an envelope holds.

    :raises ValueError: when it is not an envelope of this version.
    """
    document = parse_json(envelope)
    if not isinstance(document, dict) or document.get("v") != ENVELOPE_VERSION:
        message = "not an envelope of this version"
        raise ValueError(message)
    try:
        return Submission(
            agent_id=cast("str", document["agent"]),
            action=_action(document),
            target=_target(document["target"]),
            urgency=Urgency(cast("str", document["urgency"])),
            reason=cast("str", document["reason"]),
            context=cast("JsonObject", document["context"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        message = f"broken envelope: {error}"
        raise ValueError(message) from error


def action_params(action: Action) -> JsonObject:
    """Return the parameters of an action as policy, page and envelope show them."""
    if isinstance(action, PlainAction):
        return action.params
    if isinstance(action, BundleAction):
        calls: list[JsonValue] = [_item_out(item) for item in action.items]
        return {"calls": calls, "on_failure": action.on_failure.value}
    if isinstance(action, SshAction):
        return ssh_params(action)
    return _call_out(action)


def _item_out(item: BundleItem) -> JsonObject:
    return {**_call_out(item.call), "target": _target_out(item.target), "note": item.note}


def _target_out(target: BoundTarget) -> JsonObject:
    place: JsonObject = {} if target.ssh is None else {"ssh": place_out(target.ssh)}
    return {
        "id": target.id,
        "name": target.name,
        "base_url": target.base_url,
        "revision": target.revision,
        **place,
    }


def _call_out(action: HttpAction) -> JsonObject:
    return {
        "method": action.method,
        "path": action.path,
        "query": action.query,
        "headers": [[name, value] for name, value in action.headers],
        "body": _body_out(action),
    }


def _body_out(action: HttpAction) -> JsonObject:
    body = action.body
    if action.detached is not None:
        return {"sha256": action.detached.sha256, "size": action.detached.size}
    if b"\x00" not in body:  # JSON of ours holds no NUL, so that it could not be read again
        with suppress(UnicodeDecodeError):
            return {"text": body.decode()}
    return {"base64": base64.b64encode(body).decode()}


def _body_in(body: JsonObject) -> bytes:
    if "text" in body:
        return cast("str", body["text"]).encode()
    if "sha256" in body:
        return b""
    return base64.b64decode(cast("str", body["base64"]), validate=True)


def _detached_in(body: JsonObject) -> Detached | None:
    if "sha256" not in body:
        return None
    return Detached(cast("str", body["sha256"]), cast("int", body["size"]))


def _action(document: dict[str, JsonValue]) -> Action:
    params = cast("JsonObject", document["params"])
    if document["kind"] == Kind.PLAIN:
        return PlainAction(name=cast("str", document["action"]), params=params)
    if document["kind"] == Kind.SSH:
        return read_params(cast("str", document["action"]), params)
    known = (document["kind"], document["action"])
    if known == (Kind.BUNDLE, HTTP_BUNDLE):
        return _bundle(params)
    if known != (Kind.HTTP, HTTP_REQUEST):
        message = f"unknown kind {document['kind']!r}"
        raise ValueError(message)
    return _call(params)


def _bundle(params: JsonObject) -> BundleAction:
    calls = cast("list[dict[str, JsonValue]]", params["calls"])
    items: list[BundleItem] = []
    for call in calls:
        target = _target(call["target"])
        if target is None:
            message = "a call of a bundle has no target"
            raise ValueError(message)
        items.append(BundleItem(_call(call), target, cast("str", call["note"])))
    return BundleAction(tuple(items), OnFailure(cast("str", params["on_failure"])))


def _call(params: JsonObject) -> HttpAction:
    pairs = cast("list[list[str]]", params["headers"])
    body = cast("JsonObject", params["body"])
    return HttpAction(
        method=cast("str", params["method"]),
        path=cast("str", params["path"]),
        query=cast("str", params["query"]),
        headers=tuple((name, value) for name, value in pairs),
        body=_body_in(body),
        detached=_detached_in(body),
    )


def _target(value: JsonValue) -> BoundTarget | None:
    if value is None:
        return None
    fields = cast("dict[str, JsonValue]", value)
    return BoundTarget(
        id=cast("str", fields["id"]),
        name=cast("str", fields["name"]),
        base_url=cast("str", fields["base_url"]),
        revision=cast("int", fields["revision"]),
        ssh=place_in(cast("JsonObject", fields["ssh"])) if "ssh" in fields else None,
    )
