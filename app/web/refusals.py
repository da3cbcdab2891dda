"""What a caller who waited for an answer is told when there is none."""

import json
from typing import Any

from app.core.errors import AssentryError, Denied, NotCarriedOut, OutcomeUnknown
from app.core.request import Request, Status


def refusal(made: Request) -> AssentryError:
    """Return why a request has no answer: denied, not carried out, or nobody knows."""
    extra = told(made)
    if made.status is Status.DENIED:
        return Denied(extra=extra)
    if made.status is Status.UNKNOWN:
        return OutcomeUnknown(extra=extra)
    return NotCarriedOut(extra=extra)


def told(made: Request) -> dict[str, Any]:
    """Return what is said of a request beside an error."""
    outcome: dict[str, Any] = json.loads(made.outcome) if made.outcome else {}
    reasons = json.loads(made.verdict).get("reasons", [])
    return {
        "request_id": made.id, "status": made.status.value, "reasons": reasons,
        "comment": made.comment, "outcome": outcome,
    }  # fmt: skip
