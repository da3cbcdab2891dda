"""``assentry password``: a new password for somebody who lost theirs."""

import argparse
import getpass
import sys
from pathlib import Path

from app.cli.start import FAILED, check_schema, guarded, say
from app.core.errors import AssentryError
from app.settings import Settings, SettingsError


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="assentry password",
        description="Set the password of an account, end its sessions, and put that on record. "
        "Run it where the database and the master key are.",
    )
    parser.add_argument("email", help="the address that the account signs in with")
    parser.add_argument(
        "--password-file", type=Path, help="file with the password; else it is asked for"
    )
    options = parser.parse_args(argv)
    return guarded(lambda settings: _run(settings, options))


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    from app.factory import services  # noqa: PLC0415 - heavy
    from app.services.recovery import recover  # noqa: PLC0415

    check_schema(settings)
    password = _asked() if options.password_file is None else read_password(options.password_file)
    async with services(settings) as opened:
        try:
            ended = await recover(opened.store, options.email, password)
        except AssentryError as error:
            say(f"{error.detail} ({error.code})")
            return FAILED
    print(f"{options.email} has a new password; sessions ended: {ended}")
    return 0


def read_password(path: Path) -> str:
    """Return the password that a file holds, without white space around it.

    :raises SettingsError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise SettingsError(message) from error


def _asked() -> str:
    """Ask for the password twice.

    :raises SettingsError: there is no terminal, or the two differ.
    """
    if not sys.stdin.isatty():
        message = "there is no terminal to ask at: give --password-file"
        raise SettingsError(message)
    first = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != first:
        message = "the two are not the same; nothing was changed"
        raise SettingsError(message)
    return first
