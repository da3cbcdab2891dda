"""``assentry bootstrap``: prepare an installation without a browser."""

import argparse
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.password import read_password
from app.cli.start import FAILED, guarded, prepare, say, show_setup
from app.core.errors import AssentryError, NotFound
from app.core.principals import AGENT_SCOPES, ROLE_SCOPES, Caller, Person, Role
from app.settings import Settings

if TYPE_CHECKING:
    from app.services.bundle import Services


def main(argv: list[str]) -> int:
    """Run the command."""
    options = _parser().parse_args(argv)
    if options.admin and not options.password_file:
        _parser().error("--admin needs --password-file")
    return guarded(lambda settings: _run(settings, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assentry bootstrap",
        description="Migrate, make the master key, and print the link of the set-up; or make an "
        "administrator and an agent right away and print their keys, once, as JSON.",
    )
    parser.add_argument("--admin", metavar="EMAIL", help="make the first administrator")
    parser.add_argument("--name", default="Administrator", help="the administrator's name")
    parser.add_argument("--password-file", type=Path, help="file with the password")
    parser.add_argument(
        "--works-alone", action="store_true", help="owners of agents may decide their requests"
    )
    parser.add_argument("--agent", metavar="NAME", help="make an agent with a key")
    parser.add_argument("--open-limit", type=int, default=100, help="the agent's pending requests")
    return parser


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    from app.factory import services  # noqa: PLC0415 - heavy

    prepare(settings)
    async with services(settings) as opened:
        if options.admin or options.agent:
            return await _make(opened, options)
        if not await show_setup(settings, opened):
            print(f"Assentry is set up; it is reached at {settings.public_url}")
    return 0


async def _make(opened: "Services", options: argparse.Namespace) -> int:
    """Make what is asked for, and print what was made even when a later part fails."""
    async with _printed() as made:
        try:
            if options.admin:
                await _add_administrator(opened, options, made)
            if options.agent:
                await _add_agent(opened, options, made)
        except AssentryError as error:
            say(f"{error.detail} ({error.code})")
            return FAILED
    return 0


@asynccontextmanager
async def _printed() -> AsyncGenerator[dict[str, str], None]:
    """Print at the end what was made: keys are shown this one time."""
    made: dict[str, str] = {}
    try:
        yield made
    finally:
        if made:
            print(json.dumps(made), flush=True)


async def _add_administrator(
    opened: "Services", options: argparse.Namespace, made: dict[str, str]
) -> None:
    password = read_password(options.password_file)
    person = await opened.people.add_first(options.name, options.admin, password)
    caller = _caller(person)
    if options.works_alone:
        await opened.people.set_owner_may_decide(caller, allowed=True)
    _, secret = await opened.agents.create_key(
        caller, name="bootstrap", scopes=sorted(ROLE_SCOPES[Role.ADMIN]), person_id=person.id
    )
    made |= {"admin_id": person.id, "admin_key": secret}


async def _add_agent(opened: "Services", options: argparse.Namespace, made: dict[str, str]) -> None:
    people = await opened.store.read(lambda tx: tx.people.all())
    owner = next((one for one in people if one.role is Role.ADMIN and one.active), None)
    if owner is None:
        message = "an agent needs an owner: make an administrator first (--admin)"
        raise NotFound(message)
    caller = _caller(owner)
    agent = await opened.agents.create(caller, name=options.agent, open_limit=options.open_limit)
    _, secret = await opened.agents.create_key(
        caller, name="bootstrap", scopes=sorted(AGENT_SCOPES), agent_id=agent.id
    )
    made |= {"agent_id": agent.id, "agent_key": secret}


def _caller(person: Person) -> Caller:
    return Caller(person.actor, ROLE_SCOPES[person.role], person=person, local=True)
