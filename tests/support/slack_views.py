"""The methods that open and change modals and home tabs, and what a submission's answer does."""

import json
from typing import Final

from tests.support.slack_blocks import view_problems
from tests.support.slack_chat import refuse
from tests.support.slack_faults import Call, Refused
from tests.support.slack_people import JSON, Team, User
from tests.support.slack_view import View
from tests.support.slack_world import Trigger, World

_TRIGGER_LIFE: Final = 3.0
_DEPTH: Final = 3
_LARGEST: Final = 250_000


class Views:
    """Keeps the views of a world."""

    def __init__(self, world: World) -> None:
        """Keep those of this one."""
        self.world = world

    def open(self, call: Call) -> JSON:
        """Answer ``views.open``."""
        content = read_view(call.arguments.get("view"), "modal")
        trigger = self._trigger(call)
        self._unique(call.bot, content)
        return {"ok": True, "view": self.show(trigger, content, None).json()}

    def push(self, call: Call) -> JSON:
        """Answer ``views.push``."""
        content = read_view(call.arguments.get("view"), "modal")
        trigger = self._trigger(call)
        if trigger.view is None or not trigger.view.is_open:
            raise Refused("not_found")
        if len(self.world.open_views(trigger.user)) >= _DEPTH:
            raise Refused("push_limit_reached")
        self._unique(call.bot, content)
        return {"ok": True, "view": self.show(trigger, content, trigger.view).json()}

    def update(self, call: Call) -> JSON:
        """Answer ``views.update``."""
        view = self._named(call)
        content = read_view(call.arguments.get("view"), view.kind)
        _check_hash(call, view)
        view.change(content)
        return {"ok": True, "view": view.json()}

    def publish(self, call: Call) -> JSON:
        """Answer ``views.publish``."""
        content = read_view(call.arguments.get("view"), "home")
        user = self.world.user(call.text("user_id"))
        if user is None or not self.world.known_to(call.bot, user):
            raise Refused("user_not_found")
        old = call.bot.homes.get(user.id)
        if old is not None:
            _check_hash(call, old)
            old.change(content)
            return {"ok": True, "view": old.json()}
        home = View(self.world.names.new("V"), call.bot, user, self.world.app.id, content)
        call.bot.homes[user.id] = home
        return {"ok": True, "view": home.json()}

    def show(self, trigger: Trigger, content: JSON, under: View | None) -> View:
        """Put a modal before the user of a trigger."""
        name = self.world.names.new("V")
        view = View(name, trigger.team, trigger.user, self.world.app.id, content, under=under)
        self.world.views.append(view)
        return view

    def answered(self, view: View, said: JSON) -> None:
        """Do to a modal what the answer to its submission says.

        :raises Refused: the answer is not one that Slack takes.
        """
        action = said.get("response_action")
        if action == "errors":
            self._point_out(view, said.get("errors"))
        elif action == "update":
            view.change(read_view(said.get("view"), "modal"))
        elif action == "push":
            trigger = Trigger("", view.user, view.team, 0)
            self.show(trigger, read_view(said.get("view"), "modal"), view)
        elif action == "clear":
            self.clear(view.user)
        elif action is None:
            view.is_open = False
        else:
            raise Refused("invalid_response_action")

    def clear(self, user: User) -> None:
        """Close every modal of a user."""
        for view in self.world.open_views(user):
            view.is_open = False

    def _point_out(self, view: View, errors: object) -> None:
        known = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= known:
            raise Refused("invalid_errors")
        view.errors = {str(name): str(words) for name, words in errors.items()}

    def _trigger(self, call: Call) -> Trigger:
        trigger = self.world.triggers.get(call.text("trigger_id"))
        if trigger is None or trigger.team is not call.bot:
            raise Refused("invalid_trigger_id")
        if trigger.expired or self.world.now() - trigger.made > _TRIGGER_LIFE:
            raise Refused("expired_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        trigger.used = True
        return trigger

    def _unique(self, team: Team, content: JSON) -> None:
        name = content.get("external_id")
        taken = (one.external_id for one in self.world.views if one.is_open and one.team is team)
        if name and name in taken:
            raise Refused("duplicate_external_id")

    def _named(self, call: Call) -> View:
        name, external = call.text("view_id"), call.text("external_id")
        homes = [home for home in call.bot.homes.values() if home.id == name]
        for view in [*self.world.views, *homes]:
            if view.team is call.bot and view.is_open and name == view.id:
                return view
            if view.team is call.bot and view.is_open and external and external == view.external_id:
                return view
        raise Refused("not_found")


def read_view(view: object, kind: str) -> JSON:
    """Return a view that an application sent.

    :raises Refused: it breaks a rule.
    """
    refuse("invalid_arguments", view_problems(view, kind))
    assert isinstance(view, dict), "the rules let nothing else through"
    if len(json.dumps(view)) > _LARGEST:
        raise Refused("view_too_large")
    return view


def _check_hash(call: Call, view: View) -> None:
    wanted = call.text("hash")
    if wanted and wanted != view.hash:
        raise Refused("hash_conflict")
