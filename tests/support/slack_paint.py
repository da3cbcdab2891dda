"""Messages, modals and home tabs as HTML, painted from their blocks."""

from collections.abc import Iterable
from html import escape
from typing import Final

from tests.support.slack_controls import entry, hidden, pressed
from tests.support.slack_message import Message
from tests.support.slack_people import JSON, User
from tests.support.slack_text import Texts, box
from tests.support.slack_view import View
from tests.support.slack_world import World

CSS: Final = """
body{margin:0;font:15px/1.45 system-ui,sans-serif;color:#1d1c1d;background:#f8f8f8;display:flex}
nav{width:15rem;min-height:100vh;padding:1rem;background:#ebe6ec;box-sizing:border-box}
nav a{display:block;padding:.2rem .5rem;border-radius:.3rem;color:inherit;text-decoration:none}
nav a[aria-current]{background:#fff;font-weight:600} nav h2{font-size:1rem;margin:1rem 0 .3rem}
main{flex:1;min-width:0;max-width:48rem;padding:1rem 2rem}
article,section.modal{margin:.8rem 0;padding:.7rem 1rem;background:#fff;border:1px solid #ddd;
border-radius:.5rem} section.modal{border:2px solid #611f69}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0} h3{margin:.3rem 0}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:.3rem 1rem}
.small,.context{color:#616061;font-size:.85em} .mention{background:#fff2c9;color:#7a4b00}
.attached{border-left:4px solid #ccc;padding-left:.7rem} form{display:inline-block}
pre,code{background:#f0f0f0;overflow-wrap:anywhere;white-space:pre-wrap} pre{padding:.5rem}
blockquote{margin:.3rem 0;padding-left:.7rem;border-left:4px solid #ccc}
button{font:inherit;padding:.25rem .9rem;margin:.2rem;border:1px solid #8a8a8a;border-radius:.3rem;
background:#fff;color:#1d1c1d;cursor:pointer} button.primary{background:#00704a;color:#fff}
button.danger{background:#b8123c;color:#fff} label{display:block;margin:.5rem 0}
input:not([type=checkbox]):not([type=radio]),textarea,select{font:inherit;box-sizing:border-box}
main label>input:not([type=checkbox]):not([type=radio]),textarea{width:100%}
[role=alert]{color:#a0002c;font-weight:600}
"""


class Painter:
    """Paints for one person.

    :ivar fields: the hidden fields that every form of the page has.
    """

    def __init__(self, world: World, user: User, fields: str) -> None:
        """Paint what a world has."""
        self.user = user
        self.fields = fields
        self.texts = Texts(world)

    def message(self, message: Message) -> str:
        """Return a message."""
        marks = ["only you can see this"] if message.only_for else []
        marks += ["edited"] if message.edited else []
        marks += ["in a thread"] if message.thread_ts else []
        head = f"<strong>{escape(message.author.name)}</strong> "
        head += f'<span class="small">{escape(message.ts)} {" · ".join(marks)}</span>'
        content = message.content
        where = self.fields + hidden(message=message.ts, place=message.channel.id)
        body = "" if content.blocks else box(self.texts.mrkdwn(content.text))
        body += self._blocks(content.blocks, where)
        body += "".join(self._attachment(one, where) for one in content.attachments)
        return f'<article id="m{escape(message.ts)}">{head}{body}</article>'

    def home(self, view: View) -> str:
        """Return a home tab."""
        return self._blocks(view.blocks, self.fields + hidden(view=view.id))

    def modal(self, view: View, below: int = 0) -> str:
        """Return a modal, and a word on those that lie below."""
        where = self.fields + hidden(view=view.id)
        body = "".join(self._modal_block(block, view, where) for block in view.blocks)
        said = view.content
        send = escape(said.get("submit", {}).get("text", ""))
        foot = f'<form id="sent" method="post" action="/submit">{where}'
        foot += f'<button class="primary">{send}</button></form>' if send else "</form>"
        close = escape((said.get("close") or {}).get("text") or "Cancel")
        foot += f'<form method="post" action="/close">{where}<button>{close}</button></form>'
        note = f'<p class="small">{below} more below</p>' if below else ""
        title = escape(view.title)
        opening = f'<section class="modal" role="dialog" aria-label="{title}"><h2>{title}</h2>'
        return f"{opening}{body}{foot}{note}</section>"

    def _modal_block(self, block: JSON, view: View, where: str) -> str:
        if block["type"] != "input":
            return self._block(block, where)
        element, name = block["element"], block["block_id"]
        optional = bool(block.get("optional"))
        control = entry(element, f"value:{name}", self.user.team, optional=optional)
        label = self.texts.of(block["label"]) + (" (optional)" if optional else "")
        hint = f'<div class="small">{self.texts.of(block.get("hint"))}</div>'
        wrong = view.errors.get(name)
        alert = f'<p role="alert">{escape(wrong)}</p>' if wrong else ""
        if element["type"] in {"checkboxes", "radio_buttons"}:
            return f"<fieldset><legend>{label}</legend>{control}{hint}</fieldset>{alert}"
        return f"<label>{label}{control}{hint}</label>{alert}"

    def _attachment(self, one: JSON, where: str) -> str:
        words = [one.get(name) or "" for name in ("pretext", "title", "text")]
        shown = "".join(box(self.texts.mrkdwn(str(word))) for word in words)
        shown += self._blocks(one.get("blocks") or [], where)
        return f'<div class="attached">{shown or box(escape(one.get("fallback") or ""))}</div>'

    def _blocks(self, blocks: Iterable[JSON], where: str) -> str:
        return "".join(self._block(block, where) for block in blocks)

    def _block(self, block: JSON, where: str) -> str:
        kind = block["type"]
        if kind == "header":
            return f"<h3>{self.texts.of(block['text'])}</h3>"
        if kind == "divider":
            return "<hr>"
        if kind == "rich_text":
            return self.texts.rich(block)
        if kind == "markdown":
            return box(escape(block["text"]))
        if kind == "image":
            return _image(block)
        return self._compound(block, where)

    def _compound(self, block: JSON, where: str) -> str:
        kind, where = block["type"], where + hidden(block=block["block_id"])
        if kind == "actions":
            return f"<div>{''.join(self._element(one, where) for one in block['elements'])}</div>"
        if kind == "context":
            shown = " · ".join(self._small(one) for one in block["elements"])
            return f'<div class="context text">{shown}</div>'
        if kind == "input":
            shown = box(self.texts.of(block["label"]))
            return shown + self._element(block["element"], where)
        shown = box(self.texts.of(block.get("text")))
        fields = "".join(box(self.texts.of(one)) for one in block.get("fields") or [])
        shown += f'<div class="fields">{fields}</div>' if fields else ""
        return shown + (self._element(block["accessory"], where) if "accessory" in block else "")

    def _small(self, one: JSON) -> str:
        return _image(one) if one["type"] == "image" else self.texts.of(one)

    def _element(self, element: JSON, where: str) -> str:
        if element["type"] == "image":
            return _image(element)
        return pressed(element, where + hidden(action_id=element["action_id"]), self.user.team)


def _image(part: JSON) -> str:
    """Return an image's words; the page loads nothing from elsewhere."""
    return f'<span class="small">[image: {escape(part["alt_text"])}]</span>'
