"""Tokens made for each call, verified with the public half."""

import base64
import hmac
import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.core.credentials import build_injection
from app.core.errors import InvalidField
from app.core.instant import Instant

pytestmark = pytest.mark.requirement("GW-3")

NOW: Final = Instant(1_440_938_160_500_000)
SECRET: Final = "0123456789abcdef-0123456789abcdef"
EC: Final = ec.generate_private_key(ec.SECP256R1())
RSA: Final = rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def made(**fields: str) -> tuple[Any, Any, bytes, bytes]:
    """Return head, claims, what was signed, and the signature."""
    injection = build_injection("jwt", fields, NOW)
    ((name, value),) = injection.headers
    scheme, token = value.split(" ")
    assert (name, scheme) == ("authorization", "Bearer")
    head, claims, signature = token.split(".")
    assert injection.secrets == (token, signature)
    return (json.loads(decoded(head)), json.loads(decoded(claims)),
            f"{head}.{claims}".encode(), decoded(signature))  # fmt: skip


def test_the_claims_are_those_of_the_credential_and_the_clock() -> None:
    head, claims, _, _ = made(
        key=pem(EC), issuer="app-1", subject="s", audience="https://api.example.com",
        key_id="k1", lifetime="600", claims='{"scope":["a","b"],"n":1}',
    )  # fmt: skip
    assert head == {"alg": "ES256", "typ": "JWT", "kid": "k1"}
    assert claims == {
        "scope": ["a", "b"], "n": 1, "iss": "app-1", "sub": "s",
        "aud": "https://api.example.com", "iat": 1_440_938_160, "exp": 1_440_938_760,
    }  # fmt: skip


def test_es256() -> None:
    _, claims, data, signature = made(key=pem(EC))
    assert claims["exp"] - claims["iat"] == 300 and len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    EC.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


def test_rs256() -> None:
    head, _, data, signature = made(key=pem(RSA), algorithm="RS256")
    assert head["alg"] == "RS256"
    RSA.public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def test_hs256() -> None:
    _, _, data, signature = made(key=SECRET, algorithm="HS256")
    assert signature == hmac.digest(SECRET.encode(), data, "sha256")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"key": "no key at all"}, "key"),
        ({"key": pem(RSA)}, "key"),
        ({"key": pem(EC), "algorithm": "RS256"}, "key"),
        ({"key": pem(ec.generate_private_key(ec.SECP384R1()))}, "key"),
        ({"key": "short-secret", "algorithm": "HS256"}, "key"),
        ({"key": SECRET, "algorithm": "none"}, "algorithm"),
        ({"key": SECRET, "algorithm": "HS256", "lifetime": "0"}, "lifetime"),
        ({"key": SECRET, "algorithm": "HS256", "lifetime": "3601"}, "lifetime"),
        ({"key": SECRET, "algorithm": "HS256", "lifetime": "1e3"}, "lifetime"),
        ({"key": SECRET, "algorithm": "HS256", "claims": "[]"}, "claims"),
        ({"key": SECRET, "algorithm": "HS256", "claims": '{"exp":9}'}, "claims"),
        ({"key": SECRET, "algorithm": "HS256", "claims": "{"}, "claims"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidField) as refused:
        build_injection("jwt", fields, NOW)
    assert refused.value.pointer == f"/fields/{pointer}"
    assert fields["key"] not in refused.value.detail


def test_a_weak_rsa_key_is_refused() -> None:
    weak = pem(rsa.generate_private_key(65537, 1024))
    with pytest.raises(InvalidField, match="2048"):
        build_injection("jwt", {"key": weak, "algorithm": "RS256"}, NOW)
