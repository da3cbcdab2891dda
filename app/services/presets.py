"""Targets made from presets: address, credential, leave and policies in one transaction (SVC-1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.clock import Ids, SystemClock
from app.core.errors import InvalidField, NameTaken, NotFound
from app.core.instant import Instant
from app.core.oauth import OAuthClient, OAuthKind
from app.core.presets import Place, Preset, blocked_name, place_of
from app.core.principals import Caller, Scope
from app.core.targets import Credential, Target, TargetSettings
from app.services.access import require
from app.services.connections import Connections
from app.services.policies import Policies
from app.services.target_checks import NAME
from app.services.targets import ANY_AGENT, Targets
from app.services.vault import Vault
from app.store.engine import Store
from app.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a preset.

    :ivar account: tells targets of one service apart; the target is named ``preset.account``.
    :ivar base_url: the operator's own host, where the preset asks for it.
    :ivar fields: the credential's; without them and without a client the target has none yet.
    :ivar client_id: of the operator's OAuth client; somebody connects the account later.
    :ivar grant_agents: who may use the credential; None for all.
    """

    preset: str
    account: str = ""
    base_url: str = ""
    description: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    settings: TargetSettings = field(default_factory=TargetSettings)
    enabled: bool = True
    grant_agents: Sequence[str] | None = None

    @property
    def name(self) -> str:
        """The name of target, credential and policy."""
        return f"{self.preset}.{self.account}" if self.account else self.preset


@dataclass(frozen=True, slots=True)
class Presets:
    """The services that there is a preset for."""

    store: Store
    ids: Ids
    clock: SystemClock
    targets: Targets
    vault: Vault
    connections: Connections
    policies: Policies
    catalogue: Callable[[], tuple[Preset, ...]]

    def list(self, caller: Caller) -> tuple[Preset, ...]:
        """Return all presets by name."""
        require(caller, Scope.POLICY_READ)
        return self.catalogue()

    def get(self, caller: Caller, name: str) -> Preset:
        """Return a preset.

        :raises NotFound: there is none of the name.
        """
        found = next((one for one in self.list(caller) if one.name == name), None)
        if found is None:
            message = f"there is no preset {name!r}; GET /api/presets lists them"
            raise NotFound(message, pointer="/preset")
        return found

    async def apply(self, caller: Caller, wanted: Wanted) -> Target:
        """Add a target with its credential, leave and policies: all of them, or nothing.

        :raises NotFound: there is no such preset or agent.
        :raises InvalidField: with a pointer to what must change; never with a secret.
        :raises NameTaken: a target, credential or policy has a name that this one would get.
        """
        require(caller, Scope.ADMIN)
        require(caller, Scope.POLICY_WRITE)
        preset = self.get(caller, wanted.preset)
        _check(preset, wanted)
        place = place_of(preset, wanted.base_url)
        target = self._target(preset, place, wanted, self.clock.now())
        made = await self.store.write(
            lambda tx: self._apply(tx, caller, preset, place, wanted, target)
        )
        await self.policies.refresh()
        return made

    def _target(self, preset: Preset, place: Place, wanted: Wanted, now: Instant) -> Target:
        return Target(
            id=self.ids.new("tgt"),
            name=wanted.name,
            description=wanted.description or _described(preset),
            kind="http",
            base_url=place.base_url,
            revision=1,
            enabled=wanted.enabled,
            credential_id=None,
            created_at=now,
            updated_at=now,
            settings=wanted.settings,
        )

    def _apply(
        self,
        tx: Tx,
        caller: Caller,
        preset: Preset,
        place: Place,
        wanted: Wanted,
        target: Target,
    ) -> Target:
        _check_names(tx, wanted.name)
        credential_id = self._credential(tx, caller, preset, place, wanted)
        agents = (ANY_AGENT,) if wanted.grant_agents is None else wanted.grant_agents
        whole = replace(target, credential_id=credential_id)
        return self.targets.enter(tx, caller.actor, whole, agents, preset.title, preset.rules)

    def _credential(
        self, tx: Tx, caller: Caller, preset: Preset, place: Place, wanted: Wanted
    ) -> str | None:
        """Add the credential, and return its id if there is one."""
        text = f"For the target {wanted.name}."
        if wanted.client_id and place.oauth is not None:
            client = OAuthClient(
                OAuthKind.OAUTH2, wanted.client_id, place.oauth, wanted.settings.networks
            )
            secret = wanted.client_secret
            made = self.connections.enter(tx, caller, wanted.name, client, secret, text)
            return made.credential_id
        if not wanted.fields:
            return None
        credential = Credential(
            id=self.ids.new("crd"),
            vault="default",
            name=wanted.name,
            description=text,
            kind=preset.credential.kind,
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
        )
        self.vault.enter(tx, caller.actor, credential, wanted.fields)
        return credential.id


def _described(preset: Preset) -> str:
    """Return the words by which agents know the target."""
    headers = [f"{name}: {value}" for name, value in preset.headers.items()]
    send = f" Send the headers {'; '.join(headers)}." if headers else ""
    return f"{preset.title}. {preset.description}{send}"


def _check(preset: Preset, wanted: Wanted) -> None:
    if not NAME.fullmatch(wanted.name) or wanted.account.endswith("."):
        message = "an account is a few of a-z 0-9 _ . -, such as: work"
        raise InvalidField(message, pointer="/account")
    if wanted.client_secret and not wanted.client_id:
        message = "give the client's id with its secret"
        raise InvalidField(message, pointer="/client_id")
    if wanted.client_id and wanted.fields:
        message = "give the fields of a credential or an OAuth client, not both"
        raise InvalidField(message, pointer="/client_id")
    if wanted.client_id and preset.oauth is None:
        message = f"{preset.title} is not connected with OAuth; give the fields instead"
        raise InvalidField(message, pointer="/client_id")
    names = preset.credential.fields
    if unknown := sorted(set(wanted.fields) - set(names)):
        message = f"the fields are {', '.join(names)}"
        raise InvalidField(message, pointer=f"/fields/{unknown[0]}")
    if wanted.fields and (missing := [name for name in names if name not in wanted.fields]):
        message = f"{missing[0]} is missing: {preset.credential.hint}"
        raise InvalidField(message, pointer=f"/fields/{missing[0]}")


def _check_names(tx: Tx, name: str) -> None:
    """Refuse names that are taken before anything is written, saying whose."""
    taken = (
        ("target", name, tx.targets.named(name)),
        ("credential", name, tx.vault.named(name)),
        ("policy", name, tx.policies.named(name)),
        ("policy", blocked_name(name), tx.policies.named(blocked_name(name))),
    )
    for kind, text, found in taken:
        if found is not None:
            message = f"there is a {kind} {text!r} already: give another account's name"
            raise NameTaken(message, pointer="/account")
