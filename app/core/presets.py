"""Presets: what is known of a service before anybody calls it, and the policy that follows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import InvalidField
from app.core.json_types import JsonObject, JsonValue
from app.core.oauth import OAuthEndpoints
from app.core.paths import BaseUrl, parse_base_url

DESTRUCTIVE: Final = "destructive"
"""Tag of calls that delete something or can't be undone."""

PRIORITY: Final = 500
"""Place of a preset's policy in the line: rules of people have room before it."""

BLOCKED_PRIORITY: Final = 10
"""Place of what a preset blocks: before rules of people."""

POINTS: Final = 50
"""Risk of a destructive call: ``high``."""

_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WORDS: Final = (
    "mutation", "subscription", "secret", "webhook", "apikey", "token", "password",
)  # fmt: skip
"""What no GraphQL document may hold that passes: words of writing, and of what gives access."""


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
    """Calls with one of the methods at one of the paths (globs).

    :ivar members: names of which the JSON body must hold one; none given means any body.
    """

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Masked:
    """Paths at which GET and HEAD pass without some fields of the answer."""

    paths: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PresetRules:
    """What passes, what is marked and what is refused; everything else asks a person.

    :ivar reads: paths at which GET and HEAD pass.
    :ivar masked: paths at which they pass without fields that are nobody's business; before reads.
    :ivar reading_posts: paths at which POST only reads, such as a search.
    :ivar graphql: paths of GraphQL, where documents without a mutation pass.
    :ivar graphql_words: parts of names with which they do not, beside those of every service.
    :ivar destructive: calls that ask and are marked, with or without a last slash.
    :ivar asks_with: facts with which no call passes, such as a header that names another account.
    :ivar blocked: paths that are refused for every method, in any letter case.
    """

    reads: tuple[str, ...] = ()
    masked: tuple[Masked, ...] = ()
    reading_posts: tuple[str, ...] = ()
    graphql: tuple[str, ...] = ()
    graphql_words: tuple[str, ...] = ()
    destructive: tuple[Calls, ...] = ()
    asks_with: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A call and what the preset must say of it; the contract tests run them.

    :ivar masked: fields that its answer must come without.
    :ivar headers: what it sends beside the content type.
    """

    method: str
    path: str
    effect: str
    destructive: bool = False
    masked: tuple[str, ...] = ()
    json: dict[str, object] | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a preset's service is for one installation."""

    base_url: str
    oauth: OAuthEndpoints | None


def place_of(preset: Preset, base_url: str) -> Place:
    """Return where a service is, with the operator's host in place of the one that stands for it.

    :param base_url: the operator's address; empty for a service with one address for all.
    :raises InvalidField: it is missing, is the one that stands for it, or is not wanted.
    """
    usual = parse_base_url(preset.base_url)
    if not preset.own_host:
        if base_url:
            message = f"{preset.title} has one address for all; add another by hand as a target"
            raise InvalidField(message, pointer="/base_url")
        return Place(usual.text, preset.oauth)
    own = parse_base_url(base_url) if base_url else usual
    if own.host == usual.host:
        message = f"give the address of your own {preset.title}, such as {usual.text}"
        raise InvalidField(message, pointer="/base_url")
    if own.prefix != usual.prefix:
        message = "give the host alone: the rules are about paths as they are there"
        raise InvalidField(message, pointer="/base_url")
    return Place(own.text, None if preset.oauth is None else _moved(preset.oauth, usual, own))


def _moved(urls: OAuthEndpoints, usual: BaseUrl, own: BaseUrl) -> OAuthEndpoints:
    def moved(url: str) -> str:
        parts = urlsplit(url)
        return parts._replace(netloc=own.authority).geturl() if parts.netloc == usual.host else url

    return replace(
        urls,
        authorize_url=moved(urls.authorize_url),
        token_url=moved(urls.token_url),
        revoke_url=moved(urls.revoke_url),
        issuer=moved(urls.issuer),
    )


READS_PASS: Final = PresetRules(
    reads=("/**",), destructive=(Calls(methods=("DELETE",), paths=("/**",)),)
)
"""The guard for a service without preset: reads pass, writes ask, DELETE is marked (GW-5)."""


