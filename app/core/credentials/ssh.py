"""The kinds that log in at SSH hosts: a key, a key with a certificate, a password."""

import hashlib
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
)

from app.core.credentials.base import Field, Kind, refuse
from app.core.instant import Instant
from app.core.outcome import Injection
from app.core.redaction import MIN_SECRET_LENGTH
from app.core.ssh_plan import SshIdentity

_OPENSSH: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
_MOST_READ: Final = 1024
_READ: Final = set[bytes]()
"""Digests of the keys, with their passphrases, that were read once."""


def _key(fields: Mapping[str, str], _now: Instant) -> Injection:
    key, passphrase = fields["private_key"], fields.get("passphrase", "")
    _check_key(key, passphrase)
    return _injection(SshIdentity(private_key=key, passphrase=passphrase))


def _certificate(fields: Mapping[str, str], _now: Instant) -> Injection:
    key, passphrase = fields["private_key"], fields.get("passphrase", "")
    _check_key(key, passphrase)
    certificate = fields["certificate"].strip()
    try:
        found = load_ssh_public_identity(certificate.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        refuse("certificate", "give a certificate as ssh-keygen writes it to a -cert.pub file")
    if not hasattr(found, "serial"):
        refuse("certificate", "that is a public key without a signature")
    return _injection(SshIdentity(key, passphrase, certificate))


def _password(fields: Mapping[str, str], _now: Instant) -> Injection:
    return _injection(SshIdentity(password=fields["password"]))


def _check_key(key: str, passphrase: str) -> None:
    """Read a key, once in a process: an RSA key or a passphrase takes a fifth of a second."""
    digest = hashlib.sha256(f"{key}\0{passphrase}".encode()).digest()
    if digest in _READ:
        return
    password = passphrase.encode() or None
    load = load_ssh_private_key if _OPENSSH in key else load_pem_private_key
    try:
        load(key.encode("ascii"), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        refuse("private_key", "give a private key as OpenSSH or PEM writes it, and its passphrase")
    if len(_READ) >= _MOST_READ:
        _READ.clear()
    _READ.add(digest)


def _injection(identity: SshIdentity) -> Injection:
    """Return what logs in, with all that must not be seen: also each line of the key alone."""
    lines = [line.strip() for line in identity.private_key.splitlines() if "-----" not in line]
    parts = (identity.private_key.strip(), identity.passphrase, identity.password, *lines)
    secrets = tuple(dict.fromkeys(part for part in parts if len(part) >= MIN_SECRET_LENGTH))
    return Injection(ssh=identity, secrets=secrets)


_PRIVATE: Final = (
    Field("private_key", "The private key, as in ~/.ssh/id_ed25519.", lines=True, secret=True),
    Field("passphrase", "The key's passphrase, where it has one.", required=False, secret=True),
)
KEY: Final = Kind(
    "ssh_key",
    "a private key, to log in at an SSH host",
    _PRIVATE,
    _key,
    lambda _: ("SSH key ",),
)
CERTIFICATE: Final = Kind(
    "ssh_certificate",
    "a private key with a certificate, to log in at an SSH host",
    (*_PRIVATE, Field("certificate", "The certificate, as in id_ed25519-cert.pub.", lines=True)),
    _certificate,
    lambda _: ("SSH certificate ",),
)
PASSWORD: Final = Kind(
    "ssh_password",
    "a password, to log in at an SSH host",
    (Field("password", "The password.", secret=True),),
    _password,
    lambda _: ("SSH password ",),
)
NAMES: Final = frozenset({KEY.name, CERTIFICATE.name, PASSWORD.name})
"""The kinds that are for SSH hosts, and for nothing else."""
