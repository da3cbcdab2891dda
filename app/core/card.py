"""What a person is shown of a request, computed by us, the same for every surface.

The order is that of every surface: verb and target, why it is asked, what will run, what the
agent says. Nothing of the agent's stands in our own sentences.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from app.core.action import (
    BoundTarget,
    BundleAction,
    Detached,
    HttpAction,
    OnFailure,
    PlainAction,
    Submission,
)
from app.core.canonical import canonical
from app.core.card_block import Block
from app.core.errors import MalformedJson
from app.core.ssh_action import SshAction
from app.core.ssh_card import CONSEQUENCES, VERBS, ssh_blocks, ssh_headline
from app.core.strict_json import parse_json

_EFFECTS: Final = {
    "GET": "reads", "HEAD": "reads", "OPTIONS": "reads", "POST": "creates or triggers",
    "PUT": "replaces", "PATCH": "changes", "DELETE": "deletes",
}  # fmt: skip
_DELETE: Final = "DELETE"
_AFTER: Final = {
    OnFailure.STOP: "runs its calls in order; the first failure stops the rest",
    OnFailure.CONTINUE: "runs its calls in order, also after one that fails",
}
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]|\s+')


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown for approval.

    :ivar verb: what the approve button says, such as ``DELETE``.
    :ivar headline: verb and target in one line.
    :ivar consequence: what this kind of action does, in a word.
    :ivar added: what the vault adds, named without values.
    :ivar deletes: whether a call of it is a DELETE, which may not be undone.
    """

    verb: str
    headline: str
    consequence: str
    blocks: tuple[Block, ...]
    added: tuple[str, ...]
    context: str
    reason: str
    deletes: bool = False


def card_of(submission: Submission, added: tuple[str, ...]) -> Card:
    """Return the card of a submission."""
    action = submission.action
    context = _pretty(submission.context) if submission.context else ""
    if isinstance(action, PlainAction):
        params = Block("Parameters", _pretty(action.params), "JSON, formatted",
                       canonical(action.params).decode())  # fmt: skip
        return Card(
            action.name, action.name, "is carried out by the agent itself", (params,), added,
            context, submission.reason,
        )  # fmt: skip
    line = headline_of(submission)
    if isinstance(action, BundleAction):
        return Card(
            _counted(action), line, _AFTER[action.on_failure], tuple(_bundle_blocks(action)), added,
            context, submission.reason, any(item.call.method == _DELETE for item in action.items),
        )  # fmt: skip
    if isinstance(action, SshAction):
        place = None if submission.target is None else submission.target.ssh
        return Card(
            VERBS[action.name], line, CONSEQUENCES[action.name], tuple(ssh_blocks(action, place)),
            added, context, submission.reason,
        )  # fmt: skip
    blocks = (Block("Call", line), *_http_blocks(action))
    return Card(
        action.method, line, _EFFECTS.get(action.method, "acts"), blocks, added, context,
        submission.reason, action.method == _DELETE,
    )  # fmt: skip


def headline_of(submission: Submission) -> str:
    """Return verb and target in one line."""
    action = submission.action
    if isinstance(action, PlainAction):
        return action.name
    if isinstance(action, BundleAction):
        names = dict.fromkeys(item.target.name for item in action.items)
        methods = dict.fromkeys(item.call.method for item in action.items)
        return f"{_counted(action)} ({', '.join(methods)}) at {', '.join(names)}"
    if isinstance(action, SshAction):
        target = submission.target
        return ssh_headline(action, "?" if target is None else target.name, target and target.ssh)
    return f"{action.method} {_url(action, submission.target)}"


def _counted(action: BundleAction) -> str:
    count = len(action.items)
    return f"{count} calls" if count > 1 else "1 call"


def _bundle_blocks(action: BundleAction) -> Iterator[Block]:
    """Yield every call in full, each part with the number of its call."""
    for number, item in enumerate(action.items, 1):
        line = f"{item.call.method} {_url(item.call, item.target)}"
        parts = [Block("call", line, f"target {item.target.name}"), *_http_blocks(item.call)]
        if item.note:
            parts.append(Block("the agent's note", item.note, "claimed, not checked"))
        for part in parts:
            yield replace(part, title=f"{number}. {part.title.capitalize()}", call=number)


def _url(action: HttpAction, target: BoundTarget | None) -> str:
    """Return the whole address that is called, with the target's scheme, host and prefix."""
    base = "?" if target is None else target.base_url.rstrip("/")
    return f"{base}{action.path}?{action.query}" if action.query else f"{base}{action.path}"


def _http_blocks(action: HttpAction) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if action.headers:
        lines = "\n".join(f"{name}: {value}" for name, value in action.headers)
        blocks.append(Block("Headers", lines))
    if action.detached is not None:
        blocks.append(_detached(action, action.detached))
    elif action.body:
        blocks.append(_body(action.body, formatted=action.says_json))
    return tuple(blocks)


def _detached(action: HttpAction, body: Detached) -> Block:
    types = [value for name, value in action.headers if name == "content-type"] or ["no type said"]
    text = f"Type: {', '.join(types)}\nSize: {body.size:,} bytes\nSHA-256: {body.sha256}"
    return Block("Body", text, "too large to show, known by its digest", shown=False)


def _body(body: bytes, *, formatted: bool) -> Block:
    size = f"{len(body):,} bytes"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        digest = hashlib.sha256(body).hexdigest()
        note = f"not text: base64, {size}, SHA-256 {digest}"
        return Block("Body", base64.b64encode(body).decode(), note)
    if not formatted:
        return Block("Body", text, f"text, {size}")
    try:
        pretty = _pretty(parse_json(body))
    except MalformedJson:
        return Block("Body", text, f"text, {size}")
    return Block("Body", pretty, f"JSON, formatted, {size}", text, _tokens(pretty) == _tokens(text))


def _tokens(text: str) -> list[str]:
    """Return JSON text without the white space between its tokens."""
    return [part for part in _TOKEN.findall(text) if part.strip()]


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