def policy_documents(target: str, title: str, rules: PresetRules) -> tuple[JsonObject, ...]:
    """Return the policies that hold a preset's rules for one target.

    What is blocked comes first, in a policy of its own: a broad rule of somebody's own between the
    two does not let it through.
    """
    scope: JsonObject = {"targets": [target]}
    usual: JsonObject = {
        "name": target,
        "description": f"{title}: reads pass, everything else asks.",
        "priority": PRIORITY,
        "scope": scope,
        "rules": _rules(rules),
        "risk": _risk(rules),
    }
    if not rules.blocked:
        return (usual,)
    blocked: JsonObject = {
        "name": blocked_name(target),
        "description": f"{title}: what is out of bounds, whatever other policies allow.",
        "priority": BLOCKED_PRIORITY,
        "scope": scope,
        "rules": [_blocked(rules.blocked)],
    }
    return (blocked, usual)


def blocked_name(target: str) -> str:
    """Return the name of the policy that holds what is blocked at a target."""
    return f"{target}: blocked"


def _blocked(globs: tuple[str, ...]) -> JsonObject:
    match: JsonObject = {"any": [{"http.path": {"regex": blocked_pattern(one)}} for one in globs]}
    reason = "Private messages, accounts and credentials are out of bounds here."
    return _rule("blocked", "deny", match, reason)


def _rules(rules: PresetRules) -> list[JsonValue]:
    found = list[JsonValue]()
    if rules.destructive:
        reason = "This deletes something or can't be undone."
        rule = _rule("destructive", "review", _any(rules.destructive), reason)
        found.append({**rule, "tags": [DESTRUCTIVE]})
    if rules.asks_with:
        facts: JsonObject = {"any": [{name: {"exists": True}} for name in rules.asks_with]}
        found.append(_rule("acts otherwise", "review", facts, "This may do more than it seems to."))
    found.append(_rule("writes", "review", _writes(rules), "This may change something."))
    found.extend(_masked(rules.masked))
    if rules.reads:
        found.append(_rule("reads", "allow", _at(Calls(_READS, rules.reads)), "This reads."))
    if rules.reading_posts:
        match = _at(Calls(("POST",), rules.reading_posts))
        found.append(_rule("reads by POST", "allow", match, "This reads."))
    if rules.graphql:
        found.append(_rule("queries", "allow", _queries(rules), "This reads."))
    return found


def _masked(many: tuple[Masked, ...]) -> Iterator[JsonObject]:
    for place, one in enumerate(many, 1):
        name = "masked reads" if len(many) == 1 else f"masked reads {place}"
        reason = f"This reads, without {', '.join(one.fields)}."
        duty: JsonObject = {"kind": "redact", "fields": list(one.fields)}
        rule = _rule(name, "allow", _at(Calls(_READS, _slashed(one.paths))), reason)
        yield {**rule, "obligations": [duty]}


def _rule(name: str, effect: str, match: JsonObject, reason: str) -> JsonObject:
    return {"name": name, "effect": effect, "match": match, "reason": reason}


def _at(calls: Calls) -> JsonObject:
    return {"http": {"method": list(calls.methods), "path": list(calls.paths)}}


def _any(many: tuple[Calls, ...]) -> JsonObject:
    return {"any": [_whole(calls) for calls in many]}


def _whole(calls: Calls) -> JsonObject:
    """Match calls in both spellings, and by their body."""
    match = _at(Calls(calls.methods, _slashed(calls.paths)))
    if not calls.members:
        return match
    return {**match, "any": [{f"http.json.{name}": {"exists": True}} for name in calls.members]}


def _slashed(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths with and without a last slash, which many servers take for the same."""
    return (*paths, *(f"{path}/" for path in paths if not path.endswith("/**")))


def _writes(rules: PresetRules) -> JsonObject:
    match: JsonObject = {"http": {"method": list(_WRITES)}}
    if read := (*rules.reading_posts, *rules.graphql):
        return {**match, "not": _at(Calls(("POST",), read))}
    return match


def _queries(rules: PresetRules) -> JsonObject:
    """Match documents in which the words appear nowhere, not even in a part of a name or comment.

    The document must be the only one: some servers take ``query`` from the URL as well, or a
    stored document by its hash.
    """
    alone: dict[str, JsonValue] = {
        "http.query.query": {"exists": False},
        "http.query.extensions": {"exists": False},
        "http.json.extensions": {"exists": False},
    }
    words = "|".join(re.escape(word) for word in (*_WORDS, *rules.graphql_words))
    document: JsonObject = {"http.json.query": {"regex": f"(?i){words}"}}
    given: JsonObject = {"http.json.query": {"min_length": 1}}
    return {**_at(Calls(("POST",), rules.graphql)), **alone, "all": [given, {"not": document}]}


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
