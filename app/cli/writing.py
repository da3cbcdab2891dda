"""Writes large pieces of an answer as they are, where the server copies them into their frames."""

from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.cli.gathering import LARGE

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


class Cycle(RequestResponseCycle):
    """One call and its answer; made by the server as the class above, and then of this one."""

    async def send(self, message: "ASGISendEvent") -> None:
        """Write a part of the answer; of large ones in chunks, first what can be without a copy."""
        said = cast("dict[str, Any]", message)
        body: bytes = said.get("body", b"")
        if len(body) >= LARGE and self._framed:
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if not self.disconnected:
                self.transport.writelines((b"%x\r\n" % len(body), body, b"\r\n"))
            if said.get("more_body"):
                return
            message = cast("ASGISendEvent", {**said, "body": b""})
        await super().send(message)

    @property
    def _framed(self) -> bool:
        started = self.response_started and not self.response_complete
        return started and bool(self.chunked_encoding) and self.scope["method"] != "HEAD"
