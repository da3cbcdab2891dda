"""Modals and home tabs, and what is filled into them."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.slack_blocks import elements
from tests.support.slack_message import numbered
from tests.support.slack_people import JSON, Team, User

_ECHOED: Final = ("title", "submit", "close")
_ONE: Final[dict[str, str]] = {
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
_CHOSEN: Final = ("static_select", "radio_buttons", "external_select", "overflow")


@dataclass(eq=False)
class View:
    """A modal or a home tab.

    :ivar content: what the application sent, its blocks numbered.
    :ivar versions: everything that it sent, oldest first.
    :ivar under: the modal that lies below.
    :ivar errors: what the application found wrong with what was filled in, by block id.
    :ivar is_open: whether the user still has it on the screen.
    """

    id: str
    team: Team
    user: User
    app_id: str
    content: JSON
    versions: list[JSON] = field(default_factory=list[JSON])
    under: "View | None" = None
    errors: dict[str, str] = field(default_factory=dict[str, str])
    is_open: bool = True
    hash: str = ""

    def __post_init__(self) -> None:
        self.change(self.content)

    @property
    def kind(self) -> str:
        """``modal`` or ``home``."""
        return str(self.content["type"])

    @property
    def title(self) -> str:
        """A modal's title."""
        return str(self.content.get("title", {}).get("text", ""))

    @property
    def callback_id(self) -> str:
        """What the application calls it."""
        return str(self.content.get("callback_id", ""))

    @property
    def private_metadata(self) -> str:
        """What the application keeps in it."""
        return str(self.content.get("private_metadata", ""))

    @property
    def external_id(self) -> str:
        """What the application may update it by."""
        return str(self.content.get("external_id", ""))

    @property
    def blocks(self) -> list[JSON]:
        """Its blocks."""
        return self.content["blocks"]

    @property
    def fields(self) -> list[tuple[JSON, JSON]]:
        """What can be filled in: block and element, in order."""
        return [pair for pair in elements(self.blocks) if pair[0]["type"] == "input"]

    @property
    def inputs(self) -> dict[str, tuple[JSON, JSON]]:
        """What can be filled in: block and element, by action id."""
        return {element["action_id"]: (block, element) for block, element in self.fields}

    def change(self, content: JSON) -> None:
        """Show something else."""
        self.content = {**copy.deepcopy(content), "blocks": numbered(content["blocks"])}
        self.versions.append(self.content)
        self.errors = {}
        self.hash = f"{len(self.versions)}.{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"

    def json(self, values: JSON | None = None) -> JSON:
        """Return the view object, with what is filled in."""
        root = self
        while root.under is not None:
            root = root.under
        plain: JSON = {
            "id": self.id, "team_id": self.team.id, "type": self.kind, "blocks": self.blocks,
            "private_metadata": self.private_metadata, "callback_id": self.callback_id,
            "state": {"values": values or {}}, "hash": self.hash, "app_id": self.app_id,
            "clear_on_close": bool(self.content.get("clear_on_close")),
            "notify_on_close": bool(self.content.get("notify_on_close")),
            "previous_view_id": self.under.id if self.under else None, "root_view_id": root.id,
            "external_id": self.external_id, "app_installed_team_id": self.team.id,
            "bot_id": self.team.bot_id,
        }  # fmt: skip
        return copy.deepcopy({**plain, **{name: self.content.get(name) for name in _ECHOED}})

    def filled(self, values: Mapping[str, Any]) -> JSON:
        """Return the state after somebody filled in values, by action id or block id.

        :raises LookupError: there is no such input.
        :raises ValueError: Slack would not let one submit this.
        """
        known = {*self.inputs, *(block["block_id"] for block, _ in self.fields)}
        if unknown := set(values) - known:
            raise LookupError(f"no such input: {sorted(unknown)}; there are {sorted(known)}")
        state: JSON = {}
        for block, element in self.fields:
            name, at = element["action_id"], block["block_id"]
            value = values.get(at, values.get(name, initial(element)))
            _check(block, element, value)
            state[at] = {name: chosen(element, value)}
        return state


def initial(element: JSON) -> Any:
    """Return what stands in an element before anybody touches it."""
    for name, value in element.items():
        if name == "initial_option":
            return value["value"]
        if name == "initial_options":
            return [option["value"] for option in value]
        if name.startswith("initial_"):
            return value
    return None


def chosen(element: JSON, value: Any) -> JSON:
    """Return how a payload tells of an element's value; for options, give their values.

    :raises LookupError: there is no such option.
    """
    kind: str = element["type"]
    if kind == "button":
        return {"type": kind}
    if kind in _CHOSEN:
        return {"type": kind, "selected_option": value and _option(element, value)}
    if kind in {"checkboxes", "multi_static_select"}:
        return {"type": kind, "selected_options": [_option(element, one) for one in value or []]}
    if kind in {"multi_users_select", "multi_conversations_select"}:
        return {"type": kind, f"selected_{kind.split('_')[1]}": list(value or [])}
    return {"type": kind, _ONE.get(kind, "value"): value}


def _option(element: JSON, value: str) -> JSON:
    groups = [*element.get("option_groups", []), element]
    for option in (option for group in groups for option in group.get("options", [])):
        if option["value"] == value:
            return option
    raise LookupError(f"no such option: {value}")


def _check(block: JSON, element: JSON, value: Any) -> None:
    name = element["action_id"]
    if not value and not block.get("optional"):
        raise ValueError(f"{name} must be filled in: {json.dumps(block['label']['text'])}")
    if isinstance(value, str) and element["type"] == "plain_text_input" and value:
        most, least = element.get("max_length", 3000), element.get("min_length", 0)
        if not least <= len(value) <= most:
            raise ValueError(f"{name} takes {least} to {most} characters")
