"""Requests as JSON bytes. What no longer changes is rendered once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response

from app.core.action import Kind
from app.core.approval_card import ApprovalCard
from app.core.instant import Instant, to_datetime
from app.core.request import Request
from app.services.audit import AuditRecord
from app.services.requests import Listed

_OPTIONS: Final = orjson.OPT_UTC_Z
_CACHE_BYTES: Final = 4 * 1024 * 1024


_TYPE: Final = (b"content-type", b"application/json")


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


def at(instant: Instant | None) -> Any:
    """Return an instant as the encoder takes it (RFC 3339 in UTC)."""
    return None if instant is None else to_datetime(instant)


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


def not_rendered(items: list[tuple[str, int]]) -> list[str]:
    """Return the ids of those request versions that must be read to be rendered."""
    return [key[0] for key in items if _rendered.get(key) is None]


def render_page(
    items: list[tuple[str, int]], fresh: dict[str, bytes], older: str | None, newer: str | None
) -> bytes:
    """Return a page of requests as JSON bytes.

    :param fresh: by id, what had to be rendered now; it may be newer than the listed version.
    """
    kept = (_rendered.get(key) or fresh.get(key[0]) for key in items)
    tail = dump({"next": older, "previous": newer})[1:]
    return b'{"items":[' + b",".join([data for data in kept if data]) + b"]," + tail


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
        "links": {
            "self": home,
            "wait": f"{home}?wait=60",
            "events": f"{home}/events",
            "result": f"{home}/result",
            "audit": f"{home}/audit",
            "cancel": f"{home}/cancel",
        },
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
