"""Signatures of webhooks: Standard Webhooks, and a plain one for simple receivers."""

import hashlib
import hmac
from collections.abc import Sequence

from standardwebhooks import Webhook

from app.core.instant import Instant, to_datetime


def headers(event_id: str, at: Instant, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers that prove who sent a body.

    ``webhook-signature`` holds one signature for each live secret (``v1,…``), over id, time and
    body (https://www.standardwebhooks.com). ``x-assentry-signature`` is ``sha256=`` and the
    HMAC-SHA-256 of the body alone, in hex, keyed with the text of the current secret.
    """
    moment, text = to_datetime(at), body.decode()
    signed = [Webhook(secret).sign(event_id, moment, text) for secret in secrets]
    plain = hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signed),
        "x-assentry-signature": f"sha256={plain}",
    }
