"""The tests' own fence around the machine."""

import socket

import pytest

from tests.support.network import OutsideError, is_local


def test_nothing_outside_is_reached() -> None:
    with socket.socket() as outside, pytest.raises(OutsideError):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(OutsideError):
        socket.getaddrinfo("upstream.example", 80)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), (None, True),
     (b"localhost", True), ("10.0.0.1", False), ("example.org", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_is_local(host: object, local: bool) -> None:
    assert is_local(host) is local
