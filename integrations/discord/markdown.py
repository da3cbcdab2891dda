r"""Text that Discord shows as it is: nothing in it is formatting, a mention or a link (T6).

Two places are safe. In prose every mark that its markup begins with stands behind a backslash,
which Discord takes away again. In a fence nothing is markup but the three back-ticks that end it,
and line breaks at the ends are dropped: both are written out, as everything hidden is, as
``\u{0060}`` and ``\u{000A}``.
"""

import re
from typing import Final

_MARKS: Final = re.compile(r"[\\`*_~|<>#:@\[\]()+.-]")
_TICK: Final = "\\u{0060}"
_BREAK: Final = "\\u{000A}"
_FENCE: Final = "```"


def escaped(text: str) -> str:
    """Return a text for prose."""
    return _MARKS.sub(r"\\\g<0>", text)


def fenced(text: str) -> tuple[str, int]:
    """Return a text in a fence, and how many characters of it had to be written out."""
    if not text:
        return "(empty)", 0
    core = text.strip("\n")
    before = len(text) - len(text.lstrip("\n"))
    after = len(text) - len(core) - before
    inner = core.replace(_FENCE, f"``{_TICK}")
    shown = f"{_BREAK * before}{inner}{_BREAK * after}"
    return f"{_FENCE}\n{shown}\n{_FENCE}", before + after + core.count(_FENCE)


def size(text: str) -> int:
    """Return the length of a text as Discord may count it at most: in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
