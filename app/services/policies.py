"""Policies: kept with all their versions, compiled once per revision, tried without effect."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import structlog
from msgspec import structs

from app.clock import Ids, SystemClock
from app.core.action import Kind, Submission
from app.core.audit import Actor
from app.core.bundle_verdict import Asking, judge
from app.core.errors import InvalidField, NameTaken, NotFound, VersionMismatch
from app.core.explanation import Explanation
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.pipeline import PoliciesChanged, PolicySet, Verdict, explain
from app.core.policy import Effect, Policy, parse_policy
from app.core.principals import Caller, Scope
from app.core.ssh_asking import SSH_ACTIONS
from app.core.ssh_verdict import guarded, guarded_facts, with_command
from app.services.access import require
from app.services.profiles import Profiles
from app.services.rehearsals import rehearsed
from app.store.engine import Store
from app.store.policies import PolicyRecord
from app.store.tx import Change, Tx

T = TypeVar("T")

_TRIES: Final = 3

log = structlog.get_logger()

_NOT_READABLE: Final[JsonObject] = {
    "name": "a stored policy cannot be read",
    "priority": 0,
    "rules": [
        {
            "name": "fail closed",
            "effect": "review",
            "reason": "a stored policy cannot be read, so a person decides everything",
        }
    ],
}


@dataclass(slots=True)
class _Current:
    policies: PolicySet


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    commands: Profiles = field(default_factory=Profiles)
    _current: _Current = field(default_factory=lambda: _Current(PolicySet.compile([], revision=-1)))

    @property
    def snapshot(self) -> PolicySet:
        """The compiled set as last read; swapped as a whole."""
        return self._current.policies

    @property
    def revision(self) -> int:
        """That of the compiled set."""
        return self.snapshot.revision

    def judge(
        self, submission: Submission, by: Asking, only: Collection[int] | None = None
    ) -> Verdict:
        """Return what the policies say of a submission; of a command guard and profiles as well.

        :param only: of a bundle, the calls that matter.
        """
        if submission.action.kind is not Kind.SSH:
            return judge(self.snapshot, submission, by, only)
        rules = self.commands.current
        return guarded(
            judge(self.snapshot, submission, structs.replace(by, rules=rules)), submission, rules
        )

    async def refresh(self) -> PolicySet:
        """Return the newest compiled set."""
        revision = await self.store.read(lambda tx: tx.policies.revision())
        if revision != self.snapshot.revision:
            newest = await self.store.read(_newest)
            if newest.revision > self.snapshot.revision:
                self._current.policies = newest
        await self._refresh_commands()
        return self.snapshot

    async def _refresh_commands(self) -> None:
        """Read the rules for commands where they changed, or a first target needs them.

        That takes a good part of a second, so a thread does it.
        """
        if not self.commands.due:
            return
        needed = self.commands.folder is not None
        if needed or await self.store.read(lambda tx: tx.targets.any_of(Kind.SSH)):
            await asyncio.to_thread(self.commands.refresh)

    def is_newest(self, revision: int) -> bool:
        """Whether the compiled set is the one in force, by the revision that a transaction read."""
        return revision <= self.snapshot.revision

    async def with_newest(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what judges by the compiled set; once more when it was not the newest any more.

        :raises PoliciesChanged: they change all the time.
        """
        for _ in range(_TRIES - 1):
            try:
                return await work()
            except PoliciesChanged:
                await self.refresh()
        return await work()

    async def forget(self, change: Change | None) -> None:
        """Look for a newer set when a change says that there may be one."""
        if change is None or change[0] in ("policy", "store"):
            await self.refresh()

    # --- changing ---

    async def create(self, caller: Caller, document: Mapping[str, JsonValue]) -> PolicyRecord:
        """Add a policy.

        :raises InvalidPolicy: with a pointer to what must change.
        :raises NameTaken: another policy has the name.
        """
        require(caller, Scope.POLICY_WRITE)
        return await self.add(caller.actor, document)

    async def add(self, actor: Actor, document: Mapping[str, JsonValue]) -> PolicyRecord:
        """Add a policy on behalf of an actor whose right was checked before."""
        policy_id = self.ids.new("pol")
        policy = parse_policy(document, id=policy_id, version=1)
        record = await self.store.write(lambda tx: _add(tx, actor, policy))
        await self.refresh()
        return record

    def enter(self, tx: Tx, actor: Actor, document: Mapping[str, JsonValue]) -> PolicyRecord:
        """Add a policy within a transaction of somebody who refreshes the set after it."""
        return _add(tx, actor, parse_policy(document, id=self.ids.new("pol"), version=1))

    async def update(
        self, caller: Caller, policy_id: str, document: Mapping[str, JsonValue], *, version: int
    ) -> PolicyRecord:
        """Replace a policy's document.

        :param version: the version that the caller has seen.
        :raises VersionMismatch: somebody else changed it meanwhile.
        """
        require(caller, Scope.POLICY_WRITE)
        policy = parse_policy(document, id=policy_id, version=version + 1)
        record = await self.store.write(lambda tx: _put(tx, caller.actor, policy), order=policy_id)
        await self.refresh()
        return record

    async def set_enabled(self, caller: Caller, policy_id: str, *, enabled: bool) -> PolicyRecord:
        """Switch a policy on or off."""
        record = await self.get(caller, policy_id)
        document = {**record.document, "enabled": enabled}
        return await self.update(caller, policy_id, document, version=record.version)

    async def delete(self, caller: Caller, policy_id: str) -> None:
        """Remove a policy; its versions stay on record."""
        require(caller, Scope.POLICY_WRITE)
        await self.store.write(lambda tx: _remove(tx, caller.actor, policy_id), order=policy_id)
        await self.refresh()

    # --- reading ---

    async def list(self, caller: Caller) -> list[PolicyRecord]:
        """Return all policies in the order of evaluation."""
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: tx.policies.all())

    async def get(self, caller: Caller, policy_id: str) -> PolicyRecord:
        """Return a policy.

        :raises NotFound: there is none.
        """
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: _existing(tx, policy_id))

    async def versions(self, caller: Caller, policy_id: str) -> "list[tuple[int, str, Instant]]":
        """Return (version, author, time) of all versions, newest first."""
        await self.get(caller, policy_id)
        return await self.store.read(lambda tx: tx.policies.versions(policy_id))

    async def version(self, caller: Caller, policy_id: str, version: int) -> JsonObject:
        """Return the document of one version."""
        require(caller, Scope.POLICY_READ)
        document = await self.store.read(lambda tx: tx.policies.version(policy_id, version))
        if document is None:
            message = "there is no such version"
            raise NotFound(message)
        return document

    async def dry_run(
        self,
        caller: Caller,
        facts: Facts,
        candidate: Mapping[str, JsonValue] | None = None,
        key: str = "",
    ) -> Explanation:
        """Return what the policies (or a candidate beside them) would say, and why (POL-8).

        A candidate takes the place of the policy with its name. A command is judged by the
        profiles of its target, and of the key that asks, as a request is.

        :param key: the id of the key that would ask; an agent's only one where it is left out.
        :raises NotFound: there is no such key that could ask, or no such SSH target for it.
        :raises InvalidField: which of the agent's keys asks makes a difference.
        """
        require(caller, Scope.POLICY_READ)
        policies = await self.refresh()
        if candidate is not None:
            policies = _with(policies, candidate)
        facts = structs.replace(facts, now=self.clock.now())
        if facts.action not in SSH_ACTIONS:
            if key:
                message = "a key is looked at for commands alone"
                raise InvalidField(message, pointer="/key")
            return explain(policies, facts)
        asked = await self.store.read(lambda tx: rehearsed(tx, facts, key))
        facts = with_command(asked.facts, rules := self.commands.current)
        found = explain(policies, facts)
        verdict = guarded_facts(found.verdict, facts, rules, asked.wanted)
        if asked.refusal:
            reasons = (asked.refusal, *verdict.reasons)
            verdict = replace(verdict, effect=Effect.DENY, reasons=reasons)
        return replace(found, verdict=verdict)


