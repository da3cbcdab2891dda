"""The secret values of the tests, and the watch that none of them is ever said aloud.

Tests give these values to credentials. The hook below, registered in ``tests/conftest.py``, fails
every test whose captured output or log holds one of them in any form; what child processes of the
product say is captured by the tests' support, which hands it to :func:`hear`.
"""

import base64
import html
import json
import re
from collections.abc import Generator, Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pytest
from markupsafe import escape

CANARY: Final = "canary-9f1d-secret-value"
"""What a credential of a test holds when nothing else is asked of it."""

WILD: Final = 'cnry/9f+Zk=47~q%w&"7d'
"""Looks different in nearly every encoding."""

TAME: Final = "cnry83kd02mvbq61xzpt"
"""May stand in a header's name."""

Place = tuple[str, bytes]
"""Something that was said: where, and what."""


def forms(secret: str) -> set[bytes]:
    """Return how a secret looks, also backwards: raw, and in every encoding that we know of."""
    return {
        form.encode()
        for text in (secret, secret[::-1])
        for form in (*_escaped(text), *_coded(text.encode()))
    }


def _escaped(text: str) -> Iterable[str]:
    """Yield the text as it stands in URLs, HTML, JSON, JSON inside of JSON or HTML, and Python."""
    inner = json.dumps(text)[1:-1]
    in_script = inner.replace("&", "\\u0026").replace("<", "\\u003c").replace("'", "\\u0027")
    yield from (text, inner, json.dumps(inner)[1:-1], in_script, inner.replace("/", "\\/"))
    yield from (html.escape(text), str(escape(text)), repr(text)[1:-1])
    for encoded in (quote(text), quote(text, safe=""), quote_plus(text)):
        yield from (encoded, re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded))
    yield "".join(f"%{byte:02x}" for byte in text.encode())


def _coded(raw: bytes) -> Iterable[str]:
    """Yield hex, and base64 at each alignment inside of a longer text."""
    yield from (raw.hex(), raw.hex().upper())
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + raw).decode()[4 if shift else 0 : -4]


FORMS: Final = frozenset().union(*(forms(secret) for secret in (CANARY, WILD, TAME)))
"""Every form of every secret value of the tests."""


def leaks(places: Iterable[Place], sought: frozenset[bytes] = FORMS) -> list[str]:
    """Return the places in which any of the sought forms of a secret stands."""
    return [f"{name}: {form!r}" for name, data in places for form in sought if form in data]


_heard: list[str] = []


def hear(name: str, said: str) -> None:
    """Take down what a process of the product has said, for the test that is running."""
    _heard.extend(leaks([(name, said.encode())]))


def judge(report: pytest.TestReport) -> None:
    """Fail a report when a secret was said in its phase, by the test or by a process."""
    said = [
        (name, text.encode()) for name, text in report.sections if name.endswith(f" {report.when}")
    ]
    found = [*leaks(said), *_heard]
    _heard.clear()
    if found and not report.failed:
        report.outcome = "failed"
        report.longrepr = "a secret value was said aloud:\n" + "\n".join(found)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, pytest.TestReport]:
    """Judge every test's output once it is captured."""
    report: pytest.TestReport = yield
    judge(report)
    return report
