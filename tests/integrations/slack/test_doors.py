"""Signatures: only right, fresh and new ones pass, and nothing odd raises (T16)."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clock import SystemClock
from app.core.instant import SECOND, Instant
from integrations.slack.doors import Signatures, parsed

pytestmark = pytest.mark.requirement("CH-1", "T16")

NOW = 1_795_000_000
BODY = b"payload=%7B%7D"


class StoppedClock(SystemClock):
    """A clock that stands until it is set."""

    at = NOW

    def now(self) -> Instant:
        """Return the instant."""
        return Instant(self.at * SECOND)


def proof(when: str = str(NOW), body: bytes = BODY, secret: str = "s") -> str:
    """Return a signature as Slack makes it."""
    signed = f"v0:{when}:".encode() + body
    return f"v0={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def test_a_right_one_passes_once() -> None:
    doors = Signatures("s", StoppedClock())
    assert doors.admits([str(NOW)], [proof()], BODY)
    assert not doors.admits([str(NOW)], [proof()], BODY)


@pytest.mark.parametrize("seconds", [-301, 301, 86_400, -86_400])
def test_old_and_future_ones_do_not(seconds: int) -> None:
    when = str(NOW + seconds)
    assert not Signatures("s", StoppedClock()).admits([when], [proof(when)], BODY)


def test_wrong_ones_do_not() -> None:
    doors = Signatures("s", StoppedClock())
    when = [str(NOW)]
    assert not doors.admits(when, [proof(secret="t")], BODY)
    assert not doors.admits(when, [proof()], BODY + b"x")
    assert not doors.admits([str(NOW + 1)], [proof()], BODY)
    assert not doors.admits(when, [proof(), proof()], BODY)
    assert not doors.admits(when * 2, [proof()], BODY)
    assert not doors.admits([], [proof()], BODY)
    assert not doors.admits(when, [], BODY)
    assert not doors.admits(when, [proof().upper()], BODY)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_odd_headers_are_refused_and_never_raise(when: str, signature: str) -> None:
    assert not Signatures("s", StoppedClock()).admits([when], [signature], BODY)
    assert not Signatures("s", StoppedClock()).admits([when], [proof()], b"other")
    assert not Signatures("s", StoppedClock()).admits([str(NOW)], [signature], BODY)


def test_the_memory_is_bounded_and_forgets() -> None:
    clock = StoppedClock()
    doors = Signatures("s", clock)
    for number in range(10_050):
        body = str(number).encode()
        assert doors.admits([str(NOW)], [proof(body=body)], body)
    assert len(doors._seen) == 10_000
    clock.at += 601
    when = str(clock.at)
    assert doors.admits([when], [proof(when)], BODY)
    assert len(doors._seen) == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/x", ""]))
def test_a_body_is_an_object_or_refused(body: bytes, kind: str) -> None:
    try:
        found = parsed(body, kind)
    except ValueError:
        return
    assert isinstance(found, dict)


def test_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="not an object"):
        parsed(b'{"a":' * 200_000, "application/json; charset=utf-8")
    assert parsed(b"payload=%7B%22a%22%3A1%7D", "application/x-www-form-urlencoded") == {"a": 1}
    assert parsed(b"text=a+b&team_id=T1", "") == {"text": "a b", "team_id": "T1"}
