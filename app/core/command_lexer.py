"""A second, strict reading of a plain pipeline, to be held beside the parser's.

What a profile permits must be read the same way by every shell. This reader knows words, quotes
without expansions, pipes and the harmless redirections, and gives up at everything else. Where
the two readings differ, nothing is permitted.
"""

import re
from typing import Final

from app.core.command_parts import CommandLine

_TOKEN: Final = re.compile(
    r"(?P<blank>[ \t]+)"
    r"|(?P<harmless>(?:2>&1|[12]?>/dev/null|[12]?> /dev/null|&>/dev/null|</dev/null)(?=[ \t|]|$))"
    r"|(?P<bare>[A-Za-z0-9_./:@%+,\-][A-Za-z0-9_./:=@%+,\-^~*?\[\]]*|[*?\[\]=]+)"
    r"|'(?P<single>[^']*)'"
    r'|"(?P<double>[^"\\$`!]*)"'
    r"|\\(?P<escaped>[ -~])"
    r"|(?P<braces>\{\}|~/)"
    r"|(?P<pipe>\|)(?![|&])"
)


def plain_words(text: str) -> list[list[str]] | None:
    """Return the words of each program of a pipeline; None for anything but a plain one."""
    lines: list[list[str]] = [[]]
    word: str | None = None
    at = 0
    text = text.strip(" \t\n")
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        at = found.end()
        kind = found.lastgroup
        if kind in {"blank", "pipe", "harmless"}:
            if kind == "harmless" and word is not None:
                return None
            if word is not None:
                lines[-1].append(word)
                word = None
            if kind == "pipe":
                lines.append([])
        else:
            word = (word or "") + (found[kind] if kind else "")
    if word is not None:
        lines[-1].append(word)
    return lines if all(lines) else None


def agrees(line: CommandLine) -> bool:
    """Whether the strict reading of a line is the parser's."""
    strict = plain_words(line.text)
    if strict is None or len(strict) != len(line.pipeline):
        return False
    return all(
        words == [program.path, *program.texts]
        for words, program in zip(strict, line.pipeline, strict=True)
    )
