"""Fulfilling ``redact``: what a policy masks never reaches the agent nor the stored result."""

import asyncio
import json
from dataclasses import replace
from typing import Final

from app.core.execution import Refusal
from app.core.masking import mask_of, masked
from app.core.outcome import Outcome
from app.core.verdict import Verdict

_AT_ONCE: Final = 65_536
"""Bytes of an answer that are masked on the loop; longer ones are on a thread."""


async def kept_back(outcome: Outcome, verdict: str) -> Outcome:
    """Return the outcome without what the request's stored verdict masks."""
    mask = mask_of(verdict)
    if mask is None:
        return outcome
    if len(outcome.result.body) <= _AT_ONCE:
        return replace(outcome, result=masked(outcome.result, mask))
    return replace(outcome, result=await asyncio.to_thread(masked, outcome.result, mask))


def check_masks(stored: str, present: Verdict) -> None:
    """Refuse to run what today's policies want masked and yesterday's did not (T40).

    :raises Refusal: it must be asked anew.
    """
    wanted = [
        {"kind": duty.kind, **duty.parameters}
        for duty in present.obligations
        if duty.kind == "redact"
    ]
    if wanted and any(duty not in json.loads(stored)["obligations"] for duty in wanted):
        raise Refusal("policy_masks", "A policy made since then masks the answer; ask again.")
