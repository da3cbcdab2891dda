"""The command ``assentry``: lists subcommands without importing them, and runs one.

Other distributions add subcommands through the entry-point group ``assentry.commands``; each is a
callable that takes the remaining arguments and returns the exit code.
"""

import sys
from importlib.metadata import EntryPoint, entry_points

GROUP = "assentry.commands"
"""Entry-point group that subcommands are found in."""

OWN = {
    "approve": "assentry.approving:approve",
    "deny": "assentry.approving:deny",
    "inbox": "assentry.approving:inbox",
    "show": "assentry.approving:show",
}
"""The subcommands of this distribution; found without reading any metadata."""

HELP = {
    "approve": "show a request and approve exactly what is shown",
    "bootstrap": "prepare an installation; make the first administrator and agent",
    "deny": "show a request and deny it",
    "doctor": "check settings, database, keys and ports",
    "hosts": "show a host's key and enrol it",
    "inbox": "list what waits for a decision",
    "keys": "rotate the master key",
    "migrate": "bring the database to this version",
    "password": "set the password of somebody who lost theirs",
    "serve": "run the server",
    "show": "show a request as people decide on it",
    "up": "run server and worker in one process",
    "work": "run a worker",
}
"""One line about each subcommand that is known here."""

USAGE_ERROR = 2


def main(argv: list[str] | None = None) -> int:
    """Run the subcommand that the arguments name and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    commands = _commands()
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_overview(commands))
        return 0
    name, *rest = arguments
    if name not in commands:
        print(f"assentry: there is no command {name!r}; see 'assentry --help'", file=sys.stderr)
        return USAGE_ERROR
    run = commands[name].load()
    return int(run(rest))


def _commands() -> dict[str, EntryPoint]:
    own = {name: EntryPoint(name, place, GROUP) for name, place in OWN.items()}
    return {point.name: point for point in entry_points(group=GROUP)} | own


def _overview(commands: dict[str, EntryPoint]) -> str:
    width = max((len(name) for name in commands), default=0)
    lines = [f"  {name:<{width}}  {HELP.get(name, '')}".rstrip() for name in sorted(commands)]
    return "\n".join(["usage: assentry COMMAND [OPTIONS]", "", "commands:", *lines])


if __name__ == "__main__":
    sys.exit(main())
