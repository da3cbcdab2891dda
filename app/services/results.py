"""Results as bytes, for sealing and for reading back."""

import base64
from typing import Final, cast

from app.core.canonical import canonical
from app.core.json_types import JsonObject, JsonValue
from app.core.outcome import HttpResult
from app.core.ssh_result import document_of
from app.core.strict_json import parse_json

ITEM_RESULT: Final = "item result"
"""Purpose under which answers to single calls of a bundle are sealed."""


def pack(result: HttpResult) -> bytes:
    """Return a result as canonical JSON."""
    return canonical(_document(result))


def unpack(data: bytes) -> HttpResult:
    """Return the result that ``pack`` wrote."""
    document = cast("dict[str, JsonValue]", parse_json(data))
    body = cast("dict[str, str]", document["body"])
    content = (
        body["text"].encode() if "text" in body else base64.b64decode(body["base64"], validate=True)
    )
    lines = cast("list[list[str]]", document["headers"])
    return HttpResult(
        status=cast("int", document["status"]),
        headers=tuple((name, value) for name, value in lines),
        body=content,
        truncated=bool(document["truncated"]),
        redacted=cast("int", document["redacted"]),
    )


def result_document(result: HttpResult) -> JsonObject:
    """Return a result as the JSON object that the API gives.

    What came of a command or a file is there in ``answer``, too.
    """
    answer = document_of(result)
    return {**_document(result), **({} if answer is None else {"answer": answer})}


def _document(result: HttpResult) -> JsonObject:
    return {
        "status": result.status,
        "headers": [[name, value] for name, value in result.headers],
        "body": _body(result.body),
        "truncated": result.truncated,
        "redacted": result.redacted,
    }


def _body(content: bytes) -> JsonObject:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    if "\x00" in text:
        return {"base64": base64.b64encode(content).decode()}
    return {"text": text}
