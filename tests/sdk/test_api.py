"""Calls by the commands: no key, no server, something else there, a redirect: each said plainly."""

import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assentry.api import Api, Refused
from tests.support.server import free_port

pytestmark = pytest.mark.requirement("DEC-1")


@contextmanager
def answering(status: int, body: bytes, *headers: tuple[str, str]) -> Generator[list[str]]:
    """Answer every call alike; give the address and then what was asked."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        seen.append(f"http://127.0.0.1:{server.server_port}")
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


def refusal(api: Api) -> Refused:
    with pytest.raises(Refused) as caught:
        api.call("GET", "/x")
    return caught.value


def test_an_answer_and_a_problem() -> None:
    with answering(200, b'{"a": 1}') as seen:
        assert Api(seen[0], "k").call("GET", "/x") == {"a": 1}
        assert seen[1:] == ["/x Bearer k"]
    with answering(409, b'{"code": "already_decided", "detail": "It is."}') as seen:
        told = refusal(Api(seen[0], "k"))
    assert (told.code, told.detail, told.answered) == ("already_decided", "It is.", 409)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (502, b"Bad gateway"), (500, b"[]")]
)
def test_something_else_answers(status: int, body: bytes) -> None:
    with answering(status, body) as seen:
        assert refusal(Api(seen[0], "k")).code == "not_an_answer"


def test_the_key_goes_nowhere_else() -> None:
    with (
        answering(200, b"{}") as other,
        answering(307, b"", ("Location", f"{other[0]}/taken")) as seen,
    ):
        assert refusal(Api(seen[0], "k")).answered == 307
        assert other[1:] == []


def test_nobody_answers() -> None:
    told = refusal(Api(f"http://127.0.0.1:{free_port()}", "k"))
    assert told.code == "unreachable"
    assert "does not answer" in told.detail


def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset all that says where the server is and who asks."""
    for name in ("URL", "KEY", "KEY_FILE", "HOST", "PORT"):
        monkeypatch.delenv(f"ASSENTRY_{name}", raising=False)


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("", "8770", "http://127.0.0.1:8770"),
        ("0.0.0.0", "", "http://127.0.0.1:8700"),
        ("192.0.2.7", "80", "http://192.0.2.7:80"),
        ("::1", "", "http://[::1]:8700"),
        ("::", "", "http://127.0.0.1:8700"),
    ],
)
def test_without_an_address_it_asks_where_the_server_listens(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, url: str
) -> None:
    bare(monkeypatch)
    for name, value in (("KEY", "own"), ("HOST", host), ("PORT", port)):
        monkeypatch.setenv(f"ASSENTRY_{name}", value)
    assert Api.from_environment().url == url


def test_key_and_address_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare(monkeypatch)
    with pytest.raises(Refused, match="Set ASSENTRY_KEY"):
        Api.from_environment()
    monkeypatch.setenv("ASSENTRY_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(Refused, match="cannot read"):
        Api.from_environment()
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("ASSENTRY_KEY_FILE", str(tmp_path / "key"))
    assert Api.from_environment() == Api("http://127.0.0.1:8700", "from-file")
    monkeypatch.setenv("ASSENTRY_KEY", "own")
    with pytest.raises(Refused, match="both set") as two:
        Api.from_environment()
    assert two.value.code == "two_keys"
    monkeypatch.delenv("ASSENTRY_KEY_FILE")
    monkeypatch.setenv("ASSENTRY_URL", "https://gate.example.org/")
    assert Api.from_environment() == Api("https://gate.example.org", "own")
    assert "own" not in repr(Api.from_environment())
    monkeypatch.setenv("ASSENTRY_URL", "file:///etc/passwd")
    with pytest.raises(Refused, match="ASSENTRY_URL"):
        Api.from_environment()
