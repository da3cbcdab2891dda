"""How a WebSocket is opened: a GET that asks for one, and the answer that is one (RFC 6455)."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Final

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


def is_opened(asked: Mapping[str, str], answer: Mapping[str, str]) -> bool:
    """Whether an answer of 101 is one to what was asked (section 4.1); no extension was."""
    offered = {name.strip() for name in asked.get("Sec-WebSocket-Protocol", "").split(",")}
    chosen = answer.get("Sec-WebSocket-Protocol")
    return (
        answer.get("Upgrade", "").lower() == "websocket"
        and answer.get("Sec-WebSocket-Accept") == _accepted(asked["Sec-WebSocket-Key"])
        and "Sec-WebSocket-Extensions" not in answer
        and (chosen is None or chosen in offered)
    )


def _accepted(key: str) -> str:
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()
