"""The kind that signs parts of a call with a shared secret (HMAC, RFC 2104)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from app.core.credentials.base import Field, Kind, choice, refuse, sendable_header
from app.core.instant import SECOND, Instant, to_datetime
from app.core.outcome import CallParts, Injection, Signed
from app.core.paths import header_value

ALGORITHMS: Final = ("sha256", "sha512")
PARTS: Final = ("timestamp", "method", "host", "path", "body", "body_digest", "key_id")
SEPARATORS: Final = {"newline": "\n", "dot": ".", "colon": ":", "none": ""}
_PARTS: Final = "timestamp,method,path,body_digest"
_BODY: Final = frozenset({"body", "body_digest"})
_HEADERS: Final = {
    "signature_header": "X-Signature",
    "timestamp_header": "X-Timestamp",
    "key_id_header": "X-Key-Id",
}


def _build(fields: Mapping[str, str], now: Instant) -> Injection:
    parts = _parts(fields)
    for name in ("algorithm", "encoding", "separator", "timestamp_format"):
        _word(fields, name)
    for name in ("prefix", "key_id"):
        if header_value(fields.get(name, "")) is None:
            refuse(name, "use plain ASCII")
    headers = _lines(fields)
    if len({name for name, _ in headers}) < len(headers):
        refuse("signature_header", "two of the headers have the same name")
    return Injection(
        sign=lambda call: _sign(fields, parts, now, call),
        signs_body=bool(_BODY & set(parts)),
        secrets=(fields["secret"],),
    )


_WORDS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "algorithm": (ALGORITHMS, "sha256"),
    "encoding": (("hex", "base64"), "hex"),
    "separator": (tuple(SEPARATORS), "newline"),
    "timestamp_format": (("seconds", "milliseconds", "iso"), "seconds"),
}


def _word(fields: Mapping[str, str], name: str) -> str:
    return choice(fields, name, *_WORDS[name])


def _parts(fields: Mapping[str, str]) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in fields.get("parts", _PARTS).split(","))
    if not set(parts) <= set(PARTS) or len(set(parts)) < len(parts):
        refuse("parts", f"list some of {', '.join(PARTS)}, each once")
    if "key_id" in parts and "key_id" not in fields:
        refuse("parts", "give the field key_id, for it is signed")
    return parts


def _lines(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers by what they carry: the name of the header, and of the field."""
    wanted = ["signature_header"]
    if "timestamp" in _parts(fields):
        wanted.append("timestamp_header")
    if "key_id" in fields:
        wanted.append("key_id_header")
    return [(sendable_header(name, fields.get(name, _HEADERS[name])), name) for name in wanted]


def _sign(
    fields: Mapping[str, str], parts: tuple[str, ...], now: Instant, call: CallParts
) -> Signed:
    algorithm, stamp = _word(fields, "algorithm"), _stamp(fields, now)
    texts: dict[str, bytes] = {
        "timestamp": stamp.encode(),
        "method": call.method.encode(),
        "host": call.authority.encode(),
        "path": (f"{call.path}?{call.query}" if call.query else call.path).encode(),
        "body": call.body,
        "body_digest": hashlib.new(algorithm, call.body).hexdigest().encode(),
        "key_id": fields.get("key_id", "").encode(),
    }
    separator = SEPARATORS[_word(fields, "separator")].encode()
    data = separator.join(texts[part] for part in parts)
    made = hmac.digest(fields["secret"].encode(), data, algorithm)
    hexadecimal = _word(fields, "encoding") == "hex"
    signature = made.hex() if hexadecimal else base64.b64encode(made).decode()
    values = {
        "signature_header": fields.get("prefix", "") + signature,
        "timestamp_header": stamp,
        "key_id_header": fields.get("key_id", ""),
    }
    return Signed(tuple((name, values[what]) for name, what in _lines(fields)), (signature,))


def _stamp(fields: Mapping[str, str], now: Instant) -> str:
    match _word(fields, "timestamp_format"):
        case "seconds":
            return str(now // SECOND)
        case "milliseconds":
            return str(now * 1000 // SECOND)
        case _:
            return to_datetime(now).strftime("%Y-%m-%dT%H:%M:%SZ")


KIND: Final = Kind(
    "hmac",
    "a signature of parts of the call with a shared secret, in a header",
    (
        Field("secret", "The shared secret.", secret=True),
        Field("algorithm", "sha256 (usual) or sha512.", required=False),
        Field("parts", f"What is signed, in order: some of {', '.join(PARTS)}.", required=False),
        Field("separator", "Between the parts: newline (usual), dot, colon or none.",
              required=False),
        Field("encoding", "Of the signature: hex (usual) or base64.", required=False),
        Field("prefix", "Before the signature, such as sha256=", required=False),
        Field("signature_header", "X-Signature unless given.", required=False),
        Field("timestamp_header", "X-Timestamp unless given.", required=False),
        Field("timestamp_format", "seconds (usual), milliseconds or iso.", required=False),
        Field("key_id", "Names the secret, where the service wants that.", required=False),
        Field("key_id_header", "X-Key-Id unless given.", required=False),
    ),
    _build,
    lambda fields: tuple(f"{_shown(name)}: " for name, _ in _lines(fields)),
)  # fmt: skip


def _shown(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
