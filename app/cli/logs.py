"""Setting up logs: structured, with ids, without bodies or secrets (T62)."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, cast

import structlog

from app.settings import Settings

HIDDEN: Final = "[redacted]"
"""What stands where a secret or a body would have."""

_SECRET: Final = re.compile(
    r"(?P<key>ask_)[A-Za-z0-9_-]{8,}"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{8,}"
    r"|(?P<query>[?&](?:token|key|secret|password)=)[^&\s\"']+"
    r"|(?P<login>://[^:/@\s]+:)[^@\s]+(?=@)"
)
_NAMES: Final = frozenset(
    {
        "authorization", "body", "cookie", "headers", "params", "password", "payload", "secret",
        "token",
    }
)  # fmt: skip
"""Names under which nothing is logged, whoever tries."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings) -> None:
    """Write logs to standard error: text to a terminal, JSON elsewhere, or as set."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = _LEVELS[settings.log_level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if text
            else structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), handlers=[_Libraries()], force=True
    )  # fmt: skip


def without_secrets(
    _logger: Any, _name: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace secrets and bodies, wherever they may have slipped in."""
    for name, value in entry.items():
        entry[name] = HIDDEN if name.lower() in _NAMES else _clean(value)
    return entry


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(_kept, value)
    if isinstance(value, Mapping):
        given = cast("Mapping[Any, Any]", value)
        return {
            name: HIDDEN if str(name).lower() in _NAMES else _clean(part)
            for name, part in given.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(part) for part in cast("list[Any]", value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(str(value))


def _kept(found: re.Match[str]) -> str:
    """Return what introduces a secret, so that one sees what was there."""
    return "".join(part for part in found.groups() if part) + HIDDEN


class _Stderr:
    """Writes lines to whatever standard error is at the time."""

    def __init__(self, *_names: object) -> None:
        """Take no notice of names."""

    def msg(self, message: str) -> None:
        """Write one line in one piece."""
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _Libraries(logging.Handler):
    """Passes on what libraries log, in our form and without secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        structlog.get_logger().log(
            record.levelno, "library_said", library=record.name, detail=record.getMessage(),
            exc_info=record.exc_info,
        )  # fmt: skip
