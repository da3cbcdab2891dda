"""What Discord's clients make of a text: code, formatting, mentions, links; or just text.

A stricter reading than theirs: every rule is tried at every character. The rules are those of the
clients as projects that render Discord's messages have them, such as discord-markdown-parser.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_AT_LINE_START: Final = (
    ("quote", re.compile(r" *>(?:>>)? [^\n]*")),
    ("heading", re.compile(r" *#{1,3}[ \t]+[^\n]*")),
    ("subtext", re.compile(r" *-# [^\n]*")),
    ("list", re.compile(r" *(?:[*-]|\d+\.) +[^\n]*")),
)
_ANYWHERE: Final = (
    ("code", re.compile(r"```(?:[a-z0-9_+\-.#]+?\n)?\n*([^\n][\s\S]*?)\n*```", re.IGNORECASE)),
    ("escape", re.compile(r"\\([^0-9A-Za-z\s])")),
    ("link", re.compile(r"<[a-z][^\s>:]*:[^\s>]+>", re.IGNORECASE)),
    ("link", re.compile(r"(?:https?|steam|discord|mailto|tel|sms):/?/?[^\s<]", re.IGNORECASE)),
    ("link", re.compile(r"!?\[[^\]]*\]\s*\([^)]*\)")),
    ("mention", re.compile(r"<(?:@[!&]?|#|a?:\w+:|/[^>]*:|id:)[^>]*>|@everyone|@here|@silent")),
    ("time", re.compile(r"<t:[^>]*>")),
    ("emoji", re.compile(r":\w+:")),
    ("spoiler", re.compile(r"\|\|[\s\S]+?\|\|")),
    ("strong", re.compile(r"\*\*((?:\\[\s\S]|[^\\])+?)\*\*(?!\*)")),
    ("under", re.compile(r"__[\s\S]+?__")),
    ("strike", re.compile(r"~~[\s\S]+?~~")),
    ("em", re.compile(r"[*_](?:\\[\s\S]|[^\\\s])(?:\\[\s\S]|[^\\])*?[*_]")),
    ("inline", re.compile(r"(`+)[\s\S]*?[^`]\1(?!`)")),
    ("tick", re.compile(r"`")),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A run of text; ``kind`` is ``text``, ``strong``, ``code``, or what should not be there."""

    kind: str
    text: str


def render(text: str) -> list[Node]:
    """Return what is seen of a text."""
    found: list[Node] = []
    for node in _nodes(text):
        if found and found[-1].kind == node.kind == "text":
            found[-1] = Node("text", found[-1].text + node.text)
        else:
            found.append(node)
    return found


def _nodes(text: str) -> Iterator[Node]:
    at = 0
    while at < len(text):
        kind, match = _match(text, at)
        if match is None:
            yield Node("text", text[at])
            at += 1
            continue
        yield from _node(kind, match)
        at = match.end()


def _match(text: str, at: int) -> tuple[str, re.Match[str] | None]:
    rules = _AT_LINE_START if at == 0 or text[at - 1] == "\n" else ()
    for kind, rule in (*rules, *_ANYWHERE):
        match = rule.match(text, at)
        if match is not None:
            return kind, match
    return "text", None


def _node(kind: str, match: re.Match[str]) -> Iterator[Node]:
    if kind == "escape":
        yield Node("text", match[1])
    elif kind == "strong":
        inner = render(match[1])
        yield Node("strong", "".join(node.text for node in inner))
        yield from (node for node in inner if node.kind != "text")
    else:
        yield Node(kind, match[1] if kind == "code" else match[0])


def plain(text: str) -> str:
    """Return what is read of a text, whatever it looks like."""
    return "".join(node.text for node in render(text))


def kinds(text: str) -> set[str]:
    """Return what a text is made of."""
    return {node.kind for node in render(text)}
