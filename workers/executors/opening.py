"""How a WebSocket is opened: a GET that asks for one, and the answer that is one (RFC 6455)."""

import base64
import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from workers.executors.answer_head import Head

SWITCHING: Final = 101
LOST: Final = 1006
"""Code of a connection that was lost: nobody closed it (section 7.4.1)."""

_VERSION: Final = "13"
_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def opening() -> tuple[tuple[str, str], ...]:
    """Return the lines that ask for a WebSocket, with a new key."""
    return (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", _VERSION),
        ("Sec-WebSocket-Key", base64.b64encode(secrets.token_bytes(16)).decode()),
    )


def is_opened(asked: Iterable[tuple[str, str]], answer: Head) -> bool:
    """Whether an answer of 101 is one to what was asked (section 4.1); no extension was."""
    said = {name.lower(): value for name, value in asked}
    offered = {name.strip() for name in said.get("sec-websocket-protocol", "").split(",")}
    chosen = answer.values("sec-websocket-protocol")
    return (
        [value.lower() for value in answer.values("upgrade")] == ["websocket"]
        and answer.values("sec-websocket-accept") == [_accepted(said["sec-websocket-key"])]
        and not answer.values("sec-websocket-extensions")
        and (not chosen or (len(chosen) == 1 and chosen[0] in offered))
    )


def _accepted(key: str) -> str:
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()
