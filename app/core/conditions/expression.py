"""``when``: a CEL expression, by cel-expr-python, which is imported when the first one is met.

CEL has no memory limit of its own, so what could grow is refused when the policy is written: the
macros ``map`` and ``filter``, a macro inside a macro, ``+`` and every call but the cheap ones
inside a macro, more than a few ``+`` outside, and patterns that are not literals. What an
evaluation may read is bounded too. A result that is not exactly BOOL is "can't be known": an
error in CEL is a value, and a truthy one in Python.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from app.core.conditions.base import Check, Condition, Kind, Spec, Tri, guarded
from app.core.conditions.expression_facts import VARIABLES, variables
from app.core.conditions.reading import refuse, text
from app.core.facts import Facts
from app.core.regex import compile_search

if TYPE_CHECKING:
    from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs] (no py.typed)

MAX_EXPRESSION: Final = 2_048
"""Longest expression, in characters."""

_MAX_PLUS: Final = 8
_BOOL: Final = "BOOL"
_SHOWN: Final = 120
_MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_GROWING: Final = frozenset({"map", "filter"})
_CHEAP: Final = frozenset({"startsWith", "endsWith", "contains", "size", "has", "matches", "int"})
_TOKEN: Final = re.compile(
    r"""(?P<string>[bB]?(?:
            [rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|"[^"\n]*")
            |'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"
            |'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<comment>//[^\n]*)
    |(?P<space>\s+)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


def _when(spec: Spec) -> Condition:
    source = text(spec.value, spec.pointer, MAX_EXPRESSION)
    _refuse_bombs(_tokens(source), spec.pointer)
    expression = _compile(source, spec.pointer)
    short = source if len(source) <= _SHOWN else source[: _SHOWN - 1] + "…"
    return Condition("when", source, f"when {short}", guarded(_check(expression)))


def _check(expression: "cel.Expression") -> Check:
    def check(facts: Facts) -> Tri:
        result = expression.eval(data=variables(facts))
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


@cache
def _environment() -> "cel.Env":
    # 50 MB: only when a policy uses it
    from cel_expr_python import cel  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]

    types = cel.Type
    by_name = {
        "string": types.STRING,
        "int": types.INT,
        "dyn": types.DYN,
        "map": types.Map(types.STRING, types.DYN),
        "counts": types.Map(types.STRING, types.INT),
    }
    return cel.NewEnv(variables={name: by_name[kind] for name, kind in VARIABLES.items()})


def _tokens(source: str) -> list[str]:
    """Return the tokens: strings whole, names, single marks; no space, no comments."""
    found = _TOKEN.finditer(source)
    return [match[0] for match in found if match.lastgroup not in {"space", "comment"}]


def names_in(source: str) -> frozenset[str]:
    """Return the names that an expression mentions outside of strings."""
    return frozenset(token for token in _tokens(source) if token.isidentifier())


def _refuse_bombs(tokens: list[str], pointer: str) -> None:
    """Refuse what could take much memory: see the module's description."""
    if tokens.count("+") > _MAX_PLUS:
        refuse(f"an expression has at most {_MAX_PLUS} plus signs", pointer)
    depth, inside = 0, -1
    for at, token in enumerate(tokens):
        following = tokens[at + 1 : at + 2]
        depth += (token == "(") - (token == ")")  # noqa: S105 (no password)
        if inside >= depth:
            inside = -1
        if token == "+" and inside >= 0:  # noqa: S105
            refuse("no + inside all, exists or exists_one", pointer)
        if following != ["("] or not token.isidentifier():
            continue
        if token == "matches":  # noqa: S105
            _refuse_pattern(tokens[at + 2 : at + 4], pointer)
        is_macro = token in _MACROS and tokens[at - 1 : at] == ["."]
        _refuse_call(token, pointer, is_macro=is_macro, inside=inside >= 0)
        if is_macro:
            inside = depth


def _refuse_call(token: str, pointer: str, *, is_macro: bool, inside: bool) -> None:
    if is_macro and token in _GROWING:
        refuse(f"{token} is not accepted; use all, exists or exists_one", pointer)
    if is_macro and inside:
        refuse("one macro inside another is not accepted", pointer)
    if inside and token not in _CHEAP:
        refuse(f"no call of {token} inside all, exists or exists_one", pointer)


def _refuse_pattern(arguments: list[str], pointer: str) -> None:
    if len(arguments) < 2 or arguments[1] != ")" or arguments[0][-1] not in "'\"":  # noqa: PLR2004
        refuse('write matches with a pattern in quotes: name.matches("^a+$")', pointer)
    try:
        compile_search(_literal(arguments[0]))
    except ValueError as error:
        refuse(str(error), pointer)


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
