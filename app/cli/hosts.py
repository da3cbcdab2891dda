"""``assentry hosts enrol TARGET``: show the key of an SSH host, and pin it once it is confirmed."""

import argparse
from typing import TYPE_CHECKING

from app.cli.start import FAILED, check_schema, guarded
from app.core.audit import SYSTEM
from app.core.principals import ROLE_SCOPES, Caller, Role
from app.settings import Settings

if TYPE_CHECKING:
    from app.core.host_keys import ShownKey


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry hosts", description=__doc__)
    parser.add_argument("what", choices=["enrol"])
    parser.add_argument("target", help="the name of an SSH target")
    parser.add_argument("--host", default="", help="which host, where agents name it")
    parser.add_argument(
        "--fingerprint", default="", help="SHA256:... that the host must show; asks nothing then"
    )
    options = parser.parse_args(argv)
    return guarded(lambda settings: _enrol(settings, options))


async def _enrol(settings: Settings, options: argparse.Namespace) -> int:
    from app.factory import services  # noqa: PLC0415 - heavy

    check_schema(settings)
    async with services(settings) as opened:
        caller = Caller(SYSTEM, ROLE_SCOPES[Role.ADMIN])
        found = [one for one in await opened.targets.list(caller) if one.name == options.target]
        if not found:
            print(f"there is no target {options.target!r}")
            return FAILED
        shown = await opened.host_keys.look(caller, found[0].id, options.host)
        print(f"{shown.host}:{shown.port} shows {shown.kind} {shown.fingerprint}")
        if shown.is_pinned and options.fingerprint in ("", shown.fingerprint):
            print("This key is pinned already.")
            return 0
        if not _confirmed(shown, options.fingerprint):
            print("Nothing was changed.")
            return FAILED
        after = await opened.host_keys.enrol(caller, found[0].id, shown.key, options.host)
        print(f"Pinned. {after.name} is at revision {after.revision} now.")
    return 0


def _confirmed(shown: "ShownKey", wanted: str) -> bool:
    """Whether it is the wanted fingerprint, or a person says that it is the right one."""
    if wanted:
        return shown.fingerprint == wanted
    word = "yes"
    if shown.changed:
        word = "replace"
        print(f"This is NOT the key that is pinned: {', '.join(shown.pinned)}.")
        print("Somebody may stand between. Find out at the host itself why it changed.")
    try:
        answer = input(f"Compare it with the host's own (ssh-keygen -lf). Type {word} to pin it: ")
    except EOFError:
        return False
    return answer.strip() == word
