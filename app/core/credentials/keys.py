"""Private keys as PEM."""

import hashlib
import warnings
from typing import Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.core.credentials.base import refuse

PrivateKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey

_RSA_BITS = 2048
_MOST_PROVEN: Final = 1024
_PROVEN: Final = set[bytes]()
"""Digests of the keys that were proven to be in order."""


def private_key(field: str, pem: str) -> PrivateKey:
    """Return the key that a PEM text holds.

    :raises InvalidField: with the field's pointer: it is none, has a password, or is too weak.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            key = _loaded(pem.encode("ascii"))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        refuse(field, "give a private key as PEM, without a password")
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey):
        refuse(field, "give an RSA, an EC or an Ed25519 key")
    if isinstance(key, RSAPrivateKey) and key.key_size < _RSA_BITS:
        refuse(field, f"an RSA key has at least {_RSA_BITS} bits")
    return key


def _loaded(pem: bytes) -> PrivateKeyTypes:
    """Return a key; the proof that an RSA key's numbers fit together is made once in a process.

    It takes some hundred times as long as to sign with the key.
    """
    digest = hashlib.sha256(pem).digest()
    key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=digest in _PROVEN)
    if len(_PROVEN) >= _MOST_PROVEN:
        _PROVEN.clear()
    _PROVEN.add(digest)
    return key