def _with(policies: PolicySet, candidate: Mapping[str, JsonValue]) -> PolicySet:
    policy = parse_policy(candidate, id="candidate", version=0)
    others = [item for item in policies.policies if item.name != policy.name]
    return PolicySet.compile([*others, policy], revision=policies.revision)


def _newest(tx: Tx) -> PolicySet:
    """Compile the stored policies; one that cannot be read turns everything into a review."""
    revision = tx.policies.revision()
    try:
        records = tx.policies.all()
    except (ValueError, TypeError) as error:
        log.error("policies_unreadable", error=type(error).__name__)  # noqa: TRY400 - no content
        return _closed(revision)
    return _compile(records, revision)


def _closed(revision: int) -> PolicySet:
    """Return the set by which a person decides everything."""
    return PolicySet.compile(
        [parse_policy(_NOT_READABLE, id="fail-closed", version=0)], revision=revision
    )


def _compile(records: list[PolicyRecord], revision: int) -> PolicySet:
    found: list[Policy] = []
    for record in records:
        try:
            found.append(parse_policy(record.document, id=record.id, version=record.version))
        except Exception as error:  # noqa: BLE001 - fail closed: whatever it is, a person decides
            pointer = getattr(error, "pointer", "")
            kind = type(error).__name__
            log.error("policy_unreadable", policy=record.id, error=kind, pointer=pointer)  # noqa: TRY400
            return _closed(revision)
    return PolicySet.compile(found, revision=revision)


