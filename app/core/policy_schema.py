"""The JSON schema of a policy document, for OpenAPI and editors (``policy`` is the judge)."""

from typing import Final

from app.core.bucket import UNITS
from app.core.conditions import CONDITIONS
from app.core.facts import ROOTS
from app.core.masking import KINDS
from app.core.obligations import BY

_SECONDS: Final = {"type": "integer", "minimum": 1, "maximum": 366 * 86_400}


def policy_json_schema() -> dict[str, object]:
    """Return the JSON schema (2020-12) of a policy document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policy",
        **_closed(
            {
                "name": _text(120),
                "description": {"type": "string", "maxLength": 2_000},
                "priority": _integer(0, 1_000_000, 100),
                "enabled": {"type": "boolean", "default": True},
                "scope": _scope(),
                "rules": {"type": "array", "maxItems": 100, "items": _rule()},
                "risk": _risk(),
            },
            ["name"],
        ),
    }


def _closed(properties: dict[str, object], required: list[str]) -> dict[str, object]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _text(limit: int) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "maxLength": limit}


def _integer(low: int, high: int, default: int) -> dict[str, object]:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def _scope() -> dict[str, object]:
    globs: dict[str, object] = {"type": "array", "maxItems": 200, "items": _text(256)}
    described: dict[str, object] = {**globs, "description": "Globs; empty or absent means any."}
    return _closed({"agents": described, "targets": described, "actions": described}, [])


def _rule() -> dict[str, object]:
    return _closed(
        {
            "name": _text(120),
            "effect": {"enum": ["allow", "deny", "review"]},
            "match": _match(),
            "when": {**_text(2_048), "description": "A CEL expression that must give true."},
            "reason": {"type": "string", "maxLength": 500},
            "route": _route(),
            "obligations": {"type": "array", "maxItems": 32, "items": _obligation()},
            "tags": {"type": "array", "maxItems": 32, "items": _text(64)},
        },
        ["name", "effect"],
    )


def _match() -> dict[str, object]:
    operators = ", ".join(kind.name for kind in CONDITIONS if kind.form == "operator")
    blocks = ", ".join(kind.name for kind in CONDITIONS if kind.form == "block")
    return {
        "type": "object",
        "minProperties": 1,
        "description": (
            f"Path to a value, or to an object of operators ({operators}); blocks ({blocks}); "
            f"all, any, not. Everything in it must hold. Paths: {', '.join(ROOTS)}."
        ),
    }


def _route() -> dict[str, object]:
    return _closed(
        {
            "quorum": {"oneOf": [_integer(1, 20, 1), {"enum": ["all", "any"]}]},
            "denials": _integer(1, 20, 1),
            "expires_in": _SECONDS,
            "valid_for": _SECONDS,
            "owner_may_decide": {"type": "boolean"},
            "approvers": _names(),
            "seats": {"type": "array", "items": _names(), "minItems": 1, "maxItems": 20},
            "notify": _notices(),
            "escalation": {"type": "array", "items": _rung(), "maxItems": 10},
        },
        [],
    )


def _names() -> dict[str, object]:
    about = "role:approver, role:operator, role:admin, group:NAME or person:EMAIL."
    return {"type": "array", "items": _text(210), "maxItems": 32, "description": about}


def _notices() -> dict[str, object]:
    to = {"type": "array", "items": _text(200), "minItems": 1, "maxItems": 32}
    item = _closed({"channel": _text(32), "to": to}, ["channel"])
    return {"type": "array", "items": item, "maxItems": 16}


def _rung() -> dict[str, object]:
    return _closed(
        {
            "after": _SECONDS,
            "approvers": _names(),
            "notify": _notices(),
            "repeat": _integer(0, 20, 0),
            "deny": {"type": "boolean", "default": False},
        },
        ["after"],
    )


def _risk() -> dict[str, object]:
    factor = _closed(
        {
            "name": _text(120),
            "points": {"type": "integer", "minimum": 1, "maximum": 100},
            "match": _match(),
            "when": _text(2_048),
        },
        ["name", "points"],
    )
    level = _closed({"quorum": _integer(1, 20, 1), "assurance": {"enum": ["L1", "L2", "L3"]}}, [])
    raised = _closed(dict.fromkeys(("low", "medium", "high", "critical"), level), [])
    factors = {"type": "array", "items": factor, "maxItems": 50}
    return _closed({"factors": factors, "raise": raised}, [])


def _obligation() -> dict[str, object]:
    tag = _closed({"kind": {"const": "tag"}, "tag": _text(64)}, ["kind", "tag"])
    level = {"enum": ["L1", "L2", "L3"]}
    strong = _closed({"kind": {"const": "require_assurance"}, "level": level}, ["kind", "level"])
    reason = _closed({"kind": {"const": "require_reason"}}, ["kind"])
    return {"oneOf": [tag, strong, reason, _rate_limit(), _redact()]}


def _rate_limit() -> dict[str, object]:
    per = {"oneOf": [{"enum": list(UNITS)}, {"type": "integer", "minimum": 1, "maximum": 9_999}]}
    limit = {"type": "integer", "minimum": 1, "maximum": 999_999}
    by = {"enum": list(BY), "default": "agent"}
    kind = {"const": "rate_limit"}
    return _closed({"kind": kind, "limit": limit, "per": per, "by": by}, ["kind", "limit", "per"])


def _redact() -> dict[str, object]:
    names = {"type": "array", "minItems": 1, "maxItems": 32, "items": _text(256)}
    patterns = {**names, "items": _text(512), "description": "RE2"}
    kinds = {**names, "items": {"enum": list(KINDS)}}
    fields = {**names, "description": "Names of members, or JSON pointers with * for any member."}
    shape: dict[str, object] = {
        "kind": {"const": "redact"},
        "where": {"const": "result"},
        "fields": fields,
        "patterns": patterns,
        "kinds": kinds,
    }
    return _closed(shape, ["kind"])
