"""What one key may use, for the agent that holds it: never an address or a name of the inside."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import Forbidden, TargetNotPermitted
from app.core.outlook import outlook
from app.core.paths import CALLS, METHODS, WEBSOCKET
from app.core.policy import Effect
from app.core.principals import Agent, ApiKey, Caller, Permission, Scope
from app.core.ssh_target import permit_ssh
from app.core.targets import Target
from app.services.breakers import Breakers
from app.services.policies import Policies
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

_ORDER: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET)
_WORDS: Final = {Effect.ALLOW: "pass", Effect.REVIEW: "ask", Effect.DENY: "deny"}
assert set(_ORDER) == CALLS


@dataclass(frozen=True, slots=True)
class Calls:
    """What becomes of calls with one method.

    :ivar outcomes: of ``pass``, ``ask`` and ``deny`` those that can follow; one alone is certain.
    """

    method: str
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Usable:
    """A target that the key may use.

    :ivar gateway: its base address; empty for an SSH host, whose commands go to ``ssh``.
    :ivar paths: globs of paths that the key permits; empty means any.
    :ivar stopped: whether its circuit breaker stops calls at present.
    """

    name: str
    description: str
    gateway: str
    calls: tuple[Calls, ...]
    paths: tuple[str, ...]
    rate: str
    stopped: bool
    ssh: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """All that one key may use.

    :ivar key_rate: calls of the key in any sixty seconds, or None.
    :ivar pending: most pending requests of the agent; 0 means no limit.
    """

    base_url: str
    agent: str
    may_create: bool
    may_read: bool
    targets: tuple[Usable, ...]
    key_rate: int | None
    agent_rate: str
    pending: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """Tells agents what they may use."""

    store: Store
    settings: Settings
    policies: Policies
    breakers: Breakers

    async def overview(self, caller: Caller) -> Overview:
        """Return what the caller's key may use.

        :raises Forbidden: the caller is not an agent.
        """
        agent, key = caller.agent, caller.key
        if agent is None or key is None:
            message = "this is made for an agent's key; people read the pages"
            raise Forbidden(message)
        present, targets = await self.store.read(lambda tx: _read(tx, agent))
        base = self.settings.public_url
        return Overview(
            base_url=base, agent=agent.name, may_create=caller.may(Scope.REQUEST_CREATE),
            may_read=caller.may(Scope.REQUEST_READ),
            targets=tuple(self._usable(base, agent, key, targets)), key_rate=key.rate_limit,
            agent_rate=present.rate, pending=present.open_limit,
        )  # fmt: skip

    def _usable(
        self, base: str, agent: Agent, key: ApiKey, targets: list[Target]
    ) -> "list[Usable]":
        found: list[Usable] = []
        for target in targets:
            if target.settings.ssh is not None:
                found += self._host(base, key, target)
                continue
            permissions = _permissions(key, target)
            calls = self._calls(agent, target, permissions) if permissions else ()
            if calls and Scope.REQUEST_CREATE in key.scopes:
                found.append(
                    Usable(
                        name=target.name,
                        description=_described(target),
                        gateway=f"{base}/gateway/{target.name}",
                        calls=calls,
                        paths=_paths(permissions),
                        rate=target.settings.rate,
                        stopped=target.id in self.breakers.open,
                    )
                )
        return found

    def _host(self, base: str, key: ApiKey, target: Target) -> "list[Usable]":
        """Return an SSH host, where the key permits commands; each is judged when it is asked."""
        try:
            permit_ssh(key.permissions, target.name)
        except TargetNotPermitted:
            return []
        if Scope.REQUEST_CREATE not in key.scopes:
            return []
        return [
            Usable(
                name=target.name, description=_described(target), gateway="", calls=(), paths=(),
                rate=target.settings.rate, stopped=target.id in self.breakers.open,
                ssh=f"{base}/ssh/{target.name}",
            )
        ]  # fmt: skip

    def _calls(
        self, agent: Agent, target: Target, permissions: tuple[Permission, ...]
    ) -> tuple[Calls, ...]:
        settings = target.settings
        allowed = set(settings.methods or METHODS)
        wanted = [one.calls for one in permissions if not one.denied]
        never = [*settings.deny, *(one.calls for one in permissions if one.denied)]
        return tuple(
            Calls(method, self._outcomes(agent, target, method))
            for method in _ORDER
            if method in allowed
            and any(one.takes(method) for one in wanted)
            and (not settings.allow or any(one.takes(method) for one in settings.allow))
            and not any(one.everywhere and one.takes(method) for one in never)
        )

    def _outcomes(self, agent: Agent, target: Target, method: str) -> tuple[str, ...]:
        effects = outlook(
            self.policies.snapshot, agent_id=agent.id, agent_name=agent.name, target=target.name,
            method=method,
        )  # fmt: skip
        if method == WEBSOCKET:  # nobody is asked about one
            plain = (Effect.DENY if one is Effect.REVIEW else one for one in effects)
            effects = tuple(dict.fromkeys(plain))
        return tuple(_WORDS[effect] for effect in effects)


def _read(tx: Tx, agent: Agent) -> tuple[Agent, list[Target]]:
    enabled = [target for target in tx.targets.all() if target.enabled]
    return tx.agents.get(agent.id) or agent, enabled


def _permissions(key: ApiKey, target: Target) -> tuple[Permission, ...]:
    if key.permissions is None:
        return (Permission(target.name),)
    return tuple(one for one in key.permissions if one.target == target.name)


def _paths(permissions: tuple[Permission, ...]) -> tuple[str, ...]:
    wanted = [one for one in permissions if not one.denied]
    if any(not one.paths for one in wanted):
        return ()
    return tuple(dict.fromkeys(path for one in wanted for path in one.paths))


def _described(target: Target) -> str:
    """Return the administrator's words, without the address that calls go to."""
    host = urlsplit(target.base_url).netloc
    bare = host.rpartition("@")[2].partition(":")[0]
    text = target.description
    for name in (target.base_url, host, bare):
        text = text.replace(name, "…") if name else text
    return text
