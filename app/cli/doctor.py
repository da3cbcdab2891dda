"""``assentry doctor``: check settings, master key, database, clock, policies and port."""

import argparse
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Final

from app.cli.start import guarded
from app.core.errors import AssentryError
from app.core.instant import SECOND
from app.factory import services
from app.services.sealing import load_master_keys
from app.settings import Settings, SettingsError
from app.store.database import Database
from app.store.migrate import current, head

SKEW: Final = 5
"""Seconds that the database's clock may differ from ours before it is worth a word."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    good: bool
    detail: str


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(argv)
    return guarded(lambda settings: _run(settings, as_json=options.json))


async def _run(settings: Settings, *, as_json: bool) -> int:
    findings = [Finding("settings", True, f"database is {Database(settings.database).kind}")]  # noqa: FBT003
    checks: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
        ("master key", _master_key),
        ("database", _database),
        ("policies and clock", _policies),
        ("port", _port),
    )
    for name, check in checks:
        findings.append(await _finding(name, check, settings))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.good else 'BAD '} {finding.check}: {finding.detail}")
    return 0 if all(finding.good for finding in findings) else 1


async def _finding(
    name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings
) -> Finding:
    try:
        return Finding(name, True, await check(settings))  # noqa: FBT003
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
        return Finding(name, False, f"{type(error).__name__}: {str(error)[:300]}")  # noqa: FBT003


async def _master_key(settings: Settings) -> str:
    keys = load_master_keys(settings)
    return f"{len(keys)} configured, the current one is {keys[0].id}"


async def _database(settings: Settings) -> str:
    found = current(Database(settings.database))
    if found != head():
        message = f"the schema is at {found}, this version needs {head()}: run 'assentry migrate'"
        raise SettingsError(message)
    return f"reachable, at {found}"


async def _policies(settings: Settings) -> str:
    async with services(settings) as opened:
        policies = await opened.policies.refresh()
        if any(policy.id == "fail-closed" for policy in policies.policies):
            message = "a stored policy cannot be read; everything waits for a person"
            raise AssentryError(message)
        skew = abs(opened.clock.offset) / SECOND
        if skew > SKEW:
            message = f"the database's clock differs by {skew:.0f} s"
            raise AssentryError(message)
        return f"{len(policies.policies)} policies, revision {policies.revision}"


async def _port(settings: Settings) -> str:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    return f"{settings.host}:{settings.port} is {'served' if taken else 'free'}"
