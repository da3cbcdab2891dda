"""``assentry doctor``: check settings, key, database, record, rules, targets, port, channels."""

import argparse
import asyncio
import json
import os
import socket
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.cli import logs
from app.cli.start import FAILED, check_schema, database_of, load_settings
from app.core.errors import AssentryError, Unavailable
from app.core.instant import SECOND
from app.core.ports import DeliveryFailed
from app.settings import PREFIX, PartSettings, Settings, SettingsError

if TYPE_CHECKING:
    from integrations.base import Registered

SKEW: Final = 5
"""Seconds that the database's clock may differ from ours before it is worth a word."""

_KEY_FILE: Final = f"{PREFIX}MASTER_KEY_FILE"
_OTHERS: Final = 0o007


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    good: bool
    detail: str


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 1 when a check fails."""
    parser = argparse.ArgumentParser(prog="assentry doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(argv)
    findings = asyncio.run(examine())
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.good else 'BAD '} {finding.check}: {finding.detail}")
    return 0 if all(finding.good for finding in findings) else FAILED


async def examine() -> list[Finding]:
    """Return what every check found; without valid settings the others are left out."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [Finding("settings", good=False, detail=str(error))]
    logs.configure(settings)
    findings = [Finding("settings", good=True, detail=f"reached at {settings.public_url}")]
    for name, check in CHECKS:
        findings.append(await _finding(name, check, settings))
    return [*findings, *await _channels()]


