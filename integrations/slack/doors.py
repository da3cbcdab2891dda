"""The door that Slack posts to: nothing is parsed before its signature is right (T16).

See "Verifying requests from Slack": HMAC-SHA256 over ``v0:timestamp:body``, at most five minutes
old. Whatever is odd about the headers is a 401, as is a signature that was seen before: Slack's
own repetitions are signed anew.
"""

import hashlib
import hmac
import json
import re
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import parse_qsl

from app.clock import SystemClock
from app.core.instant import SECOND

LARGEST: Final = 1 << 19
"""Bytes of a body that are read at most."""

_ODD: Final = "not an object"
_WINDOW: Final = 300
_REMEMBERED: Final = 10_000
_TIMESTAMP: Final = re.compile(r"\d{1,11}")
_SIGNATURE: Final = re.compile(r"v0=[0-9a-f]{64}")


class Signatures:
    """Checks signatures, and remembers those of the last ten minutes in this process.

    What gets past the memory (another process, or 10,000 newer calls) meets the desk, where a
    person's vote counts once.
    """

    def __init__(self, secret: str, clock: SystemClock) -> None:
        """Check with this secret."""
        self._secret = secret.encode()
        self._clock = clock
        self._seen: OrderedDict[str, int] = OrderedDict()

    def may_be(self, timestamp: list[str], signature: list[str]) -> bool:
        """Whether a call's headers have their form and age; without that no body is read.

        :param timestamp: every value of the header of that name; one is right.
        :param signature: likewise.
        """
        if len(timestamp) != 1 or len(signature) != 1:
            return False
        when, proof = timestamp[0], signature[0]
        if not (_TIMESTAMP.fullmatch(when) and when.isascii() and _SIGNATURE.fullmatch(proof)):
            return False
        return abs(self._clock.now() // SECOND - int(when)) <= _WINDOW

    def admits(self, timestamp: list[str], signature: list[str], body: bytes) -> bool:
        """Whether a call is Slack's, and new."""
        if not self.may_be(timestamp, signature):
            return False
        (when,), (proof,), now = timestamp, signature, self._clock.now() // SECOND
        right = hmac.new(self._secret, f"v0:{when}:".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v0={right}", proof) and self._is_new(proof, now)

    def _is_new(self, proof: str, now: int) -> bool:
        while self._seen and (
            len(self._seen) >= _REMEMBERED or next(iter(self._seen.values())) < now - 2 * _WINDOW
        ):
            self._seen.popitem(last=False)
        if proof in self._seen:
            return False
        self._seen[proof] = now
        return True


def parsed(body: bytes, content_type: str) -> dict[str, Any]:
    """Return what a call says: a form, the JSON in a form's ``payload``, or JSON.

    :raises ValueError: it is none of these.
    """
    text = body.decode()
    if content_type.partition(";")[0].strip().lower() != "application/json":
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
        if "payload" not in fields:
            return dict(fields)
        text = fields["payload"]
    try:
        found: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError(_ODD) from error
    if not isinstance(found, dict):
        raise ValueError(_ODD)  # noqa: TRY004 - one error for whatever is wrong
    return found
