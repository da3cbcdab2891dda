"""Cards, channels and readers of mail."""

from html.parser import HTMLParser
from typing import Any

from app.clock import SystemClock
from integrations.email.channel import EmailChannel
from integrations.email.settings import EmailSettings
from tests.support.smtp import MailSink


def channel(sink: MailSink, **given: object) -> EmailChannel:
    """Return a channel that sends to the sink."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "security": "none",
              "sender": "gate@example.org", "timeout": 3.0, **given}  # fmt: skip
    return EmailChannel(EmailSettings.model_validate(values), SystemClock())


class Reader(HTMLParser):
    """What an HTML mail holds: its elements, its words with links written out, its addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._said: list[str] = []
        self._mute = 0
        self._href = ""
        self.feed(page)
        self.close()

    @property
    def words(self) -> list[str]:
        """The words that a reader sees."""
        return "".join(self._said).split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._mute += tag in ("title", "style")
        if tag == "a":
            self._href = dict(attrs)["href"] or ""
        if tag in ("p", "h1", "h2", "pre", "blockquote"):
            self._said.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._mute -= tag in ("title", "style")
        if tag == "a":
            self._said.append(f": {self._href}")

    def handle_data(self, data: str) -> None:
        if not self._mute:
            self._said.append(data)


def plain_words(text: str) -> list[str]:
    """Return the words of a text mail without what only lays it out."""
    said: list[str] = []
    for line in text.split("\n"):
        if line and not line.strip("-"):
            continue  # the rule under a heading
        for prefix in ("    ", "> ", "- "):
            if line.startswith(prefix):
                said.append(line.removeprefix(prefix))
                break
        else:
            said.append(line)
    return "\n".join(said).split()
