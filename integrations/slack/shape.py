"""The shape of what Slack sends, looked at before the library and our listeners read it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from integrations.slack.views import COMMENT

VERIFICATION: Final = "url_verification"
"""The type of the one call that names no application."""

_ODD: Final = "not the shape of what Slack sends"
_TEXT: Final = "text"
_ID: Final = "id"

Shape: TypeAlias = "str | Mapping[str, Shape] | Sequence[Shape]"
"""A text, an id (itself or in an object), an object with parts, or a list of one shape."""

_NAMED: Final[Shape] = {"id": _TEXT, "team_id": _TEXT, "enterprise_id": _TEXT}
_CALL: Final[Mapping[str, Shape]] = {
    **dict.fromkeys(
        ("type", "command", "text", "trigger_id", "api_app_id", "team_id", "user_id",
         "channel_id", "enterprise_id", "response_url", "challenge"), _TEXT,
    ),
    **dict.fromkeys(("user", "team", "channel", "enterprise"), _NAMED),
    "view": {"type": _TEXT, "callback_id": _TEXT, "private_metadata": _TEXT,
             "state": {"values": {COMMENT: {COMMENT: {"value": _TEXT}}}},
             "team_id": _TEXT, "app_installed_team_id": _TEXT},
    "event": {"type": _TEXT, "tab": _TEXT,
              **dict.fromkeys(("user", "team", "channel", "enterprise"), _ID)},
    "container": {"channel_id": _TEXT},
    "message": {},
    "actions": [{"action_id": _TEXT, "block_id": _TEXT, "value": _TEXT}],
    "authorizations": [_NAMED],
    "response_urls": [{"response_url": _TEXT}],
}  # fmt: skip
"""What a call may hold; anything may be missing or null, and there may be more."""

_NEEDED: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "block_actions": (("user", "id"), ("actions", "action_id")),
    "view_submission": (("user", "id"), ("view", "type")),
    "event_callback": (("event", "type"),),
    VERIFICATION: (("challenge",),),
}
"""What must be there, by the type of the call."""


def check_shape(payload: dict[str, Any]) -> None:
    """Refuse what Slack does not send, however well it is signed.

    :raises ValueError: the shape is another.
    """
    if not _fits(payload, _CALL):
        raise ValueError(_ODD)
    if not all(_has(payload, path) for path in _NEEDED.get(payload.get("type") or "", ())):
        raise ValueError(_ODD)


def _has(part: Any, path: tuple[str, ...]) -> bool:
    """Whether there is something at a path, in every item of a list."""
    if isinstance(part, list):
        return bool(part) and all(_has(item, path) for item in part)
    return bool(part) and (not path or _has(part.get(path[0]), path[1:]))


def _fits(value: Any, shape: Shape) -> bool:
    if value is None:
        return True
    if isinstance(shape, Mapping):
        return isinstance(value, dict) and all(
            _fits(value.get(name), inner) for name, inner in shape.items()
        )
    if shape == _ID and isinstance(value, dict):
        return _fits(value, _NAMED)
    if isinstance(shape, str):
        return isinstance(value, str)
    return isinstance(value, list) and all(
        item is not None and _fits(item, shape[0]) for item in value
    )
