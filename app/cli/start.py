"""What every command shares: settings, logs, the prepared installation, and words for a refusal."""

import os
import resource
import sys
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import app.cli.lean  # noqa: F401 - before what logs  # pyright: ignore[reportUnusedImport]
from app.core.errors import AssentryError
from app.settings import Settings, SettingsError, load
from integrations.registry import PREFIXES

if TYPE_CHECKING:
    from app.services.bundle import Services
    from app.store.database import Database

FAILED: Final = 1
"""Exit code for what went wrong while it ran."""

USAGE: Final = 2
"""Exit code for a start that settings or arguments do not allow."""

FILES: Final = 65_536
"""Open files and connections that are enough; a stream through the gateway takes two."""


def say(message: str) -> None:
    """Write a line for the operator to standard error."""
    print(f"assentry: {message}", file=sys.stderr, flush=True)


def guarded(run: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Load the settings, set up logs, and run; say in one line why it cannot."""
    os.umask(0o077)
    allow_files()
    try:
        return _run(load_settings(), run)
    except (SettingsError, AssentryError, ExceptionGroup) as error:
        reason = _leaf(error)
        if isinstance(reason, SettingsError):
            say(str(reason))
            return USAGE
        if isinstance(reason, AssentryError):
            say(f"{reason.detail} ({reason.code})")
            return FAILED
        raise


def allow_files() -> None:
    """Let this process have more files open than shells allow at first, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def load_settings() -> Settings:
    """Return the settings, and say what is odd about them.

    :raises SettingsError: one is unknown or not valid.
    """
    warnings.showwarning = _warn
    return load(parts=PREFIXES)


def _warn(message: Warning | str, *_place: object) -> None:
    """Say what is odd in a line, as everything is said; the place in the code helps nobody."""
    say(f"warning: {message}")


def _run(settings: Settings, run: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    import uvloop  # noqa: PLC0415 - not for `--help`

    from app.cli import logs  # noqa: PLC0415 - likewise

    logs.configure(settings)
    return uvloop.run(run(settings))


def _leaf(error: BaseException) -> BaseException:
    """Return the one error that a task group wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


def database_of(settings: Settings) -> "Database":
    """Return the configured database, not yet connected.

    :raises SettingsError: its address is not one, or its file cannot be made.
    """
    from app.store.database import Database  # noqa: PLC0415 - not for `--help`

    try:
        return Database(settings.database)
    except AssentryError as error:
        reason = error.detail
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    except Exception:  # noqa: BLE001 - the parser's words may repeat a password
        reason = "it is not written as sqlite:///path or postgresql://user:password@host/name"
    message = f"ASSENTRY_DATABASE_URL cannot be used: {reason}"
    raise SettingsError(message)


def prepare(settings: Settings) -> None:
    """Make the data folder and the master key where none is set, and migrate.

    :raises SettingsError: the folder or the database's address cannot be used, or the key that
        seals the vault is gone.
    :raises StoreUnavailable: the database does not answer.
    """
    from app.services.sealing import MASTER_KEY_FILE, create_master_key  # noqa: PLC0415 - heavy
    from app.store.migrate import migrate  # noqa: PLC0415 - heavy

    path = settings.data_dir / MASTER_KEY_FILE
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not settings.master_key.get_secret_value() and not path.exists():
            _refuse_second_key(settings, path)
            create_master_key(path)
    except OSError as error:
        message = f"the data folder {settings.data_dir} cannot be used: {error.strerror}"
        raise SettingsError(message) from error
    migrate(database_of(settings))


def _refuse_second_key(settings: Settings, path: Path) -> None:
    """Make no new key beside a vault that only the lost one opens (T68)."""
    from app.store.migrate import master_keys  # noqa: PLC0415 - heavy

    if sealing := master_keys(database_of(settings)):
        message = (
            f"{path} is not there, but the database holds credentials that only the master key "
            f"{', '.join(sorted(sealing))} opens: put the file back from your backup. If it is "
            "lost for good, set ASSENTRY_MASTER_KEY to a new key and enter each credential again"
        )
        raise SettingsError(message)


def check_schema(settings: Settings) -> str:
    """Return the revision of a database that is there and at this version; none is made.

    :raises SettingsError: it is not; the message says what to run.
    :raises StoreUnavailable: it does not answer.
    """
    from app.store.migrate import current, head  # noqa: PLC0415 - heavy

    if settings.database.startswith("sqlite:///"):
        path = Path(settings.database.removeprefix("sqlite:///"))
        if not path.exists():
            message = f"{path} does not exist yet: run 'assentry migrate' or 'assentry up'"
            raise SettingsError(message)
    found, wanted = current(database_of(settings)), head()
    if found is None or found != wanted:
        message = f"the schema is at {found}, this version needs {wanted}: run 'assentry migrate'"
        raise SettingsError(message)
    return found


def note_engine(settings: Settings) -> None:
    """Say what running server and worker apart means on SQLite."""
    if settings.database.startswith("sqlite"):
        say(
            "note: on SQLite every process must run on this machine and share the file; "
            "'assentry up' does it all in one, PostgreSQL spreads over machines"
        )


async def show_setup(settings: Settings, services: "Services") -> bool:
    """Print the one-time link of the set-up; False when somebody has an account."""
    token = await services.people.issue_setup_token()
    if token is None:
        return False
    print(
        "\n".join(
            [
                "",
                "  Welcome to Assentry. Nobody has an account yet.",
                "  Open this link once to make the first one:",
                "",
                f"    {settings.public_url}/setup?token={token}",
                "",
            ]
        ),
        flush=True,
    )
    return True
