"""A mail server that keeps what it is given, and misbehaves on demand."""

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailSink:
    """Takes every mail, unless told otherwise.

    :ivar rcpt: what is answered to a recipient.
    :ivar data: what is answered to a mail; an empty text closes the connection instead.
    :ivar password: when set, a sign-in with it is needed.
    """

    rcpt: str = "250 OK"
    data: str = "250 OK"
    password: str = ""
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    port: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {"hostname": "sink", "loop": asyncio.get_running_loop()}
        if self.password:
            options |= {
                "authenticator": self._authenticate, "auth_required": True,
                "auth_require_tls": False,
            }  # fmt: skip
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._protocol(options), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    def _protocol(self, options: dict[str, Any]) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a password without TLS, on loopback
            return SMTP(self, **options)

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self.password.encode()
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(  # noqa: N802 - the interface's own name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(  # noqa: N802 - the interface's own name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if not self.data and server.transport is not None:
            server.transport.close()
            return "451 gone"
        if self.data.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = BytesParser(policy=default).parsebytes(content)
            assert isinstance(mail, EmailMessage)
            async with self._news:
                self.mails.append(mail)
                self._news.notify_all()
        return self.data

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds, looking after each mail."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None
    return text.get_content(), html.get_content()
