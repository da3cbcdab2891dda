"""The errors of calls that are passed on: their bodies, their answers, their connections."""

from app.core.errors import Invalid, Limited, NotFound, PayloadTooLarge, Unavailable


class BodyTooLarge(PayloadTooLarge):
    """The body is larger than the target takes; its setting `request_bytes` is the limit."""

    code = "body_too_large"


class UpgradeRefused(Invalid):
    """The connection is not upgraded: a WebSocket is for targets that name it, nothing else is."""

    code = "upgrade_refused"


class ResultNotKept(NotFound):
    """The answer was passed on while it came and was not kept; the outcome has size and digest."""

    code = "result_not_kept"


class BodyNotStored(Unavailable):
    """The call's body is not stored yet; send it again."""

    code = "body_not_stored"


class UploadsFull(Limited):
    """This agent's uploads that are under way are as large together as they may be."""

    code = "uploads_full"


class NoUploadRoom(Unavailable):
    """There is no room for uploads of this size at present."""

    code = "no_upload_room"
