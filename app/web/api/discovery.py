"""What a key may use: as JSON, as a skill for an agent, and as a plain overview."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from app.core.visible import visible
from app.services.discovery import Overview
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models_discovery import DiscoveryOut

FOLDER: Final = Path(__file__).resolve().parent.parent / "markdown"
_MARKDOWN: Final = "text/markdown; charset=utf-8"
_LONGEST: Final = 300


async def index(request: Request) -> Response:
    seen = await _overview(request)
    return _answer(request, msgspec.json.encode(DiscoveryOut.of(seen)), "application/json")


async def skill(request: Request) -> Response:
    return await _page(request, "skill.md")


async def readme(request: Request) -> Response:
    return await _page(request, "readme.md")


async def _page(request: Request, name: str) -> Response:
    seen = await _overview(request)
    text = _environment().get_template(name).render(seen=seen)
    return _answer(request, text.encode(), _MARKDOWN)


async def _overview(request: Request) -> Overview:
    bare(request)
    caller = await caller_of(request)
    return await services_of(request).discovery.overview(caller)


def _answer(request: Request, body: bytes, media_type: str) -> Response:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "vary": "Authorization"}
    known = [item.strip() for item in request.headers.get("if-none-match", "").split(",")]
    if tag in known or f"W/{tag}" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


@cache
def _environment() -> Environment:
    """Return the templates of Markdown; every value in them passes one of the filters below."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=False,  # noqa: S701 - it writes Markdown, where HTML's escapes would be wrong
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = code
    made.filters["quoted"] = quoted
    return made


def code(text: str) -> str:
    """Return a text of people as an inline piece of code: one line that nothing can leave.

    What a reader would not see is written out, and what could end the code is replaced.
    """
    shown = "".join(piece.text for piece in visible(" ".join(str(text).split())).pieces)
    if len(shown) > _LONGEST:
        shown = shown[: _LONGEST - 1] + "…"
    return f"`{shown.replace('`', chr(39))}`"


def quoted(text: str) -> str:
    """Return a text as a string of YAML (which takes those of JSON)."""
    return json.dumps(" ".join(str(text).split()))
