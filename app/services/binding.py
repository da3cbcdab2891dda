"""Binds calls to the targets that they name, once all that a key and a target allow is checked."""

from dataclasses import dataclass, field, replace
from typing import Final

from app.core.action import Action, BoundTarget, BundleAction, BundleItem, HttpAction
from app.core.asking import check_call, permit
from app.core.bundle import in_call, read_bundle
from app.core.call_errors import UpgradeRefused
from app.core.errors import InvalidField, NotFound
from app.core.handles import handles_in
from app.core.instant import Instant, plus
from app.core.json_types import JsonObject
from app.core.paths import WEBSOCKET
from app.core.principals import Agent, ApiKey
from app.core.ssh_action import SshAction
from app.core.ssh_target import permit_ssh, place_of, profiles_of
from app.core.targets import Target
from app.services.handles import check_handles
from app.services.rates import Rates
from app.store.engine import Store

_NEVER: Final = Instant(0)
_SECONDS: Final = 5
"""How long another process's change may stay unseen when its signal is lost."""


@dataclass(slots=True)
class Known:
    """Targets as last read, until any configuration changes or some seconds are over.

    Calls are judged by them, and nothing more: a claim reads the target once more, and refuses one
    that was changed.
    """

    store: Store
    _age: int = -1
    _until: Instant = _NEVER
    _targets: dict[str, Target] = field(default_factory=dict[str, Target])

    def get(self, name: str) -> Target | None:
        """Return a target that is still as it was read, or None."""
        now = self.store.clock.now()
        if self._age != self.store.signals.revised or not now < self._until <= plus(now, _SECONDS):
            self._targets.clear()
            self._age, self._until = self.store.signals.revised, plus(now, _SECONDS)
        return self._targets.get(name)

    def keep(self, name: str, target: Target, age: int) -> None:
        """Keep a target that was read when the configuration was so old."""
        if age == self._age == self.store.signals.revised:
            self._targets[name] = target


@dataclass(frozen=True, slots=True)
class Binding:
    """Finds targets, and refuses calls that may not be made there whatever the policies say."""

    store: Store
    rates: Rates
    known: Known

    async def bundle(
        self, agent: Agent, key: ApiKey, params: JsonObject, name: str | None
    ) -> BundleAction:
        """Return a bundle, each of whose calls passed what a call alone has to pass.

        :param name: the target of calls that name none themselves.
        """
        drafts, on_failure = read_bundle(params, name)
        items: list[BundleItem] = []
        for number, draft in enumerate(drafts, 1):
            with in_call(number):
                target = await self.bind(draft.call, agent, key, draft.target)
            assert target is not None
            items.append(BundleItem(draft.call, target, draft.note))
        return BundleAction(tuple(items), on_failure)

    async def bind(
        self, action: Action, agent: Agent, key: ApiKey, name: str | None
    ) -> BoundTarget | None:
        """Return the target of an action as it is now; None for one that the agent does itself.

        :raises TargetNotPermitted: the key does not include this call.
        :raises NotFound: there is no such target that can be called.
        :raises CredentialNotGranted: a handle in it may not be used there by this agent (T63).
        """
        if isinstance(action, SshAction):
            return await self._bind_ssh(action, key, name)
        if not isinstance(action, HttpAction):
            if name is not None:
                message = "an action of this kind has no target"
                raise InvalidField(message, pointer="/target")
            return None
        target = await self.target(action, key, name)
        if handles_in(action):
            target_id = target.id
            await self.store.read(lambda tx: check_handles(tx, action, target_id, agent.id))
        return BoundTarget(target.id, target.name, target.base_url, target.revision)

    async def _bind_ssh(self, action: SshAction, key: ApiKey, name: str | None) -> BoundTarget:
        """Return the target of an SSH action, with the place where it runs."""
        if name is None:
            message = f"{action.name} needs a target"
            raise InvalidField(message, pointer="/target")
        permit_ssh(key.permissions, name)
        target = await self.store.read(lambda tx: tx.targets.named(name))
        ssh = None if target is None else target.settings.ssh
        if target is None or ssh is None or not target.enabled:
            message = f"there is no SSH target {name!r} that can be used"
            raise NotFound(message, pointer="/target")
        self.rates.learn(target)
        place = replace(place_of(ssh, action), key_profiles=profiles_of(key.permissions, name))
        return BoundTarget(target.id, target.name, target.base_url, target.revision, place)

    async def target(self, action: HttpAction, key: ApiKey, name: str | None) -> Target:
        """Return the target of a call, if key and target let the call pass."""
        if name is None:
            message = "http.request needs a target"
            raise InvalidField(message, pointer="/target")
        permit(key.permissions, name, action)
        target = self.known.get(name)
        if target is None:
            target = await self._read(name)
        if target is None or not target.enabled or target.kind != action.kind:
            message = f"there is no target {name!r} that can be called"
            raise NotFound(message, pointer="/target")
        self.rates.learn(target)
        _check_method(target, action.method)
        check_call(target, action)
        return target

    async def _read(self, name: str) -> Target | None:
        age = self.store.signals.revised
        target = await self.store.read(lambda tx: tx.targets.named(name))
        if target is not None:
            self.known.keep(name, target, age)
        return target


def _check_method(target: Target, method: str) -> None:
    """Refuse a method that a target does not take; a WebSocket is granted by name alone (T60)."""
    methods = target.settings.methods
    if method == WEBSOCKET and method not in methods:
        message = f"{target.name} takes no WebSockets: its methods do not name {WEBSOCKET}"
        raise UpgradeRefused(message)
    if methods and method not in methods:
        message = f"{target.name} takes only {', '.join(methods)}"
        raise InvalidField(message, pointer="/params/method")
