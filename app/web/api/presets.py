"""Presets of services."""

from starlette.requests import Request
from starlette.responses import Response

from app.web.api.replies import reply
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_presets import PresetList, PresetOut


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = services_of(request).presets.list(caller)
    return reply(PresetList(items=[PresetOut.of(preset) for preset in found]))
