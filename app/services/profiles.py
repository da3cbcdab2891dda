"""The guard's rules and the profiles: those that come with the program, and an operator's own.

They are files, so that they can be reviewed and kept under version control. A set is read whole
or not at all: after a broken edit the last good one stays, and the error is there to be shown.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from app.core.command_guard import GuardRules
from app.core.command_profile import Profile, read_profile
from app.core.command_rules import CommandRules
from app.core.errors import InvalidPolicy
from app.core.guard_rules import read_guard
from app.core.profile_reading import extended
from app.settings import PREFIX, SettingsError

LIBRARY: Final = Path(__file__).parent.parent / "library"
GUARD_FILE: Final = "ssh_guard.toml"
Stamp: TypeAlias = tuple[tuple[str, int, int], ...]

_log: Final = structlog.get_logger(__name__)
_MOST_FILES: Final = 500
_MOST_BYTES: Final = 1 << 20


def load(folder: Path | None = None) -> CommandRules:
    """Return the bundled rules with those of an operator's folder.

    A profile of the folder takes the place of a bundled one of its name; ``ssh_guard.toml`` adds
    rules to the guard.

    :raises InvalidPolicy: with the file and the pointer in it.
    """
    bundled = _bundled()
    if folder is None:
        return bundled
    documents = {**_documents(LIBRARY / "ssh_profiles"), **_documents(folder)}
    more = documents.pop(GUARD_FILE, None)
    guard = bundled.guard if more is None else _guard(bundled.guard, more, GUARD_FILE)
    return CommandRules(_profiles(documents), guard)


@cache
def _bundled() -> CommandRules:
    guard = read_guard((LIBRARY / GUARD_FILE).read_text("utf-8"))
    return CommandRules(_profiles(_documents(LIBRARY / "ssh_profiles")), guard)


def _guard(bundled: GuardRules, document: str, name: str) -> GuardRules:
    try:
        return bundled.with_more(read_guard(document))
    except InvalidPolicy as error:
        raise _in_file(error, name, document) from error


def _documents(folder: Path) -> dict[str, str]:
    """Return the text of each TOML file in a folder by its name."""
    try:
        if not folder.is_dir():
            raise InvalidPolicy(f"{folder}: there is no such folder")
        paths = _files(folder)
        if len(paths) > _MOST_FILES:
            raise InvalidPolicy(f"{folder.name}: more than {_MOST_FILES} files")
        return {path.name: _text(path) for path in paths}
    except OSError as error:
        message = f"{folder}: can't be read ({type(error).__name__})"
        raise InvalidPolicy(message) from error


def _files(folder: Path) -> list[Path]:
    """Return the TOML files of a folder; unlike ``glob``, an unreadable folder is an error."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".toml")


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidPolicy(f"{path.name}: larger than {_MOST_BYTES} bytes")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path.name}: can't be read ({type(error).__name__})"
        raise InvalidPolicy(message) from error


def _profiles(documents: Mapping[str, str]) -> Mapping[str, Profile]:
    read: dict[str, Profile] = {}
    for name in _ordered(documents):
        try:
            profile = read_profile(documents[name], read)
        except InvalidPolicy as error:
            raise _in_file(error, name, documents[name]) from error
        if f"{profile.name}.toml" != name:
            raise InvalidPolicy(f"{name}: the name in it is {profile.name!r}", pointer="/name")
        read[profile.name] = profile
    return read


def _ordered(documents: Mapping[str, str]) -> Iterator[str]:
    """Yield names of files so that a profile comes behind those that it extends."""
    done = set[str]()
    waiting = dict[str, set[str]]()
    for name, document in documents.items():
        try:
            waiting[name] = {f"{one}.toml" for one in extended(document)} & set(documents)
        except InvalidPolicy as error:
            raise _in_file(error, name, document) from error
    while waiting:
        ready = [name for name, needs in waiting.items() if needs <= done]
        if not ready:
            raise InvalidPolicy(f"{min(waiting)}: extends itself", pointer="/extends")
        for name in ready:
            del waiting[name]
            done.add(name)
            yield name


def _in_file(error: InvalidPolicy, name: str, document: str) -> InvalidPolicy:
    line = line_of(document, error.pointer or "")
    where = f"{name}, line {line}" if line else name
    return InvalidPolicy(f"{where}: {error.detail}", pointer=error.pointer)


def line_of(document: str, pointer: str) -> int:
    """Return the line of a TOML document that a pointer is about; 0 where that is not found."""
    table, *rest = pointer.split("/")[1:] or [""]
    lines = document.splitlines()
    heads = [at for at, line in enumerate(lines) if line.strip() in {f"[[{table}]]", f"[{table}]"}]
    number = int(rest.pop(0)) if rest and rest[0].isdigit() else 0
    if number >= len(heads):
        return _key(lines, table, 0)
    start = heads[number]
    return (_key(lines, rest[0], start + 1) if rest else 0) or start + 1


def _key(lines: list[str], key: str, start: int) -> int:
    """Return the line, counted from 1, of a key in the table whose first line is given."""
    for at in range(start, len(lines)):
        line = lines[at].lstrip()
        if line.startswith("["):
            return 0
        if key and re.match(rf'"?{re.escape(key)}"?\s*=', line):
            return at + 1
    return 0


@dataclass(slots=True)
class Profiles:
    """The set in use, read again when a file of the operator's folder changes.

    :ivar folder: the operator's; None for the bundled set alone.
    :ivar error: why the newest files are not in use; empty when they are.
    """

    folder: Path | None = None
    error: str = ""
    _current: CommandRules | None = None
    _seen: Stamp = ()

    @property
    def current(self) -> CommandRules:
        """Return the set in use; the bundled one is read when it is first needed."""
        if self._current is None:
            self._current = load()
        return self._current

    @property
    def due(self) -> bool:
        """Whether there is something to read: for the first time, or since a file changed."""
        if self.folder is None:
            return self._current is None
        return _stamp(self.folder) != self._seen

    def refresh(self) -> bool:
        """Read the files again if one has changed; returns whether the set in use did.

        After a broken edit the last good set stays in use.
        """
        if self.folder is None:
            fresh = self._current is None
            self._current = self.current
            return fresh
        if (stamp := _stamp(self.folder)) == self._seen:
            return False
        self._seen = stamp
        try:
            self._current = load(self.folder)
        except InvalidPolicy as error:
            self.error = f"{error.detail} {error.pointer}".strip()
            _log.error("command_rules_refused", detail=self.error)
            return False
        self.error = ""
        return True


def opened(folder: str) -> Profiles:
    """Return the set of a folder, for the start: a broken file is an error then.

    :param folder: empty for the bundled set alone.
    :raises SettingsError: with the file and what is wrong in it.
    """
    profiles = Profiles(Path(folder) if folder else None)
    if profiles.folder is not None:
        profiles.refresh()
    if profiles.error:
        message = f"{PREFIX}COMMAND_RULES: {profiles.error}"
        raise SettingsError(message)
    return profiles


def _stamp(folder: Path) -> Stamp:
    """Return what changes when a file of the folder does."""
    try:
        found = [("", folder.stat()), *((path.name, path.stat()) for path in _files(folder))]
        return tuple((name, stat.st_ctime_ns, stat.st_size) for name, stat in found)
    except OSError:
        return (("", 0, 0),)
