"""A body that does not have its shape is told what to write, and where."""

import msgspec
import pytest

from app.core.errors import InvalidField
from app.web.bodies import shaped
from app.web.models import DecisionIn, QueueIn, RequestIn
from app.web.models_directory import TargetIn
from app.web.models_notices import WebhookIn

ASKED = {"action": "x"}
WRITE = {"method": "PUT", "path": "/"}


@pytest.mark.requirement("REQ-1")
@pytest.mark.parametrize(
    ("shape", "value", "pointer", "said"),
    [
        (RequestIn, ASKED | {"urgency": "urgent"}, "/urgency", "one of critical, high, low,"),
        (DecisionIn, {"decision": "yes"}, "/decision", "write one of approve, deny"),
        (WebhookIn, {"name": "a", "url": "b", "format": "wakeup"}, "/format", "standard, wake"),
        (RequestIn, ASKED | {"params": "a"}, "/params", "write an object {...}, not a string"),
        (RequestIn, {"action": 1}, "/action", "write a string, not a whole number"),
        (RequestIn, ASKED | {"expires_in": "1"}, "/expires_in", "a whole number or null, not a"),
        (RequestIn, ASKED | {"expires_in": 0}, "/expires_in", "write at least 1"),
        (RequestIn, {"action": "x" * 129}, "/action", "write at most 128 characters"),
        (QueueIn, {"requests": []}, "/requests", "write at least 1 item"),
        (DecisionIn, {"decision": "deny", "digest": "abc"}, "/digest", "64 digits of 0-9 and a-f"),
        (RequestIn, {}, "/action", "action is missing"),
        (QueueIn, {"requests": [{"method": "PUT"}]}, "/requests/0/path", "path is missing"),
        (RequestIn, ASKED | {"ttl": 5}, "/ttl", "known are action, context, expires_in"),
        (TargetIn, {"name": "a", "settings": {"limits": 1}}, "/settings/limits", "known are allow"),
        (TargetIn, {"credential": "c"}, "/credential", "'credentials' or 'credential_id'"),
        (QueueIn, {"requests": [WRITE | {"notes": ""}]}, "/requests/0/notes", "mean 'note'"),
        (QueueIn, {"requests": [WRITE | {"headers": {"a": 1}}]}, "/requests/0/headers/-", "string"),
    ],
)  # fmt: skip
def test_what_to_write_is_said(
    shape: type[msgspec.Struct], value: object, pointer: str, said: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        shaped(value, shape)
    assert refused.value.pointer == pointer
    assert said in refused.value.detail
