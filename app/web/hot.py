"""The hot doors, answered before the framework's router looks at its routes (D6).

Their routes stand in the router as well: for other methods, the document and the tests.
"""

from functools import lru_cache
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import AssentryError
from app.web import gateway
from app.web.api import requests
from app.web.contract import Handler
from app.web.problems import on_error

_NAMES: Final = 256
_HOME: Final = "/api/requests"
_BELOW: Final = f"{_HOME}/"

_ALL: Final[dict[str, Handler]] = {"GET": requests.page, "POST": requests.create}
_ONE: Final[dict[tuple[str, str], Handler]] = {
    ("GET", ""): requests.get,
    ("POST", "decide"): requests.decide,
}


@lru_cache(_NAMES)
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1")


class _Headers(Headers):
    """Headers that are looked up in an index; of several of one name the first counts."""

    def __init__(self, scope: Scope) -> None:
        self._list: list[tuple[bytes, bytes]] = scope["headers"]
        self._index: dict[bytes, bytes] = dict(reversed(self._list))

    def get(self, key: str, default: Any = None) -> Any:
        found = self._index.get(_encoded(key))
        return default if found is None else found.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        if len(self._index) < len(self._list):
            return super().getlist(key)
        found = self._index.get(_encoded(key))
        return [] if found is None else [found.decode("latin-1")]


class _Call(Request):
    """A call of a hot door."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._headers = _Headers(scope)


class Hot:
    """Calls the handlers of hot doors by method and path alone."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application, which gets all other calls."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        handler = _handler(scope) if scope["type"] == "http" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        request = _Call(scope, receive, send)
        try:
            response = await handler(request)
        except AssentryError as error:
            response = await on_error(request, error)
        await response(scope, receive, send)


def _handler(scope: Scope) -> Handler | None:
    path: str = scope["path"]
    if path.startswith(gateway.HOME):
        return gateway.call
    if path == _HOME:
        return _ALL.get(scope["method"])
    if not path.startswith(_BELOW):
        return None
    request_id, slash, what = path[len(_BELOW) :].partition("/")
    handler = _ONE.get((scope["method"], what))
    if handler is None or not request_id or (slash and not what):
        return None
    scope["path_params"] = {"request_id": request_id}
    return handler
