"""TLS contexts that show a client certificate, without its key ever lying open on a disk."""

import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from app.core.outcome import ClientCertificate

NewContext = Callable[[], ssl.SSLContext]
"""Makes a context that trusts whom TLS trusts here."""

PROTOCOLS: Final = ("http/1.1",)


def showing(certificate: ClientCertificate, new_context: NewContext) -> ssl.SSLContext:
    """Return a context that shows the certificate.

    The library reads certificates from files alone, so the key goes through one that is
    encrypted with a password that nobody keeps.

    :raises ssl.SSLError: certificate and key do not fit.
    """
    password = secrets.token_bytes(24).hex()
    key = load_pem_private_key(certificate.key.encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    context = new_context()
    context.set_alpn_protocols(list(PROTOCOLS))
    with TemporaryDirectory(prefix="assentry-") as folder:
        chain_file, key_file = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain_file.write_text(certificate.chain, encoding="ascii")
        key_file.write_bytes(key)
        context.load_cert_chain(chain_file, key_file, password)
    return context
