"""Requests as JSON bytes. What no longer changes is rendered once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.action import Kind
from app.core.approval_card import ApprovalCard
from app.core.instant import Instant, to_iso
from app.core.request import Request
from app.services.audit import AuditRecord
from app.services.requests import Listed

_OPTIONS: Final = orjson.OPT_UTC_Z
_CACHE_BYTES: Final = 4 * 1024 * 1024


_TYPE: Final = (b"content-type", b"application/json")
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"


class Json(Response):
    """An answer of JSON bytes, whose headers are known and need no looking at."""

    def __init__(self, data: bytes, status: int, headers: Mapping[str, str]) -> None:
        """Take bytes, a status and more headers."""
        self.status_code = status
        self.background = None
        self.body = data
        self.raw_headers = [(b"content-length", b"%d" % len(data)), _TYPE]
        for name, value in headers.items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        head = {"type": _START, "status": self.status_code, "headers": self.raw_headers}
        await send(head)
        await send({"type": _BODY, "body": self.body})


def at(instant: Instant | None) -> str | None:
    """Return an instant as JSON has it (RFC 3339 in UTC), a whole second without a fraction."""
    return None if instant is None else to_iso(instant).replace(".000000", "")


def dump(document: Any) -> bytes:
    """Return a document as JSON."""
    return orjson.dumps(document, option=_OPTIONS)


class _Rendered:
    """Bytes of request versions, the least recently used ones dropped first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def get(self, key: tuple[str, int]) -> bytes | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: tuple[str, int], data: bytes) -> None:
        self._kept[key] = data
        self._size += len(data)
        while self._size > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)


_rendered: Final = _Rendered(_CACHE_BYTES)


def rendered(request_id: str, version: int) -> bytes | None:
    """Return what a version of a request was rendered as, where that is still kept."""
    return _rendered.get((request_id, version))


def render(request: Request) -> bytes:
    """Return a request as JSON bytes."""
    key = (request.id, request.version)
    data = _rendered.get(key)
    if data is None:
        data = dump(_document(request))
        _rendered.put(key, data)
    return data


def render_whole(request: Request, calls: Sequence[Listed]) -> bytes:
    """Return a request as JSON bytes; a bundle with its calls as they stand now."""
    if request.kind is not Kind.BUNDLE:
        return render(request)
    items = [_call(request.id, listed) for listed in calls]
    return render(request)[:-1] + b',"items":' + dump(items) + b"}"


def _call(request_id: str, listed: Listed) -> dict[str, Any]:
    call, state = listed.item.call, listed.state
    return {
        "number": state.number,
        "target": listed.item.target.name,
        "method": call.method,
        "path": f"{call.path}?{call.query}" if call.query else call.path,
        "note": listed.item.note,
        "status": state.status.value,
        "sent_at": at(state.sent_at),
        "finished_at": at(state.finished_at),
        "outcome": None if state.outcome is None else orjson.Fragment(state.outcome),
        "result": f"/api/requests/{request_id}/items/{state.number}/result",
    }


def kept_of(items: list[tuple[str, int]]) -> dict[str, bytes]:
    """Return what is kept of these request versions, by id."""
    found = ((key[0], _rendered.get(key)) for key in items)
    return {name: data for name, data in found if data is not None}


def render_page(
    items: list[tuple[str, int]], texts: Mapping[str, bytes], older: str | None, newer: str | None
) -> bytes:
    """Return a page of requests as JSON bytes.

    :param texts: the rendered requests by id; one may be newer than the listed version, and one
        that is not there any more is left out.
    """
    tail = dump({"next": older, "previous": newer})[1:]
    page = [texts[name] for name, _ in items if name in texts]
    return b'{"items":[' + b",".join(page) + b"]," + tail


def _document(request: Request) -> dict[str, Any]:
    home = f"/api/requests/{request.id}"
    outcome = request.outcome
    return {
        "id": request.id,
        "status": request.status.value,
        "kind": request.kind.value,
        "action": request.action,
        "target": request.target_name,
        "urgency": request.urgency.value,
        "reason": request.reason,
        "digest": request.digest,
        "effect": request.effect.value,
        "verdict": orjson.Fragment(request.verdict),
        "quorum": request.quorum,
        "approvals": request.approvals,
        "created_at": at(request.created_at),
        "expires_at": at(request.expires_at),
        "decided_at": at(request.decided_at),
        "decided_by": request.decided_by if request.decided_at is not None else None,
        "comment": request.comment,
        "valid_until": at(request.valid_until),
        "finished_at": at(request.finished_at),
        "outcome": None if outcome is None else orjson.Fragment(outcome),
        "agent_id": request.agent_id,
        "version": request.version,
        "links": orjson.Fragment(
            f'{{"self":"{home}","wait":"{home}?wait=60","events":"{home}/events",'
            f'"result":"{home}/result","audit":"{home}/audit","cancel":"{home}/cancel"}}'
        ),
    }


def card_document(card: ApprovalCard) -> dict[str, Any]:
    """Return an approval card as a document; its texts are safe to print already."""
    fields = (
        *("digest", "display", "status", "state", "headline", "verb", "consequence", "urgency"),
        *("risk", "risk_reasons", "facts", "added", "reason", "context", "seats", "timeline"),
        *("hidden", "mixed", "pending", "whole", "reason_required", "url"),
    )
    blocks = [{"title": b.title, "note": b.note, "text": b.whole} for b in card.blocks]
    shown = {name: getattr(card, name) for name in fields}
    return {"id": card.request_id, **shown, "blocks": blocks}


def audit_document(record: AuditRecord) -> dict[str, Any]:
    """Return an audit entry as a document."""
    return {
        "seq": record.seq,
        "at": at(record.at),
        "event": record.event,
        "actor": record.actor,
        "actor_name": record.actor_name,
        "subject": record.subject,
        "request_id": record.request_id,
        "details": record.details,
    }
