"""Signatures with a shared secret: over which parts, and how they are written."""

import base64
import hashlib
import hmac
from typing import Final

import pytest

from app.core.credentials import build_injection, check_fields
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import CallParts

pytestmark = pytest.mark.requirement("GW-3")

NOW: Final = Instant(1_440_938_160_123_456)
SECRET: Final = "shared-secret-1"
CALL: Final = CallParts("POST", "api.example.com", "/v1/a", "x=1", (), b"body")


def headers(**fields: str) -> dict[str, str]:
    injection = build_injection("hmac", {"secret": SECRET, **fields}, NOW)
    assert injection.sign is not None
    signed = injection.sign(CALL)
    assert injection.secrets == (SECRET,)
    assert any(value.endswith(signed.secrets[0]) for _, value in signed.headers)
    return dict(signed.headers)


def test_the_usual_form() -> None:
    digest = hashlib.sha256(b"body").hexdigest()
    text = f"1440938160\nPOST\n/v1/a?x=1\n{digest}".encode()
    assert headers() == {
        "x-signature": hmac.new(SECRET.encode(), text, "sha256").hexdigest(),
        "x-timestamp": "1440938160",
    }


def test_everything_chosen() -> None:
    made = headers(
        algorithm="sha512", encoding="base64", parts="key_id, timestamp,host,body",
        separator="dot", prefix="v1=", signature_header="X-Sign", timestamp_header="X-When",
        timestamp_format="iso", key_id="k9", key_id_header="X-Who",
    )  # fmt: skip
    text = b"k9.2015-08-30T12:36:00Z.api.example.com.body"
    value = base64.b64encode(hmac.new(SECRET.encode(), text, "sha512").digest()).decode()
    assert made == {"x-sign": f"v1={value}", "x-when": "2015-08-30T12:36:00Z", "x-who": "k9"}


def test_the_body_alone_needs_no_timestamp() -> None:
    text = hmac.new(SECRET.encode(), b"body", "sha256").hexdigest()
    assert headers(parts="body", prefix="sha256=") == {"x-signature": f"sha256={text}"}
    assert headers(timestamp_format="milliseconds")["x-timestamp"] == "1440938160123"


def test_it_says_whether_it_needs_the_body() -> None:
    for parts, needs in (("method,path", False), ("body", True), ("timestamp,body_digest", True)):
        made = build_injection("hmac", {"secret": SECRET, "parts": parts}, NOW)
        assert made.signs_body is needs


def test_the_headers_are_shown() -> None:
    fields = {"secret": SECRET, "signature_header": "X-Hub-Signature", "key_id": "k"}
    assert check_fields("hmac", fields) == ("X-Hub-Signature: ", "X-Timestamp: ", "X-Key-Id: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("algorithm", "md5"), ("encoding", "hexa"), ("separator", "."), ("timestamp_format", "x"),
     ("parts", "method,method"), ("parts", "cookie"), ("parts", ""), ("parts", "key_id"),
     ("prefix", "ä"), ("key_id", "ä"), ("signature_header", "Host"),
     ("timestamp_header", "content_length"), ("signature_header", "X-Timestamp")],
)  # fmt: skip
def test_bad_fields_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidField) as refused:
        build_injection("hmac", {"secret": SECRET, name: value}, NOW)
    assert refused.value.pointer == f"/fields/{name}"
