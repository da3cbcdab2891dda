"""Who would ask in a dry run, and what the target and the key would let pass, as at the claim."""

from dataclasses import dataclass, replace

from msgspec import structs

from app.core.errors import InvalidField, NotFound, TargetNotPermitted
from app.core.facts import Facts
from app.core.principals import Agent, ApiKey
from app.core.ssh_target import permit_ssh, profiles_of
from app.core.ssh_verdict import Wanted
from app.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A command that somebody would ask for.

    :ivar facts: with the agent that the key belongs to.
    :ivar refusal: why the key permits nothing there; empty when it does.
    """

    facts: Facts
    wanted: Wanted
    refusal: str = ""


def rehearsed(tx: Tx, facts: Facts, key_id: str) -> Rehearsed:
    """Return who would ask, and by which profiles the command is judged.

    :param key_id: empty for the only key of the agent that the facts name, if there is one.
    :raises NotFound: there is no such key that could ask, or no such SSH target for it.
    :raises InvalidField: the agent's keys name several sets of profiles.
    """
    target = tx.targets.named(facts.target) if facts.target else None
    ssh = None if target is None else target.settings.ssh
    if target is None or ssh is None:
        if key_id:
            message = "there is no such SSH target that the key could be used at"
            raise NotFound(message, pointer="/target")
        return Rehearsed(facts, Wanted())
    at_target = Wanted(ssh.profiles, ssh.only_profiles)
    key, agent = _named(tx, key_id) if key_id else _only(tx, facts, target.name)
    if key is None or agent is None:
        return Rehearsed(facts, at_target)
    facts = structs.replace(facts, agent_id=agent.id, agent_name=agent.name)
    try:
        permit_ssh(key.permissions, target.name)
    except TargetNotPermitted as error:
        return Rehearsed(facts, at_target, error.detail)
    of_key = profiles_of(key.permissions, target.name)
    return Rehearsed(facts, replace(at_target, of_key=of_key))


def _named(tx: Tx, key_id: str) -> tuple[ApiKey, Agent]:
    key = tx.agents.key(key_id)
    agent = tx.agents.get(key.agent_id) if key is not None and key.agent_id else None
    if key is None or agent is None or not _stands(tx, key):
        message = "there is no such key of an agent that could ask"
        raise NotFound(message, pointer="/key")
    return key, agent


def _only(tx: Tx, facts: Facts, target: str) -> tuple[ApiKey | None, Agent | None]:
    """Return a key of the agent that the facts name, where it does not matter which one asks."""
    agent = tx.agents.named(facts.agent_name)
    if agent is None:
        return None, None
    keys = [one for one in tx.agents.keys(agent_id=agent.id) if _stands(tx, one)]
    if len({_said(one, target) for one in keys}) > 1:
        message = "this agent's keys differ at the target: name the one that asks"
        raise InvalidField(message, pointer="/key")
    return (keys[0] if keys else None), agent


def _said(key: ApiKey, target: str) -> tuple[str, ...] | None:
    """Return the profiles that a key names for a target; None where it permits nothing there."""
    try:
        permit_ssh(key.permissions, target)
    except TargetNotPermitted:
        return None
    return profiles_of(key.permissions, target)


def _stands(tx: Tx, key: ApiKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > tx.now)
