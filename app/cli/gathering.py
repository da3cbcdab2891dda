"""One write to the socket for the head and the body of an answer, where the server makes two.

The server looks at each header of an answer by expressions. Those that are the same in every
answer need no looking at: they are put into the head as it passes.
"""

import asyncio
from typing import Any, Final, cast

_STATUS: Final = b"HTTP/1.1 "
_INTERIM: Final = b"HTTP/1.1 1"
_END: Final = b"\r\n"


class Gathering:
    """A transport that keeps a write until the next one, or until the loop's next turn."""

    __slots__ = ("_held", "_lines", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap a transport, which gets everything else as it is."""
        self._transport = transport
        self.is_closing = transport.is_closing
        self._loop = loop
        self._held = b""
        self._lines = b""

    def put(self, lines: bytes) -> None:
        """Put header lines, each with its line end, into the next head of an answer."""
        self._lines = lines

    def read_at_most(self, size: int) -> None:
        """Take so few bytes at a time, where taking them apart takes long (asyncio's own bound)."""
        cast("Any", self._transport).max_size = size

    def write(self, data: bytes) -> None:
        """Keep bytes, or send them with those that were kept."""
        if self._lines and data.startswith(_STATUS) and not data.startswith(_INTERIM):
            data, self._lines = data[: -len(_END)] + self._lines + _END, b""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif data:
            self._held = data
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is kept."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Send what is kept, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Return anything else from the transport."""
        return getattr(self._transport, name)
