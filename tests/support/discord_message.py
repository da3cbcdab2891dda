"""Messages and everything that happened to them; components, mentions, attachments."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.discord_people import JSON, Channel, User

EPHEMERAL: Final = 1 << 6
LOADING: Final = 1 << 7
COMPONENTS_V2: Final = 1 << 15
_SETTABLE: Final = 1 << 2 | 1 << 12 | COMPONENTS_V2
_MENTION: Final = re.compile(r"<@(?P<role>&)?!?(?P<id>\d+)>|@(?P<all>everyone|here)")
_TEXT_DISPLAY: Final = 10


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message."""

    id: int
    filename: str
    content_type: str
    data: bytes
    description: str | None = None

    def json(self) -> JSON:
        """Return the attachment object."""
        url = f"https://cdn.discordapp.invalid/attachments/{self.id}/{self.filename}"
        more = {} if self.description is None else {"description": self.description}
        return {
            "id": str(self.id),
            "filename": self.filename,
            "size": len(self.data),
            "content_type": self.content_type,
            "url": url,
            "proxy_url": url,
            **more,
        }


def walk(components: list[JSON]) -> list[JSON]:
    """Return components and all that they hold, outer ones first."""
    found: list[JSON] = []
    for component in components:
        inner = [component[key] for key in ("component", "accessory") if component.get(key)]
        found += [component, *walk([*(component.get("components") or []), *inner])]
    return found


def find_component(components: list[JSON], custom_id: str) -> JSON | None:
    """Return the component of an id, however deep."""
    return next((x for x in walk(components) if x.get("custom_id") == custom_id), None)


def may_ping(match: re.Match[str], allowed: JSON | None) -> bool:
    """Return whether a mention notifies, given what the writer allowed; None allows all."""
    if allowed is None:
        return True
    kind = "everyone" if match["all"] else "roles" if match["role"] else "users"
    named = [str(one) for one in allowed.get(kind) or []] if kind != "everyone" else []
    return kind in (allowed.get("parse") or []) or match["id"] in named


@dataclass(eq=False)
class Message:
    """A message.

    :ivar history: its JSON before each edit, oldest first.
    :ivar allowed_mentions: what each write said on this, None where it said nothing.
    :ivar pinged: whom any write would have notified: users' ids, ``&`` and a role's id,
        ``everyone`` or ``here``.
    :ivar only_for: the one user who sees it, when it is ephemeral.
    :ivar stamp: what names the interaction that it answers, merged into its JSON.
    """

    id: int
    channel: Channel
    author: User
    created: str
    content: str = ""
    embeds: list[JSON] = field(default_factory=list[JSON])
    components: list[JSON] = field(default_factory=list[JSON])
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    flags: int = 0
    kind: int = 0
    nonce: str | None = None
    edited: str | None = None
    deleted: bool = False
    reference: "Message | None" = None
    only_for: User | None = None
    stamp: Callable[[], JSON] = dict[str, Any]
    history: list[JSON] = field(default_factory=list[JSON])
    allowed_mentions: list[JSON | None] = field(default_factory=list[JSON | None])
    pinged: list[str] = field(default_factory=list[str])

    @property
    def ephemeral(self) -> bool:
        """Whether one user alone sees it."""
        return self.only_for is not None

    @property
    def loading(self) -> bool:
        """Whether it says "is thinking…" until the application fills it in."""
        return bool(self.flags & LOADING)

    def json(self) -> JSON:
        """Return the message object."""
        body: JSON = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "type": self.kind,
            "author": self.author.json(),
            "content": self.content,
            "embeds": self.embeds,
            "components": self.components,
            "attachments": [file.json() for file in self.attachments],
            "mentions": [],
            "mention_roles": [who[1:] for who in self.pinged if who.startswith("&")],
            "mention_everyone": "everyone" in self.pinged or "here" in self.pinged,
            "pinned": False,
            "tts": False,
            "timestamp": self.created,
            "edited_timestamp": self.edited,
            "flags": self.flags,
        }
        if self.nonce is not None:
            body["nonce"] = self.nonce
        if self.reference is not None:
            there = {"message_id": str(self.reference.id), "channel_id": body["channel_id"]}
            body["message_reference"] = {"type": 0, **there}
        return body | self.stamp()

    def write(self, body: JSON, files: list[Attachment]) -> None:
        """Take over what a body says; what it leaves out stays."""
        if "content" in body:
            self.content = body["content"] or ""
        if "embeds" in body:
            self.embeds = [{"type": "rich", **embed} for embed in body["embeds"] or []]
        if "components" in body:
            self.components = body["components"] or []
            for number, component in enumerate(walk(self.components), 1):
                component.setdefault("id", number)
        self._attach(body, files)
        self.flags = (self.flags & ~LOADING) | (int(body.get("flags") or 0) & _SETTABLE)
        self._ping(body.get("allowed_mentions"))

    def edit(self, body: JSON, files: list[Attachment], now: str) -> None:
        """Take over an edit, and keep what was there before."""
        self.history.append(self.json())
        self.write(body, files)
        self.edited = now

    def _attach(self, body: JSON, files: list[Attachment]) -> None:
        if "attachments" in body:
            kept = {str(file.get("id")) for file in body["attachments"] or []}
            self.attachments = [file for file in self.attachments if str(file.id) in kept]
        self.attachments += files

    def _ping(self, allowed: JSON | None) -> None:
        self.allowed_mentions.append(allowed)
        for text in (self.content, *self._displays()):
            for match in _MENTION.finditer(text):
                whom = match["all"] or f"{match['role'] or ''}{match['id']}"
                if may_ping(match, allowed) and whom not in self.pinged:
                    self.pinged.append(whom)
        replied = self.reference
        if replied is not None and (allowed is None or allowed.get("replied_user")):
            self.pinged += [who for who in [str(replied.author.id)] if who not in self.pinged]

    def _displays(self) -> list[str]:
        parts = walk(self.components)
        return [part.get("content") or "" for part in parts if part.get("type") == _TEXT_DISPLAY]

    @property
    def buttons(self) -> dict[str, str]:
        """The ids of the buttons that can be pressed now, by label."""
        return {
            part.get("label") or part["custom_id"]: part["custom_id"]
            for part in walk(self.components)
            if part.get("type") == 2 and "custom_id" in part and not part.get("disabled")
        }

    @property
    def text(self) -> str:
        """Everything that can be read: content, embeds and text displays, line by line."""
        parts = [self.content]
        for embed in self.embeds:
            parts += [embed.get("title"), embed.get("description")]
            for pair in embed.get("fields") or []:
                parts += [pair["name"], pair["value"]]
            parts.append((embed.get("footer") or {}).get("text"))
        return "\n".join(part for part in [*parts, *self._displays()] if part)
