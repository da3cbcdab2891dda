"""``when``: a CEL expression, by cel-expr-python, which is imported when the first one is met.

What an expression may contain is bounded when it is written (``expression_limits``), what it may
read is bounded when it is evaluated (``expression_facts``). A result that is not exactly BOOL is
"can't be known": an error in CEL is a value, and a truthy one in Python.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

from app.core.conditions.base import Check, Condition, Kind, Spec, Tri, guarded
from app.core.conditions.expression_facts import VARIABLES, unread, variables
from app.core.conditions.expression_limits import refuse_bombs, tokens_of, without
from app.core.conditions.reading import refuse, text
from app.core.facts import Facts
from app.core.regex import size_of

if TYPE_CHECKING:
    from cel_expr_python import cel

MAX_EXPRESSION: Final = 2_048
"""Longest expression, in characters."""

_BOOL: Final = "BOOL"
_ERROR: Final = "[http][1/0]"
"""Reads as the call does, and is an error in CEL whatever is asked of it."""

_MAX_PATTERNS: Final = 2_000
_SHOWN: Final = 120


def _when(spec: Spec) -> Condition:
    source = text(spec.value, spec.pointer, MAX_EXPRESSION)
    _refuse_patterns(refuse_bombs(tokens_of(source), spec.pointer), spec.pointer)
    expression = _compile(source, spec.pointer)
    short = source if len(source) <= _SHOWN else source[: _SHOWN - 1] + "…"
    return Condition("when", source, f"when {short}", guarded(_check(source, expression)))


def _check(source: str, expression: "cel.Expression") -> Check:
    @cache
    def doubtful(names: frozenset[str]) -> "cel.Expression | None":
        return _doubtful(source, names)

    def check(facts: Facts) -> Tri:
        names = unread(facts)
        chosen = doubtful(names) if names else expression
        if chosen is None:
            return None
        result = chosen.eval(data=variables(facts))
        if result.type().name() != _BOOL:
            return None
        value: object = result.value()
        return value if isinstance(value, bool) else None

    return check


def _compile(source: str, pointer: str) -> "cel.Expression":
    try:
        expression = _environment().compile(source)
    except Exception as error:  # noqa: BLE001 (the binding raises RuntimeError and others)
        detail = str(error).removeprefix("INVALID_ARGUMENT: ").partition(" [")[0]
        refuse(f"not a valid CEL expression: {detail}", pointer)
    kind = expression.return_type().name()
    if kind not in {_BOOL, "DYN"}:
        refuse(f"the expression gives {kind}, not true or false", pointer)
    return expression


def _doubtful(source: str, names: frozenset[str]) -> "cel.Expression | None":
    """Return the expression for calls with parts that nobody could read: reading them is an error.

    ``has()`` and ``in`` would otherwise say that something is not in it.
    """
    try:
        return _environment().compile(without(source, names, _ERROR))
    except Exception:  # noqa: BLE001 (then nothing about such a call can be known)
        return None


@cache
def _environment() -> "cel.Env":
    # 50 MB: only when a policy uses it
    from cel_expr_python import cel  # noqa: PLC0415

    types = cel.Type
    by_name = {
        "string": types.STRING,
        "int": types.INT,
        "dyn": types.DYN,
        "map": types.Map(types.STRING, types.DYN),
        "counts": types.Map(types.STRING, types.INT),
    }
    return cel.NewEnv(variables={name: by_name[kind] for name, kind in VARIABLES.items()})


def _refuse_patterns(literals: list[str], pointer: str) -> None:
    """Refuse patterns that are not RE2, or that together could take long on a long text."""
    try:
        total = sum(size_of(_literal(literal)) for literal in literals)
    except ValueError as error:
        refuse(str(error), pointer)
    if total > _MAX_PATTERNS:
        refuse("the patterns of the expression are too complex; use the regex operator", pointer)


def _literal(token: str) -> str:
    """Return the value of a string literal, as CEL itself reads it."""
    try:
        value: object = _environment().compile(token).eval(data={}).value()
    except RuntimeError as error:
        message = "the pattern is not a valid string"
        raise ValueError(message) from error
    if not isinstance(value, str):
        message = "the pattern is not a string"
        raise ValueError(message)  # noqa: TRY004 (one error for the author)
    return value


KINDS: Final = (
    Kind(
        "when",
        "expression",
        "A CEL expression that gives true.",
        "params.amount < 100 && time.hour >= 9",
        _when,
    ),
)
