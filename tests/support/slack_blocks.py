"""The rules of Block Kit, as its reference gives them."""

from collections.abc import Iterator
from typing import Any, Final

from tests.support.slack_people import JSON
from tests.support.slack_schema import (
    Check,
    anything,
    array,
    choice,
    flag,
    number,
    record,
    string,
    tagged,
    text,
    wrong,
)

BLOCKS: Final = 50
VIEW_BLOCKS: Final = 100
_ROOM: Final = 13_422
"""Characters of a posted message's blocks; measured by others, in no document."""

_BLOCK_COST: Final = 125

_plain: Final = "plain_text"
_action: Final[dict[str, Check]] = {"action_id": string(255)}
_confirm: Final = record(
    {"title": text(100, _plain), "text": text(300), "confirm": text(30, _plain),
     "deny": text(30, _plain)},
    {"style": choice("primary", "danger")},
)  # fmt: skip
_shared: Final[dict[str, Check]] = {**_action, "confirm": _confirm, "focus_on_load": flag}
_hinted: Final[dict[str, Check]] = {**_shared, "placeholder": text(150, _plain)}
_option: Final = record(
    {"text": text(75), "value": string(150)},
    {"description": text(75), "url": string(3000)},
)
_group: Final = record({"label": text(75, _plain), "options": array(_option, 100)})
_image: Final = record({"alt_text": string(2000)}, {"image_url": string(3000), "slack_file": anything})  # fmt: skip  # noqa: E501
_button: Final = record(
    {"text": text(75, _plain)},
    {**_action, "value": string(2000, 0), "url": string(3000), "confirm": _confirm,
     "style": choice("primary", "danger"), "accessibility_label": string(75)},
)  # fmt: skip


def _input(**more: Check) -> Check:
    common: dict[str, Check] = {
        **_action, "placeholder": text(150, _plain), "focus_on_load": flag,
        "dispatch_action_config": anything,
    }  # fmt: skip
    return record({}, {**common, **more})


def _select(**more: Check) -> Check:
    return record({}, {**_hinted, **more})


_many: Final[dict[str, Check]] = {"max_selected_items": number(1, 100)}
_static: Final[dict[str, Check]] = {
    "options": array(_option, 100),
    "option_groups": array(_group, 100),
}
_SELECTS: Final[dict[str, Check]] = {
    "static_select": _select(**_static, initial_option=_option),
    "multi_static_select": _select(**_static, **_many, initial_options=array(_option, 100)),
    "users_select": _select(initial_user=string(30)),
    "multi_users_select": _select(**_many, initial_users=anything),
    "conversations_select": _select(
        initial_conversation=anything, default_to_current_conversation=flag,
        response_url_enabled=flag, filter=anything,
    ),
    "channels_select": _select(initial_channel=anything, response_url_enabled=flag),
    "external_select": _select(initial_option=_option, min_query_length=number(0, 1000)),
    "datepicker": _select(initial_date=string(10)),
    "timepicker": _select(initial_time=string(5), timezone=string(100)),
    "datetimepicker": record({}, {**_shared, "initial_date_time": number(0, 9_999_999_999)}),
    "radio_buttons": record(
        {"options": array(_option, 10)}, {**_shared, "initial_option": _option}
    ),
    "checkboxes": record(
        {"options": array(_option, 10)}, {**_shared, "initial_options": array(_option, 10)}
    ),
}  # fmt: skip
_PRESSED: Final[dict[str, Check]] = {
    **_SELECTS,
    "button": _button,
    "overflow": record({"options": array(_option, 5)}, {**_action, "confirm": _confirm}),
}
_TYPED: Final[dict[str, Check]] = {
    **_SELECTS,
    "plain_text_input": _input(
        multiline=flag, min_length=number(0, 3000), max_length=number(1, 3000),
        initial_value=string(3000, 0),
    ),
    "rich_text_input": _input(initial_value=anything),
    "email_text_input": _input(initial_value=string(3000)),
    "url_text_input": _input(initial_value=string(3000)),
    "number_input": _input(
        is_decimal_allowed=flag, initial_value=anything, min_value=anything, max_value=anything
    ),
}  # fmt: skip

_style: Final = record({}, dict.fromkeys(("bold", "italic", "strike", "code", "underline"), flag))
_styled: Final[dict[str, Check]] = {"style": _style}
_leaf_text: Final = record({"text": string(40_000)}, _styled)
_leaf_link: Final = record(
    {"url": string(3000)}, {**_styled, "text": string(40_000), "unsafe": flag}
)
_LEAVES: Final[dict[str, Check]] = {
    "text": _leaf_text,
    "link": _leaf_link,
    "emoji": record({"name": string(255)}, {**_styled, "unicode": anything, "skin_tone": anything}),
    "user": record({"user_id": string(30)}, _styled),
    "usergroup": record({"usergroup_id": string(30)}, _styled),
    "channel": record({"channel_id": string(30)}, _styled),
    "broadcast": record({"range": choice("here", "channel", "everyone")}, _styled),
    "color": record({"value": string(30)}, _styled),
    "date": record(
        {"timestamp": number(0, 9_999_999_999), "format": string(255)},
        {**_styled, "url": string(3000), "fallback": string(255)},
    ),
}
_leaves: Final = array(tagged(_LEAVES), 1000, 0)
_section: Final = record({"elements": _leaves})
_border: Final[dict[str, Check]] = {"border": number(0, 1)}
_RICH: Final[dict[str, Check]] = {
    "rich_text_section": _section,
    "rich_text_quote": record({"elements": _leaves}, _border),
    "rich_text_preformatted": record(
        {"elements": array(tagged({"text": _leaf_text, "link": _leaf_link}), 1000, 0)},
        {**_border, "language": string(255)},
    ),
    "rich_text_list": record(
        {"style": choice("bullet", "ordered"),
         "elements": array(tagged({"rich_text_section": _section}), 1000, 0)},
        {**_border, "indent": number(0, 8), "offset": number(0, 10_000)},
    ),
}  # fmt: skip


