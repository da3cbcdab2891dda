"""The shapes of lists of calls, and of what presets take, at the wire."""

from typing import Annotated

from msgspec import Meta

from app.core.calls import CallRule
from app.core.principals import Permission
from app.web.bodies import Strict


class CallRuleIn(Strict):
    """Calls by method and path; an empty list means all."""

    methods: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=16)] = []
    paths: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=100)] = []

    def value(self) -> CallRule:
        """Return the rule as the core has it."""
        return CallRule(tuple(self.methods), tuple(self.paths))


class PermissionIn(CallRuleIn, kw_only=True):
    """Calls that a key permits at a target; ``denied`` takes them out of the others again.

    With ``profiles`` it is about commands over SSH: one of these has to permit a command wholly.
    """

    target: Annotated[str, Meta(min_length=1, max_length=64)]
    denied: bool = False
    profiles: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []

    def permission(self) -> Permission:
        """Return the permission as the core has it."""
        calls = self.value()
        profiles = tuple(self.profiles)
        return Permission(self.target, calls.methods, calls.paths, self.denied, profiles)


class FromPreset(Strict):
    """What is given of a target that is made from a preset."""

    preset: Annotated[str, Meta(max_length=64)] = ""
    account: Annotated[str, Meta(max_length=64)] = ""
    fields: dict[str, Annotated[str, Meta(max_length=16_384)]] = {}
    client_id: Annotated[str, Meta(max_length=512)] = ""
    client_secret: Annotated[str, Meta(max_length=4096)] = ""
