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
    HMAC-SHA-256 of the body alone, in hex, keyed with the text of the current secret;
    ``x-assentry-signature-previous`` holds the same made with each live secret before it, so that
    a receiver with any of them finds its own.
    """
    moment, text = to_datetime(at), body.decode()
    signed = [Webhook(secret).sign(event_id, moment, text) for secret in secrets]
    plain, *former = (_plain(secret, body) for secret in secrets)
    previous = {"x-assentry-signature-previous": ", ".join(former)} if former else {}
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signed),
        "x-assentry-signature": plain,
        **previous,
    }


def _plain(secret: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
