"""Paints an approval card for a terminal: the order of every surface, and every byte of it.

The server writes hidden characters out; whatever control character still came is written out
here once more, so that nothing that an agent wrote can move the cursor or colour a line (T8).
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LABELS_OF_WHY: Final = ("Warning", "Rule", "Why")
_URGENT: Final = ("high", "critical")
_COLOURS: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "amber": "33", "blue": "34"}
_OF_STATUS: Final = {
    "pending": "amber", "approved": "green", "succeeded": "green", "executing": "blue",
    "denied": "red", "failed": "red", "unknown": "red",
}  # fmt: skip


def plain(text: str) -> str:
    r"""Return a text with everything that a terminal could obey written out as ``\u{1B}``."""
    return "".join(
        f"\\u{{{ord(char):X}}}"
        if char not in "\n\t" and unicodedata.category(char) in _HIDDEN
        else char
        for char in text
    )


def line(text: str) -> str:
    """Return a text as one line."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What is painted on.

    :ivar width: columns.
    :ivar colour: whether words may be coloured; nothing is said by colour alone.
    """

    width: int = 80
    colour: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """Return a text of ours in a style."""
        if not self.colour:
            return text
        codes = ";".join(_COLOURS[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def card(shown: Mapping[str, Any], terminal: Terminal) -> str:
    """Return the card of a request as text, whole."""
    return "\n".join(_card(shown, terminal)) + "\n"


def row(shown: Mapping[str, Any], terminal: Terminal) -> str:
    """Return a card as one entry of a list: headline, parameters in short, who asks, and why."""
    facts = dict(map(tuple[str, str], shown["facts"]))
    urgency = shown["urgency"] if shown["urgency"] in _URGENT else ""
    about = (
        line(facts.get("Agent", "?")), f"expires {line(facts.get('Expires', '?'))}",
        shown["risk"] and f"risk {line(shown['risk'])}", urgency and f"urgency {line(urgency)}",
    )  # fmt: skip
    room = max(20, terminal.width - 4)
    params = next((x["text"] for x in shown["blocks"] if x["title"] == "Parameters"), "")
    lines = [f"{line(shown['id'])}  {terminal.paint(line(shown['headline']), 'bold')}"]
    if params and params != "{}":
        lines.append(f"    {_cut(' '.join(params.split()), room)}")
    lines.append(f"    {terminal.paint(' · '.join(filter(None, about)), 'dim')}")
    if shown["reason"]:
        lines.append(f"    {_cut('The agent says: ' + shown['reason'], room)}")
    return "\n".join(lines)


def _cut(text: str, room: int) -> str:
    """Return a text as one line of at most so many columns."""
    pieces = _pieces(line(text), room)
    return pieces[0] if len(pieces) == 1 else _pieces(pieces[0], room - 1)[0] + "…"


def _card(shown: Mapping[str, Any], terminal: Terminal) -> Iterator[str]:
    state = line(shown["state"])
    style = _OF_STATUS.get(shown["status"], "dim")
    yield terminal.paint(line(shown["headline"]), "bold")
    yield terminal.paint(f"[{line(shown['status'])}] {state}", style)
    yield from _section("What it does", _does(shown), terminal)
    yield from _section("Who asks", _facts(shown, why=False), terminal)
    yield from _section("What will run", _runs(shown, terminal), terminal)
    says = [text for text in (shown["reason"], shown["context"]) if text]
    yield from _section(
        "The agent says (claimed, not checked)",
        (part for text in says for part in _quoted(text, terminal)), terminal,
    )  # fmt: skip
    yield from _section("Who may decide", map(line, shown["seats"]), terminal)
    yield from _section("What happened", map(line, shown["timeline"]), terminal)
    yield ""
    yield terminal.paint(f"Request {line(shown['id'])}, digest {line(shown['digest'])[:12]}", "dim")
    yield terminal.paint(line(shown["url"]), "dim")


def _section(title: str, lines: Iterator[str], terminal: Terminal) -> Iterator[str]:
    filled = list(lines)
    if filled:
        yield ""
        yield terminal.paint(title, "bold")
        yield from (f"  {text}" for text in filled)


def _does(shown: Mapping[str, Any]) -> Iterator[str]:
    yield f"It {line(shown['consequence'])}"
    if shown["risk"]:
        yield "Risk: " + "; ".join(map(line, (shown["risk"], *shown["risk_reasons"])))
    if shown["urgency"] in _URGENT:
        yield f"Urgency: {shown['urgency']}"
    yield from _facts(shown, why=True)
    if shown["hidden"]:
        yield f"Warning: {shown['hidden']} hidden characters are written out as \\u{{…}}."
    if shown["mixed"]:
        yield f"Warning: {shown['mixed']} words are written in mixed or look-alike letters."


def _facts(shown: Mapping[str, Any], *, why: bool) -> Iterator[str]:
    for label, value in shown["facts"]:
        if (label in _LABELS_OF_WHY) is why:
            yield f"{line(label)}: {line(value)}"


def _runs(shown: Mapping[str, Any], terminal: Terminal) -> Iterator[str]:
    for block in shown["blocks"]:
        note = f" ({line(block['note'])})" if block["note"] else ""
        yield terminal.paint(f"{line(block['title'])}{note}", "dim")
        yield from _quoted(block["text"], terminal)
    for added in shown["added"]:
        yield f"Added by Assentry: {line(added)}"


def _quoted(text: str, terminal: Terminal) -> Iterator[str]:
    """Yield what others wrote behind a bar, wrapped at the width; a wrapped line shows a mark."""
    room = max(20, terminal.width - 6)
    for written in plain(text).replace("\t", "\\t").split("\n"):
        pieces = _pieces(written, room)
        for number, piece in enumerate(pieces):
            yield f"{'│' if number == 0 else '┆'} {piece}"


def _pieces(written: str, room: int) -> list[str]:
    """Cut a line at the width; the terminal's own wrapping would leave a line without a bar."""
    pieces, piece, used = list[str](), "", 0
    for char in written:
        columns = _columns(char)
        if used + columns > room:
            pieces.append(piece)
            piece, used = "", 0
        piece += char
        used += columns
    return [*pieces, piece]


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WFA" else 1
