"""Host keys: shown to a person first, pinned once confirmed, and an alarm when another is shown."""

from dataclasses import dataclass, field, replace

from app.core.audit import SYSTEM, Actor
from app.core.errors import InvalidField, Unavailable
from app.core.host_keys import KeyLook, ShownKey
from app.core.json_types import JsonValue
from app.core.outcome import NotStarted
from app.core.principals import Caller, Role, Scope, at_least
from app.core.request import Request
from app.core.ssh_target import SshSettings, fingerprint
from app.core.targets import Target
from app.services.access import require
from app.services.notices import Notices
from app.services.targets import Targets, locked, update
from app.store.tx import Tx


class HostNotReached(Unavailable):
    """The host could not be asked for its key."""

    code = "host_not_reached"


@dataclass(frozen=True, slots=True)
class HostKeys:
    """Enrols hosts, and tells operators of keys that changed."""

    targets: Targets
    notices: Notices
    look_at: KeyLook
    _told: set[tuple[str, int, str]] = field(default_factory=set[tuple[str, int, str]])

    async def look(self, caller: Caller, target_id: str, host: str = "") -> ShownKey:
        """Return the key that the host shows now; nothing is stored.

        :param host: which one, where agents name the host.
        :raises HostNotReached: it could not be asked.
        """
        require(caller, Scope.ADMIN)
        target = await self.targets.get(caller, target_id)
        ssh = _settings(target)
        if ssh.jumps:
            message = "a host behind others cannot be asked from here: give its key by hand"
            raise InvalidField(message, pointer="/settings/ssh/host_keys")
        named = _host(ssh, host)
        try:
            shown = await self.look_at(named, ssh.port, target.settings.networks)
            return replace(shown, pinned=tuple(map(fingerprint, ssh.keys_of(named))))
        except NotStarted as error:
            raise HostNotReached(error.detail) from error

    async def enrol(self, caller: Caller, target_id: str, key: str, host: str = "") -> Target:
        """Pin the key that a person has compared, in the place of the host's former ones.

        The target gets a new revision, so that what was approved before does not run any more.
        """
        require(caller, Scope.ADMIN)
        return await self.targets.store.write(
            lambda tx: _enrol(tx, caller.actor, target_id, key, host), order=target_id
        )

    def refused(self, tx: Tx, target: Target, request: Request, detail: str) -> None:
        """Record that a host showed another key, and tell operators, once for each key."""
        details = {"target": target.name, "detail": detail}
        tx.note("host_key.refused", SYSTEM, f"target:{target.id}", {**details}, request.id)
        once = (target.id, target.revision, detail)
        if once in self._told:
            return
        self._told.add(once)
        lines = (
            f"{target.name} showed another host key than the pinned one; nothing was sent.",
            detail,
            "Find out why before you enrol it again.",
        )
        for person in tx.people.all():
            if person.active and at_least(person.role, Role.OPERATOR):
                self.notices.tell(tx, person, *lines, purpose=f"target:{target.id}")


def _enrol(tx: Tx, actor: Actor, target_id: str, key: str, host: str) -> Target:
    target = locked(tx, target_id)
    ssh, print_ = _settings(target), _fingerprint(key)
    named, pins = _host(ssh, host), (key,)
    if ssh.dynamic:
        others = tuple(line for line in ssh.host_keys if line.partition(" ")[0] != named)
        pins = (*others, f"{named} {key}")
    settings = replace(target.settings, ssh=replace(ssh, host_keys=pins))
    after = update(tx, actor, target_id, {"settings": settings})
    details: dict[str, JsonValue] = {"target": after.name, "host": named, "fingerprint": print_}
    tx.note("host_key.enrolled", actor, f"target:{target_id}", details)
    return after


def _settings(target: Target) -> SshSettings:
    if target.settings.ssh is None:
        message = "this target is no SSH host"
        raise InvalidField(message, pointer="/target_id")
    return target.settings.ssh


def _host(ssh: SshSettings, host: str) -> str:
    if not ssh.dynamic:
        if host not in ("", ssh.host):
            message = "this target has one host"
            raise InvalidField(message, pointer="/host")
        return ssh.host
    if not host:
        message = "say which host"
        raise InvalidField(message, pointer="/host")
    return host.lower().rstrip(".")


def _fingerprint(key: str) -> str:
    try:
        return fingerprint(key)
    except ValueError as error:
        raise InvalidField(str(error), pointer="/key") from error
