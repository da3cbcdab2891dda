"""What Discord refuses: the documented limits, with its tree of errors."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.discord_message import COMPONENTS_V2, walk
from tests.support.discord_people import JSON

CONTENT: Final = 2000
EMBEDS: Final = 10
EMBEDS_TOTAL: Final = 6000
FIELDS: Final = 25
ROWS: Final = 5
BUTTONS: Final = 5
OPTIONS: Final = 25
V2_COMPONENTS: Final = 40
_V2_TYPES: Final = (1, 9, 10, 12, 13, 14, 17)
_COMMAND_NAME: Final = re.compile(r"[-_'\w]{1,32}")
_LINK: Final = 5


class Refused(Exception):
    """Discord's way of saying no.

    :ivar status: the HTTP status.
    :ivar code: Discord's own code.
    """

    def __init__(self, status: int, code: int, message: str, errors: JSON | None = None) -> None:
        """Say it."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = errors

    def json(self) -> JSON:
        """Return the error object."""
        more = {} if self.errors is None else {"errors": self.errors}
        return {"message": str(self), "code": self.code, **more}


@dataclass
class Form:
    """Collects what is wrong with a body, by path."""

    errors: dict[str, Any] = field(default_factory=dict[str, Any])

    def wrong(self, path: str, code: str, message: str) -> None:
        """Note an error at a path such as ``embeds.0.title``."""
        place = self.errors
        for part in path.split("."):
            place = place.setdefault(part, {})
        place.setdefault("_errors", []).append({"code": code, "message": message})

    def required(self, path: str) -> None:
        """Note that something is missing."""
        self.wrong(path, "BASE_TYPE_REQUIRED", "This field is required")

    def text(self, path: str, value: object, most: int, least: int = 0) -> None:
        """Check a text's type and length; None passes where nothing is demanded."""
        if value is None or value == "":
            if least:
                self.required(path)
            return
        if not isinstance(value, str):
            self.wrong(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
        elif len(value) > most:
            self._length(path, most, least)

    def size(self, path: str, values: list[Any], most: int, least: int = 0) -> None:
        """Check how many there are."""
        if not least <= len(values) <= most:
            self._length(path, most, least)

    def choice(self, path: str, value: object, *allowed: object) -> None:
        """Check that a value is one of some."""
        if value not in allowed:
            listed = ", ".join(map(str, allowed))
            self.wrong(path, "BASE_TYPE_CHOICES", f"Value must be one of {{{listed}}}.")

    def url(self, path: str, value: object) -> None:
        """Check that a link, where there is one, is one that a browser opens."""
        scheme = str(value or "https:").partition(":")[0]
        if scheme not in {"http", "https", "attachment"}:
            message = f"Scheme \"{scheme}\" must be one of ('http', 'https')."
            self.wrong(path, "URL_TYPE_INVALID_SCHEME", message)

    def done(self) -> None:
        """Refuse the body when anything was wrong.

        :raises Refused: with the tree of errors.
        """
        if self.errors:
            raise Refused(400, 50035, "Invalid Form Body", self.errors)

    def _length(self, path: str, most: int, least: int) -> None:
        if least:
            message = f"Must be between {least} and {most} in length."
            self.wrong(path, "BASE_TYPE_BAD_LENGTH", message)
        else:
            self.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")


def check_message(body: JSON, prefix: str = "") -> None:
    """Refuse a message that Discord would not take.

    :param prefix: where the message is in the body, such as ``data.``.
    :raises Refused: with the tree of errors.
    """
    form = Form()
    form.text(f"{prefix}content", body.get("content"), CONTENT)
    embeds: list[JSON] = body.get("embeds") or []
    components: list[JSON] = body.get("components") or []
    form.size(f"{prefix}embeds", embeds, EMBEDS)
    for at, embed in enumerate(embeds):
        _embed(form, f"{prefix}embeds.{at}", embed)
    if sum(map(_embed_length, embeds)) > EMBEDS_TOTAL:
        message = f"Embed size exceeds maximum size of {EMBEDS_TOTAL}"
        form.wrong(f"{prefix}embeds", "MAX_EMBED_SIZE_EXCEEDED", message)
    if int(body.get("flags") or 0) & COMPONENTS_V2:
        _components_v2(form, prefix, body, components)
    else:
        _rows(form, f"{prefix}components", components)
    _unique(form, f"{prefix}components", components)
    _mentions(form, f"{prefix}allowed_mentions", body.get("allowed_mentions"))
    form.done()


def _embed_length(embed: JSON) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    texts += [pair.get(key) for pair in embed.get("fields") or [] for key in ("name", "value")]
    return sum(len(text.strip()) for text in texts if isinstance(text, str))


def _embed(form: Form, path: str, embed: JSON) -> None:
    form.text(f"{path}.title", embed.get("title"), 256)
    form.text(f"{path}.description", embed.get("description"), 4096)
    form.text(f"{path}.footer.text", (embed.get("footer") or {}).get("text"), 2048)
    form.text(f"{path}.author.name", (embed.get("author") or {}).get("name"), 256)
    form.url(f"{path}.url", embed.get("url"))
    if not 0 <= int(embed.get("color") or 0) <= 0xFFFFFF:
        message = "int value should be less than or equal to 16777215."
        form.wrong(f"{path}.color", "NUMBER_TYPE_MAX", message)
    pairs: list[JSON] = embed.get("fields") or []
    form.size(f"{path}.fields", pairs, FIELDS)
    for at, pair in enumerate(pairs):
        form.text(f"{path}.fields.{at}.name", (pair.get("name") or "").strip(), 256, 1)
        form.text(f"{path}.fields.{at}.value", (pair.get("value") or "").strip(), 1024, 1)
    if not any(embed.get(key) for key in (*_EMBED_PARTS, "fields")):
        form.required(f"{path}.description")


_EMBED_PARTS: Final = ("title", "description", "footer", "author", "image", "thumbnail")


def _rows(form: Form, path: str, rows: list[JSON]) -> None:
    form.size(path, rows, ROWS, 1 if rows else 0)
    for at, row in enumerate(rows):
        if row.get("type") != 1:
            message = 'Value of field "type" must be one of (1,).'
            form.wrong(f"{path}.{at}", "UNION_TYPE_CHOICES", message)
            continue
        _row(form, f"{path}.{at}", row)


def _row(form: Form, path: str, row: JSON) -> None:
    inner: list[JSON] = row.get("components") or []
    form.size(f"{path}.components", inner, BUTTONS, 1)
    for at, component in enumerate(inner):
        _component(form, f"{path}.components.{at}", component)
    if len(inner) > 1 and any(part.get("type") != 2 for part in inner):
        message = "The specified component exceeds the maximum width"
        form.wrong(f"{path}.components.1", "COMPONENT_LAYOUT_WIDTH_EXCEEDED", message)


def _component(form: Form, path: str, component: JSON) -> None:
    kind = component.get("type")
    form.choice(f"{path}.type", kind, 2, 3, 5, 6, 7, 8)
    if kind == 2:
        _button(form, path, component)
        return
    form.text(f"{path}.custom_id", component.get("custom_id"), 100, 1)
    form.text(f"{path}.placeholder", component.get("placeholder"), 150)
    if kind == 3:
        options: list[JSON] = component.get("options") or []
        form.size(f"{path}.options", options, OPTIONS, 1)
        for at, option in enumerate(options):
            form.text(f"{path}.options.{at}.label", option.get("label"), 100, 1)
            form.text(f"{path}.options.{at}.value", option.get("value"), 100, 1)
            form.text(f"{path}.options.{at}.description", option.get("description"), 100)


def _button(form: Form, path: str, button: JSON) -> None:
    style = button.get("style")
    form.choice(f"{path}.style", style, 1, 2, 3, 4, 5, 6)
    form.text(f"{path}.label", button.get("label"), 80)
    if style == _LINK:
        form.text(f"{path}.url", button.get("url"), 512, 1)
        form.url(f"{path}.url", button.get("url"))
        if button.get("custom_id"):
            message = "A custom id and url cannot both be specified"
            form.wrong(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", message)
        return
    form.text(f"{path}.custom_id", button.get("custom_id"), 100, 1)
    if not button.get("label") and not button.get("emoji"):
        form.wrong(path, "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji")


def _components_v2(form: Form, prefix: str, body: JSON, components: list[JSON]) -> None:
    path = f"{prefix}components"
    for key in ("content", "embeds"):
        if body.get(key):
            message = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            form.wrong(
                f"{prefix}{key}", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message
            )
    everything = walk(components)
    form.size(path, everything, V2_COMPONENTS, 1)
    for at, component in enumerate(components):
        form.choice(f"{path}.{at}.type", component.get("type"), *_V2_TYPES)
    for component in everything:
        if component.get("type") == 2:
            _button(form, path, component)
        elif component.get("type") == 1:
            _row(form, path, component)
    texts = [part.get("content") or "" for part in everything if part.get("type") == 10]
    if sum(map(len, texts)) > 4000:
        message = "Total size of displayable text exceeds maximum size of 4000"
        form.wrong(path, "COMPONENT_MAX_TOTAL_TEXT_SIZE_EXCEEDED", message)


def _unique(form: Form, path: str, components: list[JSON]) -> None:
    seen: set[str] = set()
    for component in walk(components):
        custom_id = component.get("custom_id")
        if custom_id in seen:
            message = "Component custom id cannot be duplicated"
            form.wrong(path, "COMPONENT_CUSTOM_ID_DUPLICATED", message)
        if custom_id:
            seen.add(custom_id)


def _mentions(form: Form, path: str, allowed: JSON | None) -> None:
    if allowed is None:
        return
    for at, kind in enumerate(allowed.get("parse") or []):
        form.choice(f"{path}.parse.{at}", kind, "roles", "users", "everyone")
    for kind in ("roles", "users"):
        form.size(f"{path}.{kind}", allowed.get(kind) or [], 100)
        if kind in (allowed.get("parse") or []) and allowed.get(kind):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            form.wrong(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)


def check_modal(modal: JSON) -> None:
    """Refuse a modal that Discord would not open.

    :raises Refused: with the tree of errors.
    """
    form = Form()
    form.text("data.custom_id", modal.get("custom_id"), 100, 1)
    form.text("data.title", modal.get("title"), 45, 1)
    components: list[JSON] = modal.get("components") or []
    form.size("data.components", components, 5, 1)
    for at, component in enumerate(components):
        _modal_part(form, f"data.components.{at}", component)
    _unique(form, "data.components", components)
    form.done()


def _modal_part(form: Form, path: str, part: JSON) -> None:
    form.choice(f"{path}.type", part.get("type"), 1, 10, 18)
    if part.get("type") == 1:
        inner: list[JSON] = part.get("components") or []
        form.size(f"{path}.components", inner, 1, 1)
        for at, component in enumerate(inner):
            form.choice(f"{path}.components.{at}.type", component.get("type"), 4)
            form.text(f"{path}.components.{at}.label", component.get("label"), 45, 1)
            _input(form, f"{path}.components.{at}", component)
    elif part.get("type") == 18:
        form.text(f"{path}.label", part.get("label"), 45, 1)
        form.text(f"{path}.description", part.get("description"), 100)
        component = part.get("component") or {}
        form.choice(
            f"{path}.component.type", component.get("type"), 3, 4, 5, 6, 7, 8, 19, 21, 22, 23
        )
        _input(form, f"{path}.component", component)


def _input(form: Form, path: str, component: JSON) -> None:
    form.text(f"{path}.custom_id", component.get("custom_id"), 100, 1)
    form.text(f"{path}.placeholder", component.get("placeholder"), 100)
    if component.get("type") != 4:
        return
    form.choice(f"{path}.style", component.get("style"), 1, 2)
    form.text(f"{path}.value", component.get("value"), 4000)
    for key, least in (("min_length", 0), ("max_length", 1)):
        if not least <= int(component.get(key, least)) <= 4000:
            message = f"int value should be between {least} and 4000."
            form.wrong(f"{path}.{key}", "NUMBER_TYPE_MAX", message)


def check_command(command: JSON, prefix: str = "") -> None:
    """Refuse a command that Discord would not register.

    :raises Refused: with the tree of errors.
    """
    form = Form()
    name = command.get("name")
    form.text(f"{prefix}name", name, 32, 1)
    if command.get("type", 1) == 1:
        _named(form, prefix, command)
        _options(form, f"{prefix}options", command.get("options") or [])
    form.done()


def _named(form: Form, prefix: str, thing: JSON) -> None:
    name = str(thing.get("name") or "")
    if name and (not _COMMAND_NAME.fullmatch(name) or name != name.lower()):
        message = "Command name is invalid"
        form.wrong(f"{prefix}name", "APPLICATION_COMMAND_INVALID_NAME", message)
    form.text(f"{prefix}description", thing.get("description"), 100, 1)


def _options(form: Form, path: str, options: list[JSON]) -> None:
    form.size(path, options, OPTIONS)
    for at, option in enumerate(options):
        _named(form, f"{path}.{at}.", option)
        form.size(f"{path}.{at}.choices", option.get("choices") or [], OPTIONS)
        _options(form, f"{path}.{at}.options", option.get("options") or [])
