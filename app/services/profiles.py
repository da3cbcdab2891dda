"""The guard's rules and the profiles: those that come with the program, and an operator's own.

They are files, so that they can be reviewed and kept under version control. A set is read whole
or not at all: after a broken edit the last good one stays, and the error is there to be shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from app.core.command_guard import GuardRules
from app.core.command_profile import Profile, read_profile
from app.core.command_rules import CommandRules
from app.core.errors import InvalidPolicy
from app.core.guard_rules import read_guard
from app.core.profile_reading import extended

LIBRARY: Final = Path(__file__).parent.parent / "library"
GUARD_FILE: Final = "ssh_guard.toml"
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
        raise _in_file(error, name) from error


def _documents(folder: Path) -> dict[str, str]:
    """Return the text of each TOML file in a folder by its name."""
    try:
        paths = sorted(folder.glob("*.toml"))
        if len(paths) > _MOST_FILES:
            raise InvalidPolicy(f"{folder.name}: more than {_MOST_FILES} files")
        return {path.name: _text(path) for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        message = f"{folder.name}: can't be read ({type(error).__name__})"
        raise InvalidPolicy(message) from error


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidPolicy(f"{path.name}: larger than {_MOST_BYTES} bytes")
    return path.read_text("utf-8")


def _profiles(documents: Mapping[str, str]) -> Mapping[str, Profile]:
    read: dict[str, Profile] = {}
    for name in _ordered(documents):
        try:
            profile = read_profile(documents[name], read)
        except InvalidPolicy as error:
            raise _in_file(error, name) from error
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
            raise _in_file(error, name) from error
    while waiting:
        ready = [name for name, needs in waiting.items() if needs <= done]
        if not ready:
            raise InvalidPolicy(f"{min(waiting)}: extends itself", pointer="/extends")
        for name in ready:
            del waiting[name]
            done.add(name)
            yield name


def _in_file(error: InvalidPolicy, name: str) -> InvalidPolicy:
    return InvalidPolicy(f"{name}: {error.detail}", pointer=error.pointer)


@dataclass(slots=True)
class Profiles:
    """The set in use, read again when a file of the operator's folder changes.

    :ivar folder: the operator's; None for the bundled set alone.
    :ivar error: why the newest files are not in use; empty when they are.
    """

    folder: Path | None = None
    error: str = ""
    _current: CommandRules | None = None
    _seen: tuple[tuple[str, int, int], ...] = field(default=())

    @property
    def current(self) -> CommandRules:
        """Return the set in use."""
        if self._current is None:
            self.refresh()
        return self._current if self._current is not None else _bundled()

    def refresh(self) -> bool:
        """Read the files again if one has changed; returns whether the set did.

        Does file I/O: call it from a sweep, not on the way of a request.
        """
        stamp = self._stamp()
        if self._current is not None and stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._current = load(self.folder)
        except InvalidPolicy as error:
            self.error = f"{error.detail} {error.pointer or ''}".strip()
            return False
        self.error = ""
        return True

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        if self.folder is None:
            return ()
        try:
            found = [(path.name, path.stat()) for path in sorted(self.folder.glob("*.toml"))]
        except OSError:
            return (("", 0, 0),)
        return tuple((name, at.st_mtime_ns, at.st_size) for name, at in found)
