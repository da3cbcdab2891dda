"""A mail server that keeps what it is given, and misbehaves on demand."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

MOST = 4_000_000
"""Most bytes of a mail."""


@dataclass
class MailSink:
    """Takes every mail, unless told otherwise.

    :ivar sender: what is answered to the sender.
    :ivar rcpt: what is answered to a recipient.
    :ivar data: what is answered to a mail; an empty text closes the connection instead.
    :ivar banner: said instead of a greeting, before the connection is closed.
    :ivar silent: whether it takes connections and never says a word.
    :ivar leaves: whether it hangs up after it has taken a mail, without waiting for QUIT.
    :ivar password: when set, a sign-in with it is needed.
    :ivar tls: its certificate; then STARTTLS is offered, and asked for before anything else.
    :ivar wrapped: whether TLS is spoken from the first byte instead.
    :ivar utf8: whether it takes addresses with any letters.
    :ivar raw: the mails as they came, byte for byte.
    :ivar signed_in: how often somebody signed in.
    """

    sender: str = "250 OK"
    rcpt: str = "250 OK"
    data: str = "250 OK"
    banner: str = ""
    silent: bool = False
    leaves: bool = False
    password: str = ""
    tls: ssl.SSLContext | None = None
    wrapped: bool = False
    utf8: bool = True
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    raw: list[bytes] = field(default_factory=list[bytes])
    recipients: list[str] = field(default_factory=list[str])
    encrypted: list[bool] = field(default_factory=list[bool])
    signed_in: int = 0
    port: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        options = self._options()
        make = self._odd if self.silent or self.banner else lambda: self._protocol(options)
        wrapping = self.tls if self.wrapped else None
        self._server = await loop.create_server(make, "127.0.0.1", 0, ssl=wrapping)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "hostname": "sink", "loop": asyncio.get_running_loop(), "data_size_limit": MOST,
            "enable_SMTPUTF8": self.utf8,
        }  # fmt: skip
        if self.tls is not None and not self.wrapped:
            options |= {"tls_context": self.tls, "require_starttls": True}
        if self.password:
            options |= {
                "authenticator": self._authenticate, "auth_required": True,
                "auth_require_tls": False,
            }  # fmt: skip
        return options

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    def _odd(self) -> asyncio.Protocol:
        return _Odd(self.banner)

    def _protocol(self, options: dict[str, Any]) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a password without TLS, on loopback
            return SMTP(self, **options)

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self.password.encode()
        self.signed_in += good
        return AuthResult(success=good, handled=False)

    async def handle_MAIL(  # noqa: N802 - the interface's own name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.sender.startswith("250"):
            envelope.mail_from = address
        return self.sender

    async def handle_RCPT(  # noqa: N802 - the interface's own name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
            self.recipients.append(address)
        return self.rcpt

    async def handle_DATA(  # noqa: N802 - the interface's own name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if not self.data and server.transport is not None:
            server.transport.close()
            return "451 gone"
        if self.data.startswith("250"):
            await self._keep(session, envelope)
        return self.data

    async def _keep(self, session: Session, envelope: Envelope) -> None:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(policy=default).parsebytes(content)
        assert isinstance(mail, EmailMessage)
        async with self._news:
            self.raw.append(content)
            self.encrypted.append(self.wrapped or session.ssl is not None)
            self.mails.append(mail)
            self._news.notify_all()

    async def handle_QUIT(  # noqa: N802 - the interface's own name
        self, server: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        if self.leaves and server.transport is not None:
            server.transport.close()
        return "221 bye"

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds, looking after each mail."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)


class _Odd(asyncio.Protocol):
    """Says a banner of its own and hangs up, or says nothing at all."""

    def __init__(self, banner: str) -> None:
        self._banner = banner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._banner and isinstance(transport, asyncio.Transport):
            transport.write(f"{self._banner}\r\n".encode())
            transport.close()


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None
    said = [part.get_content().replace("\r\n", "\n") for part in (text, html)]
    return said[0], said[1]