def _block(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    return record(required, {**(optional or {}), "block_id": string(255)})


_words_or_fields: Final = _block(
    {},
    {"text": text(3000), "fields": array(text(2000), 10), "expand": flag,
     "accessory": tagged({**_PRESSED, "image": _image})},
)  # fmt: skip


def _section_block(value: Any, at: str) -> list[str]:
    found = _words_or_fields(value, at)
    if "text" not in value and "fields" not in value:
        found += wrong("missing required field: text", at)
    return found


def _said(most: int) -> Check:
    """Check a text object among other elements."""

    def check(value: Any, at: str) -> list[str]:
        return text(most)(value, at)

    return check


_BLOCKS: Final[dict[str, Check]] = {
    "section": _section_block,
    "header": _block({"text": text(150, _plain)}),
    "divider": _block({}),
    "context": _block(
        {"elements": array(
            tagged({"image": _image, "plain_text": _said(3000), "mrkdwn": _said(3000)}), 10)},
    ),
    "actions": _block({"elements": array(tagged(_PRESSED), 25)}),
    "image": _block(
        {"alt_text": string(2000)},
        {"image_url": string(3000), "slack_file": anything, "title": text(2000, _plain)},
    ),
    "input": _block(
        {"label": text(2000, _plain), "element": tagged(_TYPED)},
        {"hint": text(2000, _plain), "optional": flag, "dispatch_action": flag},
    ),
    "rich_text": _block({"elements": array(tagged(_RICH), 1000, 0)}),
    "markdown": _block({"text": string(12_000)}),
}  # fmt: skip
_MODAL: Final = record(
    {"title": text(24, _plain), "blocks": array(tagged(_BLOCKS), VIEW_BLOCKS, 0)},
    {"submit": text(24, _plain), "close": text(24, _plain), "private_metadata": string(3000, 0),
     "callback_id": string(255, 0), "external_id": string(255, 0), "clear_on_close": flag,
     "notify_on_close": flag, "submit_disabled": flag},
)  # fmt: skip
_HOME: Final = record(
    {"blocks": array(tagged(_BLOCKS), VIEW_BLOCKS, 0)},
    {"private_metadata": string(3000, 0), "callback_id": string(255, 0),
     "external_id": string(255, 0)},
)  # fmt: skip


def elements(blocks: list[JSON]) -> Iterator[tuple[JSON, JSON]]:
    """Yield what can be pressed or filled in, each with its block."""
    for block in blocks:
        single = [block[name] for name in ("accessory", "element") if name in block]
        listed = block.get("elements", []) if block.get("type") == "actions" else []
        yield from ((block, element) for element in [*single, *listed])


def _doubled(blocks: list[JSON], at: str) -> list[str]:
    found: list[str] = []
    names = [block["block_id"] for block in blocks if "block_id" in block]
    if len(names) != len(set(names)):
        found += wrong("block_id already exists", at)
    pairs = [(id(block), one["action_id"]) for block, one in elements(blocks) if "action_id" in one]
    if len(pairs) != len(set(pairs)):
        found += wrong("action_id already exists", at)
    return found


def message_problems(blocks: Any, at: str = "/blocks") -> list[str]:
    """Return what is wrong with the blocks of a message."""
    found = array(tagged(_BLOCKS), BLOCKS, 0)(blocks, at)
    return found or _doubled(blocks, at)


def view_problems(view: Any, kind: str) -> list[str]:
    """Return what is wrong with a view, which has to be a ``modal`` or a ``home``."""
    found = tagged({kind: _MODAL if kind == "modal" else _HOME})(view, "/view")
    if found:
        return found
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    if kind == "modal" and inputs and "submit" not in view:
        return wrong("missing required field: submit", "/view")
    return _doubled(view["blocks"], "/view/blocks")


def too_long(blocks: list[JSON]) -> bool:
    """Return whether the blocks of a message are too long together."""
    return sum(map(_length, blocks)) + _BLOCK_COST * len(blocks) > _ROOM


def _length(part: Any) -> int:
    if isinstance(part, list):
        return sum(map(_length, part))
    if not isinstance(part, dict):
        return 0
    words = part.get("text")
    own = len(words) if isinstance(words, str) else 0
    return own + sum(_length(inner) for inner in part.values())
