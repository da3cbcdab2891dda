"""The plain form of a policy with one rule about calls; it knows no more than that.

A document that says anything else is edited as JSON: ``read`` returns None, so nothing is lost.
"""

from typing import Final, cast

from app.core.errors import InvalidField
from app.core.json_types import JsonObject, JsonValue
from app.core.policy import DEFAULT_PRIORITY
from app.web.dashboard.doors import Form

EMPTY: Final[JsonObject] = {
    "name": "",
    "priority": DEFAULT_PRIORITY,
    "enabled": True,
    "scope": {"actions": ["http.request"]},
    "rules": [{"name": "calls", "effect": "review"}],
}
"""The document that a new policy begins with."""

_POLICY: Final = frozenset({"name", "description", "priority", "enabled", "scope", "rules"})
_SCOPE: Final = frozenset({"agents", "targets", "actions"})
_RULE: Final = frozenset({"name", "effect", "match", "reason"})
_MATCH: Final = {"methods": ("http.method", "in"), "paths": ("http.path", "glob")}
"""The fields of the form, with the fact and the operator that each stands for."""


def read(document: JsonObject) -> Form | None:
    """Return the fields of a document, or None where it says more than they can."""
    if not _is_plain(document):
        return None
    scope, rule, match = _parts(document)
    fields = Form(
        name=str(document["name"]), priority=str(document.get("priority", DEFAULT_PRIORITY)),
        effect=str(rule["effect"]), reason=str(rule.get("reason", "")),
        agents=_words(scope, "agents"), targets=_words(scope, "targets"),
    )  # fmt: skip
    for name, (path, operator) in _MATCH.items():
        fields[name] = _words(match.get(path, {}), operator)
    return fields if write(fields, document) == document else None


def _is_plain(document: JsonObject) -> bool:
    """Whether a document has one rule, and no members but those that the form knows or keeps."""
    rules = document.get("rules")
    if not isinstance(rules, list) or len(rules) != 1:
        return False
    scope, rule, match = _parts(document)
    tests = {path: operator for path, operator in _MATCH.values() if path in match}
    return (
        document.keys() <= _POLICY and scope.keys() <= _SCOPE and rule.keys() <= _RULE
        and scope.get("actions", []) in ([], ["http.request"])
        and match.keys() == tests.keys()
        and all(_is_test(match[path], operator) for path, operator in tests.items())
    )  # fmt: skip


def _is_test(value: JsonValue, operator: str) -> bool:
    """Whether a condition is nothing but this operator with texts."""
    if not isinstance(value, dict) or value.keys() != {operator}:
        return False
    given = value[operator]
    return all(isinstance(item, str) for item in (given if isinstance(given, list) else [given]))


def _parts(document: JsonObject) -> tuple[JsonObject, JsonObject, JsonObject]:
    """Return scope, only rule and conditions of a document."""
    (rule,) = cast("list[JsonObject]", document["rules"])
    scope = cast("JsonObject", document.get("scope", {}))
    return scope, rule, cast("JsonObject", rule.get("match", {}))


def write(form: Form, base: JsonObject) -> JsonObject:
    """Return a document with what the form says; all else stays as it is in ``base``.

    :param base: a document that ``read`` takes.
    :raises InvalidField: the form lets everything pass, or a number is none.
    """
    scope, first, match = _parts(base)
    for name in ("agents", "targets"):
        scope = _put(scope, name, list[JsonValue](form.lines(name)), [])
    for name, (path, operator) in _MATCH.items():
        words = list[JsonValue](_cased(form, name))
        if words != _list(match.get(path, {}), operator):
            match = _put(match, path, {operator: words} if words else {}, {})
    if not match and not scope.get("actions"):
        scope = {**scope, "actions": ["http.request"]}
    rule = _put({**first, "effect": form["effect"]}, "reason", form["reason"].strip(), "")
    document = _put(base, "priority", form.number("priority", DEFAULT_PRIORITY), DEFAULT_PRIORITY)
    document = _put(document, "scope", scope, {})
    return {**document, "name": form["name"].strip(), "rules": [_put(rule, "match", match, {})]}


def _cased(form: Form, name: str) -> list[str]:
    """Return the words of a field; methods in capitals, for no other is ever known to match."""
    words = form.lines(name)
    return [word.upper() for word in words] if name == "methods" else words


def check(form: Form) -> None:
    """Refuse a form that would let every call at every target pass because a field was forgotten.

    :raises InvalidField: it would.
    """
    if form["effect"] == "allow" and not form.lines("targets"):
        message = "name the target whose calls pass, or * for every one"
        raise InvalidField(message, pointer="/scope/targets")


def _put(before: JsonObject, name: str, value: JsonValue, empty: JsonValue) -> JsonObject:
    """Return an object with a member, as it is where that says the same already."""
    if before.get(name, empty) == value:
        return before
    return {key: item for key, item in {**before, name: value}.items()
            if key != name or value != empty}  # fmt: skip


def _list(value: JsonValue, name: str) -> list[JsonValue]:
    """Return a member that is a list, or the one thing that stands for a list of it."""
    found = value.get(name, []) if isinstance(value, dict) else []
    return found if isinstance(found, list) else [found]


def _words(value: JsonValue, name: str) -> str:
    return " ".join(map(str, _list(value, name)))
