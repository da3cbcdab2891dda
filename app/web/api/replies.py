"""Answers of the ordinary doors."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

_ENCODER: Final = msgspec.json.Encoder()


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a struct as a JSON answer."""
    return Response(
        _ENCODER.encode(value), status_code=status, headers=headers, media_type="application/json"
    )


def nothing() -> Response:
    """Return the answer 204."""
    return Response(status_code=204)
