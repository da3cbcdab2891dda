"""AWS Signature Version 4: documented examples, and against a second way of computing it."""

import hashlib
import hmac
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.credentials import build_injection
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import CallParts, Signed

pytestmark = pytest.mark.requirement("GW-3")

NOW: Final = Instant(1_440_938_160_000_000)
"""2015-08-30T12:36:00Z, the time of the documented examples."""

KEY: Final = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "service",
}
"""The documented example key, which opens nothing."""

VANILLA: Final = CallParts("GET", "example.amazonaws.com", "/", "", (), b"")


def signed(parts: CallParts, **fields: str) -> Signed:
    sign = build_injection("aws_sigv4", KEY | fields, NOW).sign
    assert sign is not None
    return sign(parts)


@pytest.mark.parametrize(
    ("parts", "service", "names", "signature"),
    [
        (
            *(VANILLA, "service", "host;x-amz-date"),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            CallParts(
                "GET", "iam.amazonaws.com", "/", "Action=ListUsers&Version=2010-05-08",
                (("content-type", "application/x-www-form-urlencoded; charset=utf-8"),), b"",
            ),
            *("iam", "content-type;host;x-amz-date"),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
)  # fmt: skip
def test_documented_examples(parts: CallParts, service: str, names: str, signature: str) -> None:
    made = signed(parts, service=service)
    assert dict(made.headers) == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, "
            f"SignedHeaders={names}, Signature={signature}"
        ),
    }
    assert made.secrets == (signature,)


def independent(parts: CallParts, service: str, made: Signed) -> str:
    """Compute the signature again, from the plain parts, as the verifying side would."""
    sent = [("host", parts.authority), *parts.headers, *made.headers]
    authorization = dict(made.headers)["authorization"]
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0]
    lines = []
    for wanted in names.split(";"):
        values = [" ".join(value.split()) for name, value in sent if name == wanted]
        lines.append(wanted + ":" + ",".join(values) + "\n")
    digest = hashlib.sha256(parts.body).hexdigest()
    pairs = parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True)
    encoded = sorted((quote(name, "-._~"), quote(value, "-._~")) for name, value in pairs)
    query = "&".join(f"{name}={value}" for name, value in encoded)
    path = unquote(parts.path) if service == "s3" else parts.path
    request = "\n".join([parts.method, quote(path, "/-._~"), query, "".join(lines), names, digest])
    scope = f"20150830/us-east-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", "20150830T123600Z", scope,
                      hashlib.sha256(request.encode()).hexdigest()])  # fmt: skip
    key = ("AWS4" + KEY["secret_access_key"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


WORDS = st.text(alphabet="ab%Z é/&=+~$!'", max_size=6)


@given(
    segments=st.lists(WORDS, max_size=3),
    pairs=st.lists(st.tuples(WORDS.filter(bool), WORDS), max_size=4),
    service=st.sampled_from(["s3", "execute-api"]),
    body=st.binary(max_size=20),
)
def test_a_second_computation_agrees(
    segments: list[str], pairs: list[tuple[str, str]], service: str, body: bytes
) -> None:
    path = "/" + "/".join(quote(part, "!$'~") for part in segments)
    query = "&".join(f"{quote(name, '')}={quote(value, '$')}" for name, value in pairs)
    headers = (("x-amz-target", "a  b"), ("accept", "x"), ("content-type", "text/plain"))
    parts = CallParts("PUT", "api.example.com:8443", path, query, headers, body)
    made = signed(parts, service=service)
    assert made.secrets == (independent(parts, service, made),)
    names = dict(made.headers)["authorization"].partition("SignedHeaders=")[2]
    assert names.startswith("content-type;host;x-amz-")
    assert ("x-amz-content-sha256" in names) == (service == "s3")


def test_every_part_of_the_call_is_covered() -> None:
    base = replace(VANILLA, headers=(("content-type", "a/b"), ("x-amz-acl", "private")))
    others = [
        replace(base, method="PUT"), replace(base, authority="x.example.com"),
        replace(base, path="/x"), replace(base, query="a=1"), replace(base, body=b"x"),
        replace(base, headers=(("content-type", "a/c"), ("x-amz-acl", "private"))),
        replace(base, headers=(("content-type", "a/b"), ("x-amz-acl", "public-read"))),
    ]  # fmt: skip
    assert len({signed(parts).secrets for parts in (base, *others)}) == len(others) + 1


def test_a_session_token_is_sent_signed_and_secret() -> None:
    made = build_injection("aws_sigv4", KEY | {"session_token": "temporary-token"}, NOW)
    assert set(made.secrets) == {KEY["secret_access_key"], "temporary-token"}
    sent = dict(signed(VANILLA, session_token="temporary-token").headers)
    assert sent["x-amz-security-token"] == "temporary-token"
    assert "x-amz-security-token" in sent["authorization"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("region", ""), ("region", "a/b"), ("service", "a b"), ("access_key_id", "a\tb"),
     ("secret_access_key", "short"), ("session_token", "tökentöken")],
)  # fmt: skip
def test_bad_fields_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidField) as refused:
        build_injection("aws_sigv4", KEY | {name: value}, NOW)
    assert refused.value.pointer == f"/fields/{name}"
