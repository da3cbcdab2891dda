"""``http``: method and path together, ``{"http": {"method": ["GET"], "path": "/repos/**"}}``."""

from typing import Final

from app.core.conditions.base import Check, Condition, Kind, Spec, every, leaf
from app.core.conditions.equality import equal_test, member
from app.core.conditions.glob import KINDS as GLOB
from app.core.conditions.reading import below, members, refuse, shown, texts
from app.core.json_types import JsonValue

_MAX_METHODS: Final = 20
_MAX_METHOD: Final = 32


def _http(spec: Spec) -> Condition:
    wanted = members(spec.value, spec.pointer, {"method", "path"})
    parts = list[Condition]()
    if "method" in wanted:
        parts.append(_method(wanted["method"], below(spec.pointer, "method")))
    if "path" in wanted:
        where = Spec("http.path", ("http", "path"), wanted["path"], below(spec.pointer, "path"))
        parts.append(GLOB[0].build(where))
    if not parts:
        refuse("give method, path, or both", spec.pointer)
    checks: list[Check] = [part.matches for part in parts]
    text = " and ".join(part.text for part in parts)
    return Condition("http", spec.value, text, every(checks), children=tuple(parts))


def _method(value: JsonValue, pointer: str) -> Condition:
    methods = texts(value, pointer, _MAX_METHODS, _MAX_METHOD)
    for method in methods:
        if not (method.isascii() and method.isupper()):
            refuse(f"write the method in capitals, not {shown(method)}", pointer)
    spec = Spec("http.method", ("http", "method"), value, pointer)
    if len(methods) == 1:
        return leaf(spec, "eq", f"is {methods[0]}", equal_test(methods[0]))
    return leaf(spec, "in", f"is one of {', '.join(methods)}", lambda found: member(found, methods))


KINDS: Final = (
    Kind(
        "http",
        "block",
        "An HTTP call with this method and a path like this.",
        {"http": {"method": ["GET", "HEAD"], "path": "/repos/**"}},
        _http,
    ),
)
