"""An HTTP upstream that misbehaves on request, over real sockets on the loopback interface.

The first segment of a path chooses the behaviour; everything received is kept for the test to
read. With ``tls=True`` it answers with a certificate for ``localhost`` and ``127.0.0.1`` from an
authority made for the occasion, which ``client_context()`` trusts.
"""

import asyncio
import base64
import datetime as dt
import gzip
import ipaddress
import json
import os
import socket
import ssl
import struct
import tempfile
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DEADLINE: Final = 5.0
"""Seconds that a test waits for something the upstream should see."""

_CHUNK: Final = bytes(65_536)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came over the wire.

    :ivar target: path and query, byte for byte.
    :ivar headers: names as sent, in order.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(slots=True)
class Exchange:
    """One request in work: what came, and where to write."""

    received: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: "Upstream"

    @property
    def argument(self) -> str:
        """The second path segment."""
        return self.received.target.partition("?")[0].split("/")[2]

    def answer(self, body: bytes = b"", status: int = 200, *lines: tuple[str, str]) -> None:
        """Write a whole answer."""
        self.head(status, ("Content-Length", str(len(body))), *lines)
        if self.received.method != "HEAD":
            self.writer.write(body)

    def head(self, status: int, *lines: tuple[str, str]) -> None:
        """Write a status line and headers."""
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self.writer.write(f"HTTP/1.1 {status} Status\r\n{text}\r\n".encode())

    async def push(self, piece: bytes, until: int) -> None:
        """Write a piece again and again until so many bytes are out or the peer is gone."""
        for _ in range(until // len(piece)):
            if self.writer.is_closing():
                return
            self.writer.write(piece)
            await self.writer.drain()


@dataclass(slots=True)
class Upstream:
    """The server; use it as an async context manager.

    :ivar log: every request received, in order.
    :ivar connections: how many connections were accepted.
    :ivar release: set it to let ``/slow`` go on.
    :ivar gone: set when the caller of ``/sse`` hung up.
    """

    tls: bool = False
    log: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    written: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    _server: asyncio.Server | None = None
    _authority: "Authority | None" = None

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._authority = Authority() if self.tls else None
        context = None if self._authority is None else self._authority.server_context()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=context, limit=1 << 20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and end every exchange."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The base URL, by address."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def client_context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this server alone."""
        if self._authority is None:
            message = "start the upstream with tls=True"
            raise RuntimeError(message)
        return self._authority.client_context()

    async def wait_for(self, count: int) -> list[Received]:
        """Return the log once it holds so many requests.

        :raises TimeoutError: after :data:`DEADLINE`.
        """
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: len(self.log) >= count)
        return self.log

    def hang_up(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._one(reader, writer):
                    await writer.drain()
        except asyncio.CancelledError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort() if task and task.cancelling() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        received = await _receive(reader)
        async with self._news:
            self.log.append(received)
            self._news.notify_all()
        exchange = Exchange(received, reader, writer, self)
        behaviour = _BEHAVIOURS[received.target.partition("?")[0].split("/")[1]]
        return await behaviour(exchange)


async def _receive(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.strip().split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = tuple((name, value.strip()) for name, _, value in (x.partition(":") for x in lines))
    length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
    return Received(method, target, headers, await reader.readexactly(length))


async def _echo(exchange: Exchange) -> bool:
    received = exchange.received
    seen = {
        "method": received.method,
        "target": received.target,
        "headers": received.headers,
        "body": received.body.decode("latin-1"),
    }
    exchange.answer(json.dumps(seen).encode(), 200, ("Content-Type", "application/json"))
    return True


async def _status(exchange: Exchange) -> bool:
    status = int(exchange.argument)
    exchange.answer(b"" if status in (204, 304) else b"as asked", status)
    return True


async def _slow(exchange: Exchange) -> bool:
    await exchange.upstream.release.wait()
    exchange.answer(b"at last")
    return True


async def _truncated(exchange: Exchange) -> bool:
    exchange.head(200, ("Content-Length", "100"))
    exchange.writer.write(b"only this")
    return False


async def _truncated_chunks(exchange: Exchange) -> bool:
    exchange.head(200, ("Transfer-Encoding", "chunked"))
    exchange.writer.write(b"5\r\nfirst\r\n")
    return False


async def _until_close(exchange: Exchange) -> bool:
    exchange.head(200, ("Connection", "close"))
    exchange.writer.write(b"to the end")
    return False


async def _until_cut(exchange: Exchange) -> bool:
    """End the connection itself, as who sits between could; over TLS no close_notify says so."""
    exchange.head(200, ("Connection", "close"))
    exchange.writer.write(b"to the end")
    await exchange.writer.drain()
    raw = os.dup(exchange.writer.get_extra_info("socket").fileno())
    with socket.socket(fileno=raw) as sock:
        sock.shutdown(socket.SHUT_WR)
    return False


async def _redirect(exchange: Exchange) -> bool:
    place = exchange.received.header("x-redirect-to")[0]
    exchange.answer(b"", 302, ("Location", place))
    return True


async def _drop(exchange: Exchange) -> bool:
    del exchange
    return False


async def _answer_then_drop(exchange: Exchange) -> bool:
    """Promise to keep the connection and hang up."""
    exchange.answer(b"bye", 200, ("Connection", "keep-alive"))
    return False


async def _reset(exchange: Exchange) -> bool:
    sock: socket.socket = exchange.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()
    return False


async def _garbage(exchange: Exchange) -> bool:
    exchange.writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    return False


async def _two_lengths(exchange: Exchange) -> bool:
    exchange.head(200, ("Content-Length", "4"), ("Content-Length", "5"))
    exchange.writer.write(b"fourx")
    return False


async def _switch(exchange: Exchange) -> bool:
    exchange.head(101, ("Connection", "Upgrade"), ("Upgrade", "websocket"))
    await exchange.reader.read()
    return False


async def _huge(exchange: Exchange) -> bool:
    size = int(exchange.argument)
    exchange.head(200, ("Content-Length", str(size)))
    await exchange.push(_CHUNK, size)
    exchange.writer.write(_CHUNK[: size % len(_CHUNK)])
    return True


async def _bomb(exchange: Exchange) -> bool:
    """Send gzip that inflates a thousandfold: the argument is MiB of zeros."""
    exchange.head(200, ("Content-Encoding", "gzip"), ("Connection", "close"))
    engine = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for _ in range(int(exchange.argument)):
        if exchange.writer.is_closing():
            return False
        exchange.writer.write(engine.compress(bytes(1 << 20)))
        exchange.upstream.written += 1
        await exchange.writer.drain()
    exchange.writer.write(engine.flush())
    return False


async def _trickle(exchange: Exchange) -> bool:
    """Send one byte for each time the test sets ``release``."""
    size = int(exchange.argument)
    exchange.head(200, ("Content-Length", str(size)))
    for _ in range(size):
        exchange.writer.write(b".")
        await exchange.upstream.release.wait()
        exchange.upstream.release.clear()
    return True


async def _leak(exchange: Exchange) -> bool:
    """Send the credential back in the encoding that the argument names, in every place."""
    secret = " ".join(exchange.received.header("x-api-key"))
    text = {
        "raw": secret,
        "base64": base64.b64encode(f"key={secret}".encode()).decode(),
        "hex": secret.encode().hex(),
        "json": json.dumps({"key": secret}),
    }[exchange.argument.removesuffix("-gzip")]
    body = text.encode()
    lines = [("X-Echo", text), (f"X-{secret}", "name"), ("Set-Cookie", f"key={secret}")]
    if exchange.argument.endswith("-gzip"):
        body = gzip.compress(body)
        lines.append(("Content-Encoding", "gzip"))
    exchange.answer(body, 401, *lines)
    return True


async def _coded(exchange: Exchange) -> bool:
    """Answer with the request's body under the Content-Encoding that the argument names."""
    exchange.answer(exchange.received.body, 200, ("Content-Encoding", exchange.argument))
    return True


async def _hop(exchange: Exchange) -> bool:
    exchange.answer(
        b"ok",
        200,
        *(("Connection", "x-internal"), ("X-Internal", "1"), ("Keep-Alive", "timeout=5")),
        *(("Set-Cookie", "a=b"), ("X-Kept", "1"), ("X-Kept", "2"), ("Alt-Svc", "h3")),
    )
    return True


async def _sse(exchange: Exchange) -> bool:
    """Send an event at once and one for each ``release``; notice when the caller hangs up.

    The argument is how many events there are.
    """
    exchange.head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
    for number in range(int(exchange.argument)):
        event = f"data: {number}\n\n".encode()
        exchange.writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await exchange.writer.drain()
        if not await _released(exchange):
            return False
    exchange.writer.write(b"0\r\n\r\n")
    return True


async def _released(exchange: Exchange) -> bool:
    """Wait for ``release``; False (and ``gone`` is set) when the peer hung up before it."""
    upstream = exchange.upstream
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(exchange.reader.read(1))
        going = group.create_task(upstream.release.wait())
        done, _ = await asyncio.wait({ended, going}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, going):
            task.cancel()
    upstream.release.clear()
    if ended in done:
        upstream.gone.set()
    return going in done


async def _cookies(exchange: Exchange) -> bool:
    exchange.answer(b"ok", 200, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"))
    return True


async def _dated(exchange: Exchange) -> bool:
    date = ("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
    exchange.answer(b"ok", 200, date, ("X-Assentry-Request", "req_of_another"))
    return True


async def _early(exchange: Exchange) -> bool:
    """Send hints first, as an answer that is none."""
    exchange.head(103, ("Link", "</style.css>; rel=preload"))
    exchange.answer(b"the answer", 200, ("X-Kept", "1"))
    return True


async def _trailers(exchange: Exchange) -> bool:
    exchange.head(200, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum"))
    exchange.writer.write(b"5\r\nfirst\r\n0\r\nX-Sum: 1\r\n\r\n")
    return True


async def _cut_later(exchange: Exchange) -> bool:
    """Break off in the middle of an answer that is not small."""
    exchange.head(200, ("Content-Length", "200000"))
    exchange.writer.write(bytes(100_000))
    await exchange.writer.drain()
    return False


Behaviour = Callable[[Exchange], Awaitable[bool]]
_BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "echo": _echo,
    "status": _status,
    "slow": _slow,
    "truncated": _truncated,
    "truncated-chunks": _truncated_chunks,
    "until-close": _until_close,
    "until-cut": _until_cut,
    "redirect": _redirect,
    "drop": _drop,
    "answer-then-drop": _answer_then_drop,
    "reset": _reset,
    "garbage": _garbage,
    "two-lengths": _two_lengths,
    "switch": _switch,
    "huge": _huge,
    "bomb": _bomb,
    "trickle": _trickle,
    "leak": _leak,
    "coded": _coded,
    "hop": _hop,
    "sse": _sse,
    "cookies": _cookies,
    "dated": _dated,
    "early": _early,
    "trailers": _trailers,
    "cut-later": _cut_later,
}


class Authority:
    """A certificate authority for one test, with one server certificate."""

    def __init__(self) -> None:
        """Make both keys and certificates."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), _name("Throw-away authority")
        self._root = _certificate(subject, subject, key, key, None)
        self._key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        self._leaf = _certificate(_name("localhost"), subject, self._key, key, names)

    def client_context(self) -> ssl.SSLContext:
        """Trust this authority alone."""
        pem = self._root.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server_context(self) -> ssl.SSLContext:
        """Show the server certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with tempfile.TemporaryDirectory() as folder:
            chain = Path(folder) / "chain.pem"
            chain.write_bytes(self._leaf.public_bytes(serialization.Encoding.PEM) + key)
            context.load_cert_chain(chain)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())
