"""The kind that shows a client certificate in the TLS handshake (RFC 8446 section 4.4.2)."""

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.credentials.base import Field, Kind, refuse
from app.core.credentials.keys import private_key
from app.core.instant import Instant
from app.core.outcome import ClientCertificate, Injection


def _build(fields: Mapping[str, str], _now: Instant) -> Injection:
    chain, key = fields["certificate"], private_key("private_key", fields["private_key"])
    try:
        first = x509.load_pem_x509_certificates(chain.encode("ascii"))[0]
        shown = first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError):
        refuse("certificate", "give the certificate as PEM, the chain after it")
    if shown != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        refuse("private_key", "the key is not that of the first certificate")
    return Injection(certificate=ClientCertificate(chain, fields["private_key"]))


KIND: Final = Kind(
    "mtls",
    "a client certificate, in the TLS handshake",
    (
        Field("certificate", "The certificate and the chain after it, as PEM.", lines=True),
        Field("private_key", "The private key, as PEM without a password.", lines=True,
              secret=True),
    ),
    _build,
    lambda _: ("client certificate ",),
)  # fmt: skip
