"""What CEL expressions must not contain, because CEL bounds neither memory nor text searched.

Refused: the macros ``map`` and ``filter`` (measured: 1.6 GB), a macro inside a macro, ``+`` and
every call but the cheap ones inside a macro, searching there in anything but the item at hand,
more than a few ``+`` outside, and patterns that are not literals. The scan looks at tokens, not
at text, so strings and comments neither hide nor fake anything.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from app.core.conditions.reading import refuse

_MAX_PLUS: Final = 8
_MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_GROWING: Final = frozenset({"map", "filter"})
_SEARCHING: Final = frozenset({"matches", "contains"})
_CHEAP: Final = frozenset({"startsWith", "endsWith", "size", "has", "int", *_SEARCHING})
_UNSEEN: Final = frozenset({"space", "comment"})
_OWNERS: Final = ("_", ")", "]", "}", "'", '"')
_PARTS: Final = frozenset({"method", "path", "query", "headers", "body_bytes", "json"})
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


def tokens_of(source: str) -> list[str]:
    """Return the tokens: strings whole, names, single marks; no space, no comments."""
    found = _TOKEN.finditer(source)
    return [match[0] for match in found if match.lastgroup not in _UNSEEN]


def without(source: str, unread: AbstractSet[str], instead: str) -> str:
    """Return an expression with other text for ``http`` where what nobody read may be read."""
    found = [match for match in _TOKEN.finditer(source) if match.lastgroup not in _UNSEEN]
    texts = ["", *(match[0] for match in found), "", ""]
    parts, done = list[str](), 0
    for at, match in enumerate(found, 1):
        head = texts[at + 1] == "." and texts[at + 2] in _PARTS - unread
        if match[0] == "http" and not _is_member(texts[at - 2], texts[at - 1]) and not head:
            parts += [source[done : match.start()], instead]
            done = match.end()
    return "".join([*parts, source[done:]])


def _is_member(owner: str, dot: str) -> bool:
    """Whether a name after these two tokens is a member's; a dot without an owner is the root's."""
    return dot == "." and owner != "in" and (owner[-1:].isalnum() or owner[-1:] in _OWNERS)


def names_in(source: str) -> frozenset[str]:
    """Return the names that an expression mentions outside of strings."""
    return frozenset(token for token in tokens_of(source) if token.isidentifier())


def refuse_bombs(tokens: list[str], pointer: str) -> list[str]:
    """Return the string literals used as patterns, when nothing in the expression may grow.

    :raises InvalidPolicy: when it may take much memory or time.
    """
    if tokens.count("+") > _MAX_PLUS:
        refuse(f"an expression has at most {_MAX_PLUS} plus signs", pointer)
    patterns = list[str]()
    depth, macro, item = 0, -1, ""
    for at, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")  # noqa: S105 (no password)
        macro = -1 if depth <= macro else macro
        if token == "+" and macro >= 0:  # noqa: S105
            refuse("no + inside all, exists or exists_one", pointer)
        if tokens[at + 1 : at + 2] != ["("] or not token.isidentifier():
            continue
        if token == "matches":  # noqa: S105
            patterns.append(_pattern(tokens[at + 2 : at + 4], pointer))
        if macro >= 0:
            _refuse_inside(tokens, at, item, pointer)
        if token in _MACROS and tokens[at - 1 : at] == ["."]:
            _refuse_growing(token, pointer)
            macro, item = depth, "".join(tokens[at + 2 : at + 3])
    return patterns


def _refuse_growing(macro: str, pointer: str) -> None:
    if macro in _GROWING:
        refuse(f"{macro} is not accepted; use all, exists or exists_one", pointer)


def _refuse_inside(tokens: list[str], at: int, item: str, pointer: str) -> None:
    token = tokens[at]
    if token in _MACROS:
        refuse("one macro inside another is not accepted", pointer)
    if token not in _CHEAP:
        refuse(f"no call of {token} inside all, exists or exists_one", pointer)
    if token in _SEARCHING and _receiver(tokens, at) != item:
        refuse(f"inside a macro, {token} works on the item only, here {item}", pointer)


def _receiver(tokens: list[str], at: int) -> str:
    """Return the name at the start of ``name.member.call``; nothing for anything else."""
    while tokens[at - 1 : at] == ["."] and tokens[at - 2].isidentifier():
        at -= 2
    return tokens[at] if tokens[at - 1 : at] != ["."] else ""


def _pattern(arguments: list[str], pointer: str) -> str:
    if len(arguments) < 2 or arguments[1] != ")" or arguments[0][-1] not in "'\"":  # noqa: PLR2004
        refuse('write matches with a pattern in quotes: name.matches("^a+$")', pointer)
    return arguments[0]
