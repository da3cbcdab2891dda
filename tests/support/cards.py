"""Approval cards as the core makes them, for tests of painters and channels."""

from dataclasses import replace
from typing import Any, Final

from app.core.action import PlainAction, Submission, Urgency
from app.core.approval_card import ApprovalCard, Standing, approval_card
from app.core.card import card_of
from app.core.request import Status

LINK: Final = "https://gate.example/l/abc"
PAGE: Final = "https://gate.example/requests/req_1"
STANDING: Final = Standing(
    request_id="req_1", digest="d" * 64, version=1, status=Status.PENDING,
    state="Waiting: 0 of 1 approvals", urgency="normal", risk="high",
    risk_reasons=("deletes data (60)",),
    facts=(("Agent", "robot"), ("Owner", "Olga"), ("Rule", "mail › ask")),
    seats=("any approver: open",), timeline=("2026-11-21 05:00:00 UTC submitted by robot",),
    pending=True, reason_required=False, url=PAGE,
)  # fmt: skip


def card(text: str = "hello", reason: str = "please", **standing: Any) -> ApprovalCard:
    """Return a card as the core makes it of hostile or harmless words."""
    asked = Submission("agt_1", PlainAction("send", {"text": text}), None, Urgency.NORMAL,
                       reason, {"note": text})  # fmt: skip
    made = approval_card(card_of(asked, ("Authorization: <mail>",)), replace(STANDING, **standing))
    return replace(made, link=LINK, token="t")
