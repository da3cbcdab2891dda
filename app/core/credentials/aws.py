"""The kind that signs a call as AWS wants it: Signature Version 4, in headers."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from app.core.credentials.base import Field, Kind, refuse
from app.core.instant import Instant, to_datetime
from app.core.outcome import CallParts, Injection, Signed
from app.core.paths import header_value

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SAFE: Final = "-._~"
_ALWAYS: Final = ("host", "content-type")


def _build(fields: Mapping[str, str], now: Instant) -> Injection:
    for name, value in fields.items():
        if header_value(value) != value or " " in value:
            refuse(name, "use plain ASCII without blanks")
    for name in ("access_key_id", "region", "service"):
        if not fields[name] or set("/,=") & set(fields[name]):
            refuse(name, "this must not be empty, nor hold a slash, a comma or an equals sign")
    secret, token = fields["secret_access_key"], fields.get("session_token")
    secrets = (secret,) if token is None else (secret, token)
    return Injection(sign=lambda parts: _sign(fields, now, parts), signs_body=True, secrets=secrets)


def _sign(fields: Mapping[str, str], now: Instant, parts: CallParts) -> Signed:
    stamp = to_datetime(now).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(parts.body).hexdigest()
    ours = [("x-amz-date", stamp)]
    if fields["service"] == "s3":
        ours.append(("x-amz-content-sha256", digest))
    if "session_token" in fields:
        ours.append(("x-amz-security-token", fields["session_token"]))
    taken = {name for name, _ in ours}
    lines = [("host", parts.authority), *ours]
    lines += [line for line in parts.headers if _is_signed(line[0]) and line[0] not in taken]
    canonical, names = _canonical(fields["service"], parts, lines, digest)
    scope = f"{stamp[:8]}/{fields['region']}/{fields['service']}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.digest(
        _key(fields, scope), f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}".encode(), "sha256"
    ).hex()
    credential = f"{fields['access_key_id']}/{scope}"
    value = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return Signed((*ours, ("authorization", value)), (signature,))


def _is_signed(name: str) -> bool:
    return name in _ALWAYS or name.startswith("x-amz-")


def _canonical(
    service: str, parts: CallParts, lines: Iterable[tuple[str, str]], digest: str
) -> tuple[str, str]:
    """Return the canonical request and the names of the signed headers."""
    found: dict[str, list[str]] = {}
    for name, value in lines:
        found.setdefault(name, []).append(" ".join(value.split()))
    names = ";".join(sorted(found))
    headers = "".join(f"{name}:{','.join(found[name])}\n" for name in sorted(found))
    path = _path(parts.path, once=service == "s3")
    head = f"{parts.method}\n{path}\n{_query(parts.query)}\n{headers}\n{names}"
    return f"{head}\n{digest}", names


def _path(path: str, *, once: bool) -> str:
    """Return the path encoded once more; S3 alone takes it encoded once."""
    raw = unquote_to_bytes(path) if once else path.encode()
    return quote(raw, safe="/" + _SAFE)


def _query(query: str) -> str:
    pairs = (part.partition("=") for part in query.split("&") if part)
    encoded = sorted((_again(name), _again(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _again(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_SAFE)


def _key(fields: Mapping[str, str], scope: str) -> bytes:
    key = b"AWS4" + fields["secret_access_key"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


KIND: Final = Kind(
    "aws_sigv4",
    f"a signature of the call, as Authorization: {ALGORITHM}",
    (
        Field("access_key_id", "The id of the access key."),
        Field("secret_access_key", "The secret of the access key.", secret=True),
        Field("region", "Such as eu-central-1."),
        Field("service", "Such as s3 or execute-api."),
        Field("session_token", "Of temporary keys.", required=False, secret=True),
    ),
    _build,
    lambda _: (f"Authorization: {ALGORITHM} ",),
)
