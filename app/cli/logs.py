"""Setting up logs: structured, with ids, without bodies or secrets (T62)."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from app.settings import Settings

_KEY: Final = re.compile(r"ask_[A-Za-z0-9_-]{16,}")
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings) -> None:
    """Write logs to standard error: text to a terminal, JSON elsewhere, or as set."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_keys,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")


def _without_keys(
    _logger: Any, _name: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace API keys, wherever they may have slipped in."""
    for name, value in entry.items():
        if isinstance(value, str) and "ask_" in value:
            entry[name] = _KEY.sub("ask_[redacted]", value)
    return entry
