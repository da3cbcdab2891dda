"""Slack's texts as HTML: plain text, mrkdwn and rich text, as a reader sees them."""

import re
from html import escape, unescape
from typing import Final

from tests.support.slack_people import JSON
from tests.support.slack_world import World

_TOKEN: Final = re.compile(
    r"```(?P<pre>.+?)```|`(?P<code>[^`\n]+)`|<(?P<mark>[^<>\n]+)>|(?P<plain>[^`<]+|[`<])", re.DOTALL
)
_STYLES: Final = tuple(
    (re.compile(rf"(?<![\w{sign}]){sign}(\S(?:[^{sign}\n]*\S)?){sign}(?![\w{sign}])"), tag)
    for sign, tag in ((r"\*", "strong"), ("_", "em"), ("~", "s"))
)
_LEAF_TAGS: Final = {"bold": "strong", "italic": "em", "strike": "s", "code": "code"}
_SAFE: Final = ("http://", "https://", "mailto:")


def box(inner: str) -> str:
    """Return a text that keeps its line breaks."""
    return f'<div class="text">{inner}</div>' if inner else ""


def link(url: str, label: str) -> str:
    """Return a link, or the words alone if following it is not safe."""
    if not url.startswith(_SAFE):
        return escape(label)
    return f'<a href="{escape(url)}" rel="noreferrer">{escape(label)}</a>'


class Texts:
    """Spells texts out, with the names of a world."""

    def __init__(self, world: World) -> None:
        """Look names up in this one."""
        self.world = world

    def of(self, text: JSON | None) -> str:
        """Return a text object."""
        if not text:
            return ""
        source = str(text.get("text", ""))
        return self.mrkdwn(source) if text.get("type") == "mrkdwn" else _plain(source)

    def mrkdwn(self, source: str) -> str:
        """Return a marked text."""
        return "".join(self._token(found) for found in _TOKEN.finditer(source))

    def rich(self, block: JSON) -> str:
        """Return a rich text block."""
        return "".join(self._rich_part(part) for part in block["elements"])

    def _token(self, found: re.Match[str]) -> str:
        kind, inner = found.lastgroup, found[found.lastgroup or 0]
        if kind in {"pre", "code"}:
            return f"<{kind}>{_plain(inner)}</{kind}>"
        return self._mark(inner) if kind == "mark" else _styled(_plain(inner))

    def _mark(self, mark: str) -> str:
        target, _, label = unescape(mark).partition("|")
        if target[0] == "@":
            return _mention("@" + self._person(target[1:]))
        if target[0] == "#":
            return _mention("#" + self._place(target[1:]))
        if target[0] == "!":
            return _mention(label or "@" + target[1:].partition("^")[0])
        if ":" in target:
            return link(target, label or target)
        return escape(f"<{mark}>")

    def _rich_part(self, part: JSON) -> str:
        kind = part["type"]
        if kind == "rich_text_list":
            items = "".join(f"<li>{self._leaves(item)}</li>" for item in part["elements"])
            tag = "ol" if part["style"] == "ordered" else "ul"
            return f"<{tag}>{items}</{tag}>"
        tag = {"rich_text_preformatted": "pre", "rich_text_quote": "blockquote"}.get(kind, "div")
        return f'<{tag} class="text">{self._leaves(part)}</{tag}>'

    def _leaves(self, part: JSON) -> str:
        return "".join(self._leaf(leaf) for leaf in part["elements"])

    def _leaf(self, leaf: JSON) -> str:
        words = self._words(leaf)
        for name, tag in _LEAF_TAGS.items():
            if leaf.get("style", {}).get(name):
                words = f"<{tag}>{words}</{tag}>"
        return words

    def _words(self, leaf: JSON) -> str:
        kind = leaf["type"]
        if kind == "link":
            return link(leaf["url"], leaf.get("text") or leaf["url"])
        if kind == "user":
            return _mention("@" + self._person(leaf["user_id"]))
        if kind == "channel":
            return _mention("#" + self._place(leaf["channel_id"]))
        if kind == "broadcast":
            return _mention("@" + leaf["range"])
        if kind == "emoji":
            return escape(f":{leaf['name']}:")
        known = (leaf.get(name) for name in ("text", "fallback", "value", "usergroup_id"))
        return escape(str(next((words for words in known if words), "")))

    def _person(self, name: str) -> str:
        user = self.world.user(name)
        return user.name if user else name

    def _place(self, name: str) -> str:
        places = (team.channels.get(name) for team in self.world.teams.values())
        return next((place.name for place in places if place), name)


def _plain(source: str) -> str:
    return escape(unescape(source))


def _styled(words: str) -> str:
    for pattern, tag in _STYLES:
        words = pattern.sub(rf"<{tag}>\1</{tag}>", words)
    return words


def _mention(words: str) -> str:
    return f'<span class="mention">{escape(words)}</span>'