def _existing(tx: Tx, policy_id: str) -> PolicyRecord:
    record = tx.policies.get(policy_id)
    if record is None:
        message = "there is no such policy"
        raise NotFound(message)
    return record


def _locked(tx: Tx, policy_id: str) -> PolicyRecord:
    record = tx.policies.lock(policy_id)
    if record is None:
        message = "there is no such policy"
        raise NotFound(message)
    return record


def _check_name(tx: Tx, policy: Policy) -> None:
    other = tx.policies.named(policy.name)
    if other is not None and other.id != policy.id:
        raise NameTaken(pointer="/name")


def _add(tx: Tx, actor: Actor, policy: Policy) -> PolicyRecord:
    _check_name(tx, policy)
    record = _record(policy, actor, tx.now, tx.now)
    tx.policies.add(record)
    tx.note("policy.created", actor, f"policy:{policy.id}", {"name": policy.name, "version": 1})
    return record


def _put(tx: Tx, actor: Actor, policy: Policy) -> PolicyRecord:
    before = _locked(tx, policy.id)
    if before.version + 1 != policy.version:
        raise VersionMismatch(extra={"version": before.version})
    _check_name(tx, policy)
    record = _record(policy, actor, before.created_at, tx.now)
    tx.policies.put(record)
    details: dict[str, JsonValue] = {"name": policy.name, "version": policy.version}
    tx.note("policy.updated", actor, f"policy:{policy.id}", details)
    return record


def _remove(tx: Tx, actor: Actor, policy_id: str) -> None:
    record = _locked(tx, policy_id)
    tx.policies.remove(policy_id)
    details: dict[str, JsonValue] = {"name": record.name, "version": record.version}
    tx.note("policy.deleted", actor, f"policy:{policy_id}", details)


def _record(policy: Policy, actor: Actor, created: Instant, updated: Instant) -> PolicyRecord:
    return PolicyRecord(
        id=policy.id,
        name=policy.name,
        version=policy.version,
        priority=policy.priority,
        enabled=policy.enabled,
        document=policy.document,
        author=actor.reference,
        created_at=created,
        updated_at=updated,
    )
