"""Client certificates: shown to the server, and never on another call's connection."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core.credentials import build_injection, check_fields
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import ClientCertificate, NotStarted
from tests.support.upstream import Authority
from workers.executors.http_call import Call
from workers.executors.http_client import HttpClient

pytestmark = pytest.mark.requirement("GW-3")

_ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


def made(name: str) -> ClientCertificate:
    """Return a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    return ClientCertificate(shown.decode(), pem.decode())


ALICE: Final = made("alice")
BOB: Final = made("bob")


@dataclass
class Server:
    """Answers every request, and takes down who asked on which connection."""

    authority: Authority = field(default_factory=Authority)
    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    port: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, who = self.connections, _who(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.seen.append((number, who))
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def client(self) -> HttpClient:
        return HttpClient(ssl_context=self.authority.client_context(),
                          new_context=self.authority.client_context)  # fmt: skip

    def call(self, certificate: ClientCertificate | None) -> Call:
        return Call(
            method="GET", scheme="https", authority=f"127.0.0.1:{self.port}", host="127.0.0.1",
            target="/", headers=(), body=b"", read_bytes=10, connect_seconds=10,
            total_seconds=20, networks=("127.0.0.0/8",), certificate=certificate,
        )  # fmt: skip


def _who(writer: asyncio.StreamWriter) -> str:
    shown: Any = writer.get_extra_info("peercert") or {}
    return "".join(value for ((_, value),) in shown.get("subject", ()))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    context = running.authority.server_context()
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ALICE.chain + BOB.chain)
    listening = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=context)
    running.port = listening.sockets[0].getsockname()[1]
    yield running
    listening.close()


async def mark() -> None:
    """Nothing is to be written down."""


async def test_each_identity_has_its_own_connections(server: Server) -> None:
    client = server.client()
    for certificate in (ALICE, None, BOB, ALICE, None):
        answer = await client.exchange(server.call(certificate), mark)
        assert answer.status == 204
    await client.close()
    assert [who for _, who in server.seen] == ["alice", "", "bob", "alice", ""]
    by_connection = dict(server.seen)
    assert sorted(by_connection.values()) == ["", "alice", "bob"]


async def test_a_key_that_does_not_fit_sends_nothing(server: Server) -> None:
    client = server.client()
    odd = replace(ALICE, key=BOB.key)
    with pytest.raises(NotStarted) as stopped:
        await client.exchange(server.call(odd), mark)
    assert stopped.value.code == "tls_failed" and not server.seen
    await client.close()


def test_the_vault_checks_certificate_and_key() -> None:
    fields = {"certificate": ALICE.chain, "private_key": ALICE.key}
    assert build_injection("mtls", fields, Instant(0)).certificate == ALICE
    assert check_fields("mtls", fields) == ("client certificate ",)
    for changed, pointer in (
        ({"certificate": "no certificate"}, "certificate"),
        ({"certificate": ALICE.key}, "certificate"),
        ({"private_key": "no private key"}, "private_key"),
        ({"private_key": BOB.key}, "private_key"),
    ):
        with pytest.raises(InvalidField) as refused:
            check_fields("mtls", fields | changed)
        assert refused.value.pointer == f"/fields/{pointer}"
        assert "PRIVATE" not in refused.value.detail
