"""What a marker on the host says of a command whose end nobody saw.

The marker is made before the command, by the wrapper that then runs it, and holds the exit status
afterwards. What runs there, and whoever has its rights, could write or remove it: it is the host's
word, as an exit status is, and no proof.
"""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.canonical import canonical
from app.core.json_types import JsonObject
from app.core.ssh_action import SshPlace
from app.core.ssh_plan import marker_path

_HEAD: Final = "assentry-marker:"
_FENCED: Final = "fenced"
_STATUS: Final = re.compile(r"[0-9]{1,3}\n")
_MOST_STATUS: Final = 255
LOOK_BYTES: Final = 4096
"""Bytes that are kept of the answer to a look."""

_LOOK: Final = (
    f'umask 077; n="$1.look.$$"; trap \'rm -f "$n"\' EXIT; '
    f'if [ ! -e "$1" ] && (set -C; echo {_FENCED} >"$n") 2>/dev/null && ln "$n" "$1" 2>/dev/null; '
    f'then echo "{_HEAD}none"; '
    f'elif [ -f "$1" ] && [ -r "$1" ]; then echo "{_HEAD}there"; head -c 16 "$1"; '
    f'else echo "{_HEAD}unreadable"; fi'
)


class Says(StrEnum):
    """What a marker says."""

    NONE = "none"
    BEGAN = "began"
    FINISHED = "finished"
    UNREADABLE = "unreadable"


_DETAILS: Final = {
    Says.NONE: (
        "There is no marker of a run. One stands there now that keeps it from beginning later. It "
        "never ran, unless somebody removed its marker: that is for you to say."
    ),
    Says.BEGAN: "It began, and has not ended, as far as its marker says: it may still run.",
    Says.FINISHED: "It ended with exit status {}, as its marker says.",
    Says.UNREADABLE: "The marker could not be read, which says nothing.",
}


@dataclass(frozen=True, slots=True)
class Marker:
    """What was found.

    :ivar exit_code: of a command that ended; None otherwise.
    """

    says: Says
    exit_code: int | None = None

    @property
    def detail(self) -> str:
        """What it means, as a sentence for people."""
        return _DETAILS[self.says].format(self.exit_code)

    def document(self) -> JsonObject:
        """Return it as the record keeps it."""
        return {"marker": self.says.value, "exit_code": self.exit_code, "note": self.detail}

    def outcome(self) -> str:
        """Return the summary of the outcome of a command that ended."""
        code = "exit_status" if self.exit_code else "ok"
        return canonical({"code": code, "exit_code": self.exit_code, "known_by": "marker"}).decode()


def look_command(place: SshPlace, request_id: str) -> str:
    """Return the text that looks at a marker.

    Where there is none, it makes one: a command that is still on its way finds it and does not
    run, so that what was found stays true.
    """
    marker = shlex.quote(marker_path(place, request_id))
    return f"exec sh -c {shlex.quote(_LOOK)} assentry {marker}"


def marker_in(output: bytes) -> Marker:
    """Return what the answer to a look says; whatever is not understood says nothing."""
    text = output.decode("utf-8", "replace").rpartition(_HEAD)[2]
    head, _, content = text.partition("\n")
    if head == Says.NONE.value or (head, content) == ("there", f"{_FENCED}\n"):
        return Marker(Says.NONE)
    if (head, content) == ("there", ""):
        return Marker(Says.BEGAN)
    if head == "there" and _STATUS.fullmatch(content) and int(content) <= _MOST_STATUS:
        return Marker(Says.FINISHED, int(content))
    return Marker(Says.UNREADABLE)
