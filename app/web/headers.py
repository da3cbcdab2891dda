"""Pure ASGI around everything: the Host check (T33), request ids, security headers (T14), bugs."""

import re
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import random_hex
from app.core.errors import Invalid, InvalidFilter
from app.settings import Settings
from app.web.problems import bug, problem, wants_page

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_LOOPBACK: Final = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})

_HEADERS: Final[list[tuple[bytes, bytes]]] = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_REFERRER: Final = b"referrer-policy"
"""A header of ours that a page may set otherwise."""

_NO_STORE: Final = (b"cache-control", b"no-store")

PUT: Final = "assentry.put"
"""The extension of a server (ASGI) that puts the same lines into every head; it takes bytes."""
_NONE: Final[dict[str, Any]] = {}
_HOSTS: Final = 64
"""So many spellings of our own name are remembered; ports make many."""


class WrongHost(Invalid):
    """The Host header does not name this server; ASSENTRY_TRUSTED_HOSTS adds names."""

    code = "wrong_host"


class Guard:
    """Refuses foreign Host headers and adds our headers to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an application."""
        self._app = app
        named = [urlsplit(settings.public_url).hostname or "", settings.host]
        named += [part.strip() for part in settings.trusted_hosts.split(",")]
        self._hosts = _LOOPBACK | {_bracketed(name).encode() for name in named if name}
        self._known = set[bytes]()
        self._headers = list(_HEADERS)
        if settings.secure_cookies:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))
        self._lines = b"".join(b"%b: %b\r\n" % item for item in self._headers)
        self._unstored = self._lines + b"%b: %b\r\n" % _NO_STORE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def add(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._decorate(scope, message)
            await send(message)

        number = scope.setdefault("state", {})["request_id"] = random_hex()
        refused = self._refusal(scope)
        if refused is not None:
            await problem(refused, number)(scope, receive, add)
            return
        try:
            await self._app(scope, receive, add)
        except ClientDisconnect:
            return
        except Exception as error:
            answer = bug(error, number, page=wants_page(scope))
            if started:
                raise
            await answer(scope, receive, add)

    def _refusal(self, scope: Scope) -> Invalid | None:
        if not self._is_ours(scope):
            return WrongHost()
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            return InvalidFilter("an address holds no character NUL")
        return None

    def _is_ours(self, scope: Scope) -> bool:
        found = [value for name, value in scope["headers"] if name == b"host"]
        if len(found) != 1:
            return False
        if found[0] in self._known:
            return True
        match = _HOST.fullmatch(found[0])
        ours = match is not None and match[1].lower() in self._hosts
        if ours and len(self._known) < _HOSTS:
            self._known.add(found[0])
        return ours

    def _decorate(self, scope: Scope, message: MutableMapping[str, Any]) -> None:
        headers: list[tuple[bytes, bytes]] = message["headers"]
        state = scope["state"]
        stored = polite = False
        for name, _ in headers:
            stored = stored or name == b"cache-control"
            polite = polite or name == _REFERRER
        put = scope.get("extensions", _NONE).get(PUT)
        if polite or put is None:
            headers += [item for item in self._headers if item[0] != _REFERRER or not polite]
            if not stored:
                headers.append(_NO_STORE)
        else:
            put(self._lines if stored else self._unstored)
        headers.append((b"x-request-id", state["request_id"].encode()))
        window = state.get("window")
        if window is not None:
            headers += [
                (b"x-ratelimit-limit", str(window.limit).encode()),
                (b"x-ratelimit-remaining", str(window.remaining).encode()),
                (b"x-ratelimit-reset", str(window.reset_seconds).encode()),
            ]


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name.lower()
