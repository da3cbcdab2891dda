"""The application: mounts every door. The only place that knows them all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import AssentryError
from app.core.paths import METHODS
from app.factory import services
from app.services.bundle import Services
from app.settings import Settings
from app.web import gateway, problems
from app.web.api.operations import OPERATIONS
from app.web.contract import openapi, routes
from app.web.headers import Guard
from app.web.hot import Hot
from app.web.sockets import opened_by
from app.web.views import dump
from integrations.links.pages import LinkPages

VERSION = "0.1.0"


class Application(FastAPI):
    """FastAPI, with the guard and the hot doors before everything of the framework (D6)."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """Take the settings beside the framework's options."""
        super().__init__(**options)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; calls go past the framework's own telemetry."""
        if scope["type"] == "websocket":
            scope, receive, send = await opened_by(scope, receive, send)
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Return what serves every call: guard (which answers bugs, too), hot doors, framework."""
        framework = super().build_middleware_stack()
        assert isinstance(framework, ServerErrorMiddleware)
        return Guard(Hot(framework.app), self._settings)


def create_app(settings: Settings, opened: Services | None = None) -> FastAPI:
    """Return the application.

    :param opened: services that are open already (with a worker in the same process); otherwise
        the application opens and closes its own.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        if opened is not None:
            app.state.services = opened
            yield
            return
        async with services(settings) as own:
            app.state.services = own
            _mount_channels(app, own)
            yield

    app = Application(
        settings,
        title="Assentry",
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            AssentryError: problems.on_error,
            HTTPException: problems.on_http_error,
            RequestValidationError: problems.on_validation,
        },
    )
    app.router.routes[:0] = routes(OPERATIONS)
    app.router.routes.append(
        Route(f"{gateway.HOME}{{path:path}}", gateway.call, methods=sorted(METHODS))
    )
    app.router.routes.append(Route("/openapi.json", _openapi, methods=["GET"]))
    _mount_dashboard(app)
    _mount_channels(app, opened)
    return app


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    return openapi(OPERATIONS, title="Assentry", version=VERSION)


async def _openapi(_request: Request) -> Response:
    return Response(dump(document()), media_type="application/json")


def _mount_channels(app: FastAPI, opened: Services | None) -> None:
    """Add the pages of links, and the doors that channels' products call."""
    if opened is None:
        return
    pages = LinkPages(opened.links, opened.links.signer)
    app.router.routes[:0] = pages.routes()
    for inbound in opened.inbounds:
        app.router.routes[:0] = inbound.routes()


def _mount_dashboard(app: FastAPI) -> None:
    if find_spec("app.web.dashboard") is None:
        return
    from app.web.dashboard import mount  # noqa: PLC0415 - an API-only build leaves it out

    mount(app)
