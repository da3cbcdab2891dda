"""What came of a command or of a file, as the JSON document that is kept and given back.

It is kept as the body of a result without an HTTP status, so that a policy's ``redact`` looks
into it as it looks into any JSON answer.
"""

import base64
from dataclasses import dataclass
from typing import Final, cast

from app.core.canonical import canonical
from app.core.errors import MalformedJson
from app.core.json_types import JsonObject, JsonValue
from app.core.outcome import HttpResult, Outcome
from app.core.strict_json import parse_json

NO_STATUS: Final = 0
"""The status of a result that is not HTTP."""

_JSON: Final = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Stream:
    """What came on one output.

    :ivar size: bytes that came; more than are kept where it is cut.
    """

    data: bytes
    size: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    :ivar exit_code: None where a signal ended it.
    :ivar signal: its name without SIG, such as ``KILL``; empty where none ended it.
    :ivar timed_out: its time was over, and it was ended there.
    :ivar redacted: how many places were replaced.
    """

    exit_code: int | None
    signal: str
    stdout: Stream
    stderr: Stream
    duration_ms: int
    timed_out: bool = False
    redacted: int = 0

    @property
    def code(self) -> str:
        """The slug of how it ended."""
        if self.timed_out:
            return "timed_out"
        if self.signal:
            return "signalled"
        return "exit_status" if self.exit_code else "ok"

    def outcome(self) -> Outcome:
        """Return it as the outcome of the execution."""
        document: JsonObject = {
            "exit_code": self.exit_code,
            "signal": self.signal or None,
            "timed_out": self.timed_out,
            "duration_ms": self.duration_ms,
            **_stream("stdout", self.stdout),
            **_stream("stderr", self.stderr),
        }
        truncated = self.stdout.truncated or self.stderr.truncated
        facts: JsonObject = {"exit_code": self.exit_code, "signal": self.signal or None}
        return _outcome(self.code, self.duration_ms, document, facts, truncated, self.redacted)


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of a file.

    :ivar code: ``ok``, or why it failed.
    :ivar content: what was read; None where nothing was.
    """

    code: str
    path: str
    size: int
    sha256: str
    duration_ms: int
    content: bytes | None = None
    detail: str = ""
    redacted: int = 0

    def outcome(self) -> Outcome:
        """Return it as the outcome of the execution."""
        facts: JsonObject = {"path": self.path, "size": self.size, "sha256": self.sha256}
        document: JsonObject = {**facts, "duration_ms": self.duration_ms}
        if self.detail:
            document = {**document, "detail": self.detail}
        if self.content is not None:
            document = {**document, **_text("content", self.content)}
        cut = False
        return _outcome(self.code, self.duration_ms, document, facts, cut, self.redacted)


def _outcome(
    code: str,
    duration_ms: int,
    document: JsonObject,
    facts: JsonObject,
    truncated: bool,  # noqa: FBT001 - the two callers are above
    redacted: int,
) -> Outcome:
    result = HttpResult(
        NO_STATUS, _JSON, canonical(document), truncated=truncated, redacted=redacted
    )
    return Outcome(code == "ok", code, duration_ms, result, facts)


def _stream(name: str, stream: Stream) -> JsonObject:
    text = _text(name, stream.data)
    return {**text, f"{name}_bytes": stream.size, f"{name}_truncated": stream.truncated}


def _text(name: str, data: bytes) -> JsonObject:
    """Return bytes as text where they are UTF-8 without NUL, and in base64 elsewhere."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        return {name: base64.b64encode(data).decode(), f"{name}_encoding": "base64"}
    return {name: text, f"{name}_encoding": "utf-8"}


def document_of(result: HttpResult) -> JsonObject | None:
    """Return the document of a command's or file's result; None for an HTTP answer."""
    if result.status != NO_STATUS:
        return None
    try:
        document = cast("dict[str, JsonValue]", parse_json(result.body))
    except MalformedJson:  # a policy withheld it as a whole
        document = {"withheld": result.body.decode(errors="replace")}
    return {**document, "truncated": result.truncated, "redacted": result.redacted}
