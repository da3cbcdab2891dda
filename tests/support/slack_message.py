"""Messages with all their versions."""

import copy
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.slack_blocks import elements
from tests.support.slack_people import JSON, Channel, Team, User

_SPECIAL: Final = re.compile(r"<(?:[!@#][^>\n]+|[a-z][a-z0-9+.-]*:[^>\n]+)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """One version of a message."""

    text: str = ""
    blocks: list[JSON] = field(default_factory=list[JSON])
    attachments: list[JSON] = field(default_factory=list[JSON])

    @property
    def all_blocks(self) -> list[JSON]:
        """The blocks, those of the attachments too."""
        inner = [block for one in self.attachments for block in one.get("blocks") or []]
        return [*self.blocks, *inner]

    def numbered(self) -> "Content":
        """Return it with an id for every block and element that has none."""
        attachments = [
            {**one, "blocks": numbered(one["blocks"])} if one.get("blocks") else one
            for one in copy.deepcopy(self.attachments)
        ]
        return Content(self.text, numbered(self.blocks), attachments)

    @property
    def shown(self) -> str:
        """Every word that a reader sees: the blocks' words, or the text without blocks."""
        words = list(_words(self.all_blocks))
        if not self.blocks:
            words.insert(0, self.text)
        return "\n".join(words)

    @property
    def specials(self) -> list[str]:
        """What Slack takes for a mention or a link, such as ``<!channel>`` or ``<https://…|x>``."""
        marked = [self.text, *_marked(self.all_blocks)]
        return [found for words in marked for found in _SPECIAL.findall(words)]


@dataclass(eq=False)
class Message:
    """A message of the application's.

    :ivar versions: what it said, oldest first.
    :ivar only_for: who alone sees it, if it is ephemeral.
    :ivar edited: the time of the last change; empty if there was none.
    :ivar by_response: made through a ``response_url`` or as the answer to a slash command.
    """

    ts: str
    team: Team
    channel: Channel
    versions: list[Content]
    app_id: str
    only_for: User | None = None
    thread_ts: str = ""
    metadata: JSON | None = None
    edited: str = ""
    deleted: bool = False
    by_response: bool = False

    @property
    def author(self) -> User:
        """The application's user."""
        return self.team.bot

    @property
    def content(self) -> Content:
        """What it says now."""
        return self.versions[-1]

    @property
    def text(self) -> str:
        """The text that notifications show."""
        return self.content.text

    @property
    def blocks(self) -> list[JSON]:
        """The blocks that it has now."""
        return self.content.blocks

    @property
    def shown(self) -> str:
        """Every word that a reader sees now."""
        return self.content.shown

    @property
    def specials(self) -> list[str]:
        """Mentions and links of the present version."""
        return self.content.specials

    @property
    def buttons(self) -> list[JSON]:
        """What can be pressed."""
        return [element for _, element in elements(self.content.all_blocks)]

    def visible_to(self, user: User) -> bool:
        """Return whether a user sees it."""
        if self.deleted or user.deleted or user not in self.channel.members:
            return False
        return self.only_for in {None, user}

    def json(self) -> JSON:
        """Return the message object."""
        content = self.content
        whole: JSON = {
            "type": "message", "user": self.author.id, "ts": self.ts, "bot_id": self.team.bot_id,
            "app_id": self.app_id, "text": content.text, "team": self.team.id,
            "bot_profile": {
                "id": self.team.bot_id, "app_id": self.app_id, "deleted": False,
                "name": self.author.name, "updated": 1_700_000_000, "team_id": self.team.id,
            },
        }  # fmt: skip
        more: JSON = {
            "blocks": content.blocks, "attachments": content.attachments,
            "thread_ts": self.thread_ts, "metadata": self.metadata,
            "edited": {"user": self.author.id, "ts": self.edited} if self.edited else None,
        }  # fmt: skip
        return copy.deepcopy({**whole, **{name: value for name, value in more.items() if value}})


def numbered(blocks: list[JSON]) -> list[JSON]:
    """Return blocks with an id for every block and element that has none."""
    own: list[JSON] = copy.deepcopy(blocks)
    for at, block in enumerate(own):
        block.setdefault("block_id", f"b{at:04}")
    for at, (_, element) in enumerate(elements(own)):
        if element["type"] != "image":
            element.setdefault("action_id", f"a{at:04}")
    return own


def escaped(text: str) -> str:
    """Return a text as Slack keeps it, with entities for what is no mention and no link."""
    parts, at = list[str](), 0
    for special in _SPECIAL.finditer(text):
        parts += [_entities(text[at : special.start()]), special.group()]
        at = special.end()
    return "".join([*parts, _entities(text[at:])])


def _entities(text: str) -> str:
    return html.escape(html.unescape(text), quote=False)


def _marked(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _marked(one)
    elif isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield str(part["text"])
        if part.get("type") == "broadcast":
            yield f"<!{part['range']}>"
        if part.get("type") == "link":
            yield f"<{part['url']}>"
        for value in part.values():
            yield from _marked(value)


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _words(one)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for value in part.values():
            yield from _words(value)
