"""Presets: what is known of a service before anybody calls it, and the policy that follows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.json_types import JsonObject, JsonValue
from app.core.oauth import OAuthEndpoints

DESTRUCTIVE: Final = "destructive"
"""Tag of calls that delete something or can't be undone."""

PRIORITY: Final = 500
"""Place of a preset's policy in the line: rules of people have room before it."""

POINTS: Final = 50
"""Risk of a destructive call: ``high``."""

_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_MUTATION: Final = "(?i)mutation|subscription"


@dataclass(frozen=True, slots=True)
class CredentialHint:
    """What credential a service takes.

    :ivar fields: the names of its fields.
    :ivar hint: where a person gets it.
    """

    kind: str
    fields: tuple[str, ...]
    hint: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls with one of the methods at one of the paths (globs)."""

    methods: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PresetRules:
    """What passes, what is marked and what is refused; everything else asks a person.

    :ivar reads: paths at which GET and HEAD pass.
    :ivar reading_posts: paths at which POST only reads, such as a search.
    :ivar graphql: paths of GraphQL, where documents without a mutation pass.
    :ivar destructive: calls that ask and are marked.
    :ivar blocked: paths that are refused for every method, in any letter case.
    """

    reads: tuple[str, ...] = ()
    reading_posts: tuple[str, ...] = ()
    graphql: tuple[str, ...] = ()
    destructive: tuple[Calls, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A call and what the preset must say of it; the contract tests run them."""

    method: str
    path: str
    effect: str
    destructive: bool = False
    json: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A service as Assentry knows it.

    :ivar documentation: the vendor's page for developers.
    :ivar own_host: the host in ``base_url`` stands for one that the operator must give.
    :ivar headers: what an agent must send beside the credential.
    """

    name: str
    title: str
    description: str
    documentation: str
    base_url: str
    credential: CredentialHint
    rules: PresetRules
    expect: tuple[Example, ...]
    oauth: OAuthEndpoints | None = None
    own_host: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


READS_PASS: Final = PresetRules(
    reads=("/**",), destructive=(Calls(methods=("DELETE",), paths=("/**",)),)
)
"""The guard for a service without preset: reads pass, writes ask, DELETE is marked (GW-5)."""


def policy_document(target: str, title: str, rules: PresetRules) -> JsonObject:
    """Return the policy that holds a preset's rules for one target, named like the target."""
    return {
        "name": target,
        "description": f"{title}: reads pass, everything else asks.",
        "priority": PRIORITY,
        "scope": {"targets": [target]},
        "rules": _rules(rules),
        "risk": _risk(rules),
    }


def _rules(rules: PresetRules) -> list[JsonValue]:
    found = list[JsonValue]()
    if rules.blocked:
        match: JsonObject = {
            "any": [{"http.path": {"regex": blocked_pattern(glob)}} for glob in rules.blocked]
        }
        reason = "Private messages, accounts and credentials are out of bounds here."
        found.append(_rule("blocked", "deny", match, reason))
    if rules.destructive:
        reason = "This deletes something or can't be undone."
        rule = _rule("destructive", "review", _any(rules.destructive), reason)
        found.append({**rule, "tags": [DESTRUCTIVE]})
    found.append(_rule("writes", "review", _writes(rules), "This may change something."))
    if rules.reads:
        found.append(_rule("reads", "allow", _at(Calls(_READS, rules.reads)), "This reads."))
    if rules.reading_posts:
        match = _at(Calls(("POST",), rules.reading_posts))
        found.append(_rule("reads by POST", "allow", match, "This reads."))
    if rules.graphql:
        found.append(_rule("queries", "allow", _queries(rules.graphql), "This reads."))
    return found


def _rule(name: str, effect: str, match: JsonObject, reason: str) -> JsonObject:
    return {"name": name, "effect": effect, "match": match, "reason": reason}


def _at(calls: Calls) -> JsonObject:
    return {"http": {"method": list(calls.methods), "path": list(calls.paths)}}


def _any(many: tuple[Calls, ...]) -> JsonObject:
    return {"any": [_at(calls) for calls in many]}


def _writes(rules: PresetRules) -> JsonObject:
    match: JsonObject = {"http": {"method": list(_WRITES)}}
    if read := (*rules.reading_posts, *rules.graphql):
        return {**match, "not": _at(Calls(("POST",), read))}
    return match


def _queries(paths: tuple[str, ...]) -> JsonObject:
    """Match documents in which the words of writing appear nowhere, not even in a name or comment.

    The document must be the only one: some servers take ``query`` from the URL as well, or a
    stored document by its hash.
    """
    alone: dict[str, JsonValue] = {
        "http.query.query": {"exists": False},
        "http.query.extensions": {"exists": False},
        "http.json.extensions": {"exists": False},
    }
    document: JsonObject = {"http.json.query": {"regex": _MUTATION}}
    given: JsonObject = {"http.json.query": {"min_length": 1}}
    return {**_at(Calls(("POST",), paths)), **alone, "all": [given, {"not": document}]}


def _risk(rules: PresetRules) -> JsonObject:
    if not rules.destructive:
        return {}
    name = "deletes something or can't be undone"
    return {"factors": [{"name": name, "points": POINTS, "match": _any(rules.destructive)}]}


def blocked_pattern(glob: str) -> str:
    """Return an RE2 pattern for paths, in any letter case and with or without a last slash."""
    parts = (
        "(?:/[^/]*)*" if part == "**" else "/" + _segment(part) for part in glob[1:].split("/")
    )
    return "(?i)^" + "".join(parts) + "/?$"


def _segment(part: str) -> str:
    return "[^/]*".join(re.escape(piece) for piece in part.split("*"))
