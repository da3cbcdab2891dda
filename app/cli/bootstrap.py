"""``assentry bootstrap``: prepare an installation without a browser."""

import argparse
import json
import sys
from pathlib import Path

from app.cli.start import USAGE, guarded, prepare, show_setup
from app.core.errors import AssentryError
from app.core.principals import AGENT_SCOPES, ROLE_SCOPES, Caller, Person, Role
from app.factory import Services, services
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry bootstrap", description=__doc__)
    parser.add_argument("--admin", metavar="EMAIL", help="make the first administrator")
    parser.add_argument("--name", default="Administrator", help="the administrator's name")
    parser.add_argument("--password-file", type=Path, help="file with the password")
    parser.add_argument("--works-alone", action="store_true",
                        help="owners of agents may decide their requests")  # fmt: skip
    parser.add_argument("--agent", metavar="NAME", help="make an agent with a key")
    parser.add_argument("--open-limit", type=int, default=100, help="the agent's pending requests")
    options = parser.parse_args(argv)
    if options.admin and not options.password_file:
        parser.error("--admin needs --password-file")
    return guarded(lambda settings: _run(settings, options))


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    prepare(settings)
    async with services(settings) as opened:
        try:
            return await _fill(settings, opened, options)
        except AssentryError as error:
            print(f"assentry: {error.detail} ({error.code})", file=sys.stderr)
            return USAGE


async def _fill(settings: Settings, opened: Services, options: argparse.Namespace) -> int:
    made: dict[str, str] = {}
    if options.admin:
        password = options.password_file.read_text(encoding="utf-8").strip()
        person = await opened.people.add_first(options.name, options.admin, password)
        made |= {"admin_id": person.id, "admin_key": await _admin_key(opened, person)}
        if options.works_alone:
            await opened.people.set_owner_may_decide(_caller(person), True)  # noqa: FBT003
    if options.agent:
        made |= await _agent(opened, options)
    if made:
        print(json.dumps(made))
    else:
        await show_setup(settings, opened)
    return 0


def _caller(person: Person) -> Caller:
    return Caller(person.actor, ROLE_SCOPES[person.role], person=person)


async def _admin_key(opened: Services, person: Person) -> str:
    _, secret = await opened.agents.create_key(
        _caller(person), name="bootstrap", scopes=sorted(ROLE_SCOPES[Role.ADMIN]),
        person_id=person.id,
    )  # fmt: skip
    return secret


async def _agent(opened: Services, options: argparse.Namespace) -> dict[str, str]:
    people = await opened.store.read(lambda tx: tx.people.all())
    admin = next((person for person in people if person.role is Role.ADMIN), None)
    if admin is None:
        print("assentry: make an administrator first (--admin)", file=sys.stderr)
        return {}
    caller = _caller(admin)
    agent = await opened.agents.create(caller, name=options.agent, open_limit=options.open_limit)
    _, secret = await opened.agents.create_key(
        caller, name="bootstrap", scopes=sorted(AGENT_SCOPES), agent_id=agent.id
    )
    return {"agent_id": agent.id, "agent_key": secret}