async def _finding(
    name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings
) -> Finding:
    try:
        return Finding(name, good=True, detail=await check(settings))
    except (AssentryError, SettingsError) as error:
        return Finding(name, good=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
        return Finding(name, good=False, detail=f"{type(error).__name__}: {str(error)[:300]}")


async def _master_key(settings: Settings) -> str:
    from app.services.sealing import load_master_keys  # noqa: PLC0415 - heavy

    keys = load_master_keys(settings)
    words = f"{len(keys)} configured, the current one is {keys[0].id}"
    if missing := await asyncio.to_thread(_sealing, settings) - {key.id for key in keys}:
        message = (
            f"{words}; {', '.join(sorted(missing))} is missing: credentials that it seals do not "
            "open. Add it to ASSENTRY_MASTER_KEY, or enter those credentials again"
        )
        raise Unavailable(message)
    path = os.environ.get(_KEY_FILE)
    if path and await asyncio.to_thread(_is_open, Path(path)):
        words += f"; note that every account of this machine can read {path}"
    return words


def _sealing(settings: Settings) -> frozenset[str]:
    """Return the master keys that the vault needs; none where there is no database yet."""
    from app.store.migrate import master_keys  # noqa: PLC0415 - heavy

    try:
        check_schema(settings)
    except (AssentryError, SettingsError):
        return frozenset()  # the check of the database says why
    return master_keys(database_of(settings))


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


async def _database(settings: Settings) -> str:
    return f"it answers, the schema is at {check_schema(settings)}"


async def _clock(settings: Settings) -> str:
    from app.store.engine import Store  # noqa: PLC0415 - heavy
    from app.store.units import database_time  # noqa: PLC0415 - heavy

    await _need_database(settings)
    store = Store(settings.database)
    if store.kind == "sqlite":
        return "SQLite takes this machine's"
    await store.open()
    try:
        ours = store.clock.now() - store.clock.offset
        skew = (await store.read(lambda tx: database_time(tx.connection)) - ours) / SECOND
    finally:
        await store.close()
    if abs(skew) > SKEW:
        message = f"the database's clock is {skew:+.0f} s from this machine's"
        raise Unavailable(message)
    return f"the database's is {skew:+.1f} s from this machine's"


async def _policies(settings: Settings) -> str:
    from app.factory import services  # noqa: PLC0415 - heavy

    await _need_database(settings)
    async with services(settings, parts=()) as opened:
        policies = await opened.policies.refresh()
        records = await opened.store.read(lambda tx: tx.policies.all())
        reach = replace(opened.reach, channels=_set_up())
        lost = [
            f"{record.name}: {warning}"
            for record in records
            if record.enabled
            for warning in await reach.warnings(record)
        ]
    if any(policy.id == "fail-closed" for policy in policies.policies):
        message = "a stored policy cannot be read; everything waits for a person"
        raise Unavailable(message)
    if lost:
        message = f"some ask for what is not there; {'; '.join(lost)}"
        raise Unavailable(message)
    return f"{len(policies.policies)} in force, revision {policies.revision}"


async def _record(settings: Settings) -> str:
    from app.store.engine import Store  # noqa: PLC0415 - heavy
    from app.store.guards import missing_guards, missing_lines  # noqa: PLC0415 - heavy

    await _need_database(settings)
    store = Store(settings.database)
    await store.open()
    try:
        gone = await store.read(missing_guards)
        lines = await store.read(missing_lines)
    finally:
        await store.close()
    if lines:
        message = f"{lines} of its lines are gone: somebody changed the database by other means"
        raise Unavailable(message)
    if gone:
        message = f"the database does not guard it any more: {', '.join(gone)} is missing"
        raise Unavailable(message)
    return "no line is missing, and the database refuses changes of it"


async def _command_rules(settings: Settings) -> str:
    from app.services.profiles import opened  # noqa: PLC0415 - heavy

    try:
        rules = await asyncio.to_thread(lambda: opened(settings.command_rules).current)
    except SettingsError as error:
        message = f"{error}. A server that runs keeps the last good set; none starts with this one"
        raise Unavailable(message) from error
    own = f", with those in {settings.command_rules}" if settings.command_rules else ""
    return f"{len(rules.guard.rules)} rules of the guard, {len(rules.profiles)} profiles{own}"


async def _targets(settings: Settings) -> str:
    from app.factory import services  # noqa: PLC0415 - heavy

    await _need_database(settings)
    async with services(settings, parts=()) as opened:
        stopped = opened.breakers.open
        targets = await opened.store.read(lambda tx: tx.targets.all())
    names = [target.name for target in targets if target.id in stopped]
    if names:
        message = f"calls are stopped at {', '.join(names)}: too many failed there"
        raise Unavailable(message)
    return f"{len(targets)} set up, no calls are held back"


async def _queues(settings: Settings) -> str:
    from app.factory import services  # noqa: PLC0415 - heavy

    await _need_database(settings)
    async with services(settings, parts=()) as opened:
        lanes = await opened.backlog.look()
        troubled = await opened.store.read(lambda tx: tx.deliveries.troubled())
    waiting = [lane for lane in lanes if lane.due]
    words = ", ".join(f"{lane.name}: {lane.due} for {lane.seconds:.0f} s" for lane in waiting)
    if any(lane.late for lane in waiting):
        message = f"work waits for a worker; {words}"
        raise Unavailable(message)
    failing = sum((Counter({one.channel: one.failing}) for one in troubled), Counter[str]())
    if failing:
        counts = ", ".join(f"{channel}: {count}" for channel, count in sorted(failing.items()))
        message = f"deliveries fail and are tried again; {counts}; see the page Notices"
        raise Unavailable(message)
    dead = sum(one.dead for one in troubled)
    given_up = f"; {dead} deliveries were given up, see the page Notices" if dead else ""
    return f"{words or 'nothing waits for a worker'}{given_up}"


async def _need_database(settings: Settings) -> None:
    """Let a check pass that would otherwise make a database, or wait for one.

    :raises Unavailable: the database was not found good.
    """
    try:
        await _database(settings)
    except (AssentryError, SettingsError) as error:
        message = "cannot be checked without the database"
        raise Unavailable(message) from error


async def _port(settings: Settings) -> str:
    def taken() -> bool:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.settimeout(1)
            return probe.connect_ex((settings.host, settings.port)) == 0

    served = await asyncio.to_thread(taken)
    return f"{settings.host}:{settings.port} is {'served' if served else 'free'}"


async def _channels() -> list[Finding]:
    """Ask every channel that is set up who we are there (CH-6)."""
    from integrations.registry import CHANNELS  # noqa: PLC0415 - heavy

    found = [await _channel(registered) for registered in CHANNELS]
    return [finding for finding in found if finding is not None]


async def _channel(registered: "Registered") -> Finding | None:
    """Return what is found of a channel; None when nothing of it is set."""
    try:
        part = _settings_of(registered)
    except SettingsError as error:
        return Finding(registered.name, good=False, detail=str(error))
    if not part.enabled:
        return None
    channel = registered.channel(part)
    try:
        return Finding(registered.name, good=True, detail=await channel.check())
    except DeliveryFailed as failure:
        return Finding(registered.name, good=False, detail=failure.detail)
    finally:
        await channel.close()


def _set_up() -> tuple[str, ...]:
    """Return the names of the channels that are set up; each one's own check says what lacks."""
    from integrations.registry import CHANNELS  # noqa: PLC0415 - heavy

    names: list[str] = []
    for registered in CHANNELS:
        with suppress(SettingsError):
            if _settings_of(registered).enabled:
                names.append(registered.name)
    return tuple(names)


def _settings_of(registered: "Registered") -> PartSettings:
    """Return the settings of a channel.

    :raises SettingsError: one is not valid, or a file that one names cannot be read.
    """
    from integrations.registry import settings_of  # noqa: PLC0415 - heavy

    with warnings.catch_warnings(record=True) as odd:
        warnings.simplefilter("always")
        part = settings_of(registered)
    if odd:
        raise SettingsError("; ".join(str(one.message) for one in odd))
    return part


CHECKS: Final[tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...]] = (
    ("master key", _master_key),
    ("database", _database),
    ("clock", _clock),
    ("record", _record),
    ("command rules", _command_rules),
    ("policies", _policies),
    ("targets", _targets),
    ("queues", _queues),
    ("port", _port),
)
"""What is looked at, in this order."""
