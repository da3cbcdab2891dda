"""Whether an answer that only the connection's close ends is complete (T46).

Over TLS such a close says so itself, by a close_notify; without one, anybody on the way may have
cut the answer (RFC 8446, section 6.1; RFC 9112, section 9.8). The loop does not tell the two
apart, the TLS object does.
"""

import ssl


def was_closed(tls: ssl.SSLObject) -> bool:
    """Whether the peer's close_notify has come; nothing may be left to read."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
