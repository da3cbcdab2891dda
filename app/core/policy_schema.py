"""The JSON schema of a policy document, for OpenAPI and editors (``policy`` is the judge)."""

from typing import Final

from app.core.conditions import CONDITIONS
from app.core.facts import ROOTS

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
                "rules": {"type": "array", "minItems": 1, "maxItems": 100, "items": _rule()},
            },
            ["name", "rules"],
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
            "quorum": _integer(1, 20, 1),
            "expires_in": _SECONDS,
            "valid_for": _SECONDS,
            "owner_may_decide": {"type": "boolean"},
            "approvers": {"type": "array", "items": _text(210), "maxItems": 32},
        },
        [],
    )


def _obligation() -> dict[str, object]:
    tag = _closed({"kind": {"const": "tag"}, "tag": _text(64)}, ["kind", "tag"])
    return {"oneOf": [tag, _closed({"kind": {"const": "require_reason"}}, ["kind"])]}
