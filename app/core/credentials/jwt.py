"""The kind that makes a JSON Web Token for each call (RFC 7519, RFC 7515)."""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from app.core.credentials.base import Field, Kind, choice, refuse
from app.core.credentials.keys import private_key
from app.core.errors import MalformedJson
from app.core.instant import SECOND, Instant
from app.core.outcome import Injection
from app.core.strict_json import parse_json

ALGORITHMS: Final = ("ES256", "RS256", "HS256")
MAX_LIFETIME: Final = 3600
_LIFETIME: Final = "300"
_P256_BYTES: Final = 32
_HS256_BYTES: Final = 32
_NAMED: Final = {"issuer": "iss", "subject": "sub", "audience": "aud"}
_OURS: Final = frozenset({*_NAMED.values(), "iat", "exp"})


def _build(fields: Mapping[str, str], now: Instant) -> Injection:
    algorithm = choice(fields, "algorithm", ALGORITHMS, "ES256")
    head = {"alg": algorithm, "typ": "JWT"}
    if "key_id" in fields:
        head["kid"] = fields["key_id"]
    signed = f"{_part(head)}.{_part(_claims(fields, now))}"
    signature = _base64url(_signature(algorithm, fields["key"], signed.encode()))
    token = f"{signed}.{signature}"
    return Injection(headers=(("authorization", f"Bearer {token}"),), secrets=(token, signature))


def _claims(fields: Mapping[str, str], now: Instant) -> dict[str, object]:
    issued = now // SECOND
    claims: dict[str, object] = {
        claim: fields[name] for name, claim in _NAMED.items() if name in fields
    }
    return {**_extra(fields), **claims, "iat": issued, "exp": issued + _lifetime(fields)}


def _lifetime(fields: Mapping[str, str]) -> int:
    text = fields.get("lifetime", _LIFETIME)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= MAX_LIFETIME:
        refuse("lifetime", f"give a number of seconds from 1 to {MAX_LIFETIME}")
    return int(text)


def _extra(fields: Mapping[str, str]) -> dict[str, object]:
    try:
        found = parse_json(fields.get("claims", "{}").encode())
    except MalformedJson:
        found = None
    if not isinstance(found, dict) or _OURS & set(found):
        refuse("claims", f"give a JSON object without {', '.join(sorted(_OURS))}")
    return dict(found)


def _signature(algorithm: str, key: str, data: bytes) -> bytes:
    if algorithm == "HS256":
        if len(key.encode()) < _HS256_BYTES:
            refuse("key", f"a secret for HS256 has at least {_HS256_BYTES} bytes (RFC 7518)")
        return hmac.digest(key.encode(), data, "sha256")
    private = private_key("key", key)
    if algorithm == "RS256":
        if not isinstance(private, rsa.RSAPrivateKey):
            refuse("key", "RS256 needs an RSA key")
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        refuse("key", "ES256 needs a key on the curve P-256")
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def _part(document: Mapping[str, object]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


KIND: Final = Kind(
    "jwt",
    "a JSON Web Token, made for each call, as Authorization: Bearer",
    (
        Field("key", "The private key as PEM; for HS256 the secret.", secret=True, lines=True),
        Field("algorithm", "ES256 (usual), RS256 or HS256.", required=False),
        Field("issuer", "The claim iss.", required=False),
        Field("subject", "The claim sub.", required=False),
        Field("audience", "The claim aud.", required=False),
        Field("key_id", "The header's kid.", required=False),
        Field("lifetime", f"Seconds, {_LIFETIME} unless given.", required=False),
        Field("claims", "Further claims, as a JSON object.", required=False),
    ),
    _build,
    lambda _: ("Authorization: Bearer JWT ",),
)
