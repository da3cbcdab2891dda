"""What is put together from the approved call and the vault: order, refusals, signatures."""

import json
from typing import Any, Final

import pytest

from app.core.credentials import build_injection
from app.core.instant import Instant
from app.core.outcome import ClientCertificate, HttpPlan, Injection, NotStarted
from workers.executors.composing import compose
from workers.executors.http_call import Call

NOW: Final = Instant(1_440_938_160_000_000)
AWS: Final = {
    "access_key_id": "AKIDEXAMPLE", "secret_access_key": "a-secret-of-a-test",
    "region": "us-east-1", "service": "execute-api",
}  # fmt: skip
JSON: Final = (("content-type", "application/json"),)


def composed(injection: Injection, **plan: Any) -> Call:
    values: dict[str, Any] = {
        "method": "POST", "base_url": "https://api.example.com/v1", "path": "/a", "query": "",
        "headers": (), "body": b"",
    }  # fmt: skip
    return compose(HttpPlan(**values | plan), injection, 1000)


@pytest.mark.requirement("GW-3")
def test_body_fields_are_added_and_never_overwrite() -> None:
    injection = build_injection("body", {"auth.key": "key-of-a-test"}, NOW)
    call = composed(injection, headers=JSON, body=b'{"n": 1.0}')
    assert call.body == b'{"n": 1.0,"auth":{"key":"key-of-a-test"}}'
    assert call.secrets == ("key-of-a-test",)
    for body in (b"", b"[1]", b"a=1", b'{"auth":{"key":"mine"}}', b'{"auth":"x"}'):
        with pytest.raises(NotStarted) as refused:
            composed(injection, body=body)
        assert refused.value.code == "invalid_action" and not refused.value.retryable


@pytest.mark.requirement("GW-3")
def test_a_signature_covers_what_is_sent_and_replaces_the_agents() -> None:
    injection = build_injection("aws_sigv4", AWS, NOW)
    agents = (("x-amz-date", "19700101T000000Z"), ("x-amz-target", "T"))
    call = composed(injection, query="b=2&a=1", headers=agents, body=b"x")
    names = [name for name, _ in call.headers]
    assert names.count("x-amz-date") == 1 and names[-1] == "authorization"
    value = dict(call.headers)["authorization"]
    assert "SignedHeaders=host;x-amz-date;x-amz-target" in value
    signature = value.rpartition("=")[2]
    assert call.secrets == ("a-secret-of-a-test", signature)
    other = composed(injection, query="b=2&a=1", headers=agents, body=b"y")
    assert dict(other.headers)["authorization"].rpartition("=")[2] != signature


@pytest.mark.requirement("GW-3")
def test_a_client_certificate_is_for_https_alone() -> None:
    injection = Injection(certificate=ClientCertificate("chain", "key"))
    assert composed(injection).certificate == injection.certificate
    with pytest.raises(NotStarted, match="https"):
        composed(injection, base_url="http://api.example.com")


@pytest.mark.requirement("VLT-2")
def test_handles_are_filled_in_and_checked() -> None:
    values = (("default/shop.token", 'to"ken&1'),)
    call = composed(
        Injection(handles=values, secrets=('to"ken&1',)),
        query="k=%7B%7Bdefault/shop.token%7D%7D",
        headers=(*JSON, ("x-key", "{{default/shop.token}}")),
        body=b'{"a":"{{default/shop.token}}"}',
    )
    assert call.target == "/v1/a?k=to%22ken%261"
    assert dict(call.headers)["x-key"] == 'to"ken&1'
    assert json.loads(call.body) == {"a": 'to"ken&1'}
    with pytest.raises(NotStarted, match="no value"):
        composed(Injection(), headers=(("x-key", "{{default/shop.token}}"),))
    bad = Injection(handles=(("default/shop.token", "a\r\nHost: evil"),))
    with pytest.raises(NotStarted, match="header") as refused:
        composed(bad, headers=(("x-key", "{{default/shop.token}}"),))
    assert "evil" not in refused.value.detail
