"""Whether an answer that only the connection's close ends is complete (T46).

Over TLS such a close says so itself, by a close_notify; without one, anybody on the way may have
cut the answer (RFC 8446, section 6.1; RFC 9112, section 9.8). The client library does not tell
the two apart, the TLS object does.
"""

import ssl
from collections.abc import Sequence
from typing import Protocol

_CHUNKED = "chunked"


class Headers(Protocol):
    """The little that is used of the library's headers."""

    def getall(self, key: str, default: tuple[str, ...]) -> Sequence[str]:
        """Return every value of a header."""
        ...


def ends_by_close(headers: Headers) -> bool:
    """Whether nothing but the close says where a body ends (RFC 9112, section 6.3)."""
    codings = ",".join(headers.getall("Transfer-Encoding", ())).lower()
    if codings:
        return codings.rpartition(",")[2].strip() != _CHUNKED
    return not headers.getall("Content-Length", ())


def was_closed(tls: ssl.SSLObject) -> bool:
    """Whether the peer's close_notify has come; nothing may be left to read."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
