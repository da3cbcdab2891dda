"""What a person is shown of an SSH action: the exact text, where it runs, and as whom."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Final

from app.core.card_block import Block
from app.core.ssh_action import SshAction, SshExec, SshGet, SshPlace
from app.core.ssh_plan import wire_command

_HEADLINE: Final = 160
"""Characters of a command that stand in the headline; the block has all of it."""

VERBS: Final = {"ssh.exec": "command", "ssh.get": "read", "ssh.put": "write"}
CONSEQUENCES: Final = {
    "ssh.exec": "runs a command on another machine",
    "ssh.get": "reads a file of another machine",
    "ssh.put": "writes a file on another machine",
}


def ssh_headline(action: SshAction, target: str, place: SshPlace | None) -> str:
    """Return verb and target in one line."""
    where = f"{target} ({place.host})" if action.host and place is not None else target
    if not isinstance(action, SshExec):
        word = "read" if isinstance(action, SshGet) else "write"
        return f"ssh {where}: {word} {action.path}"
    command = action.command
    more = command[:_HEADLINE] + "…" if len(command) > _HEADLINE else command
    return f"ssh {where}: {more}"


def ssh_blocks(action: SshAction, place: SshPlace | None) -> Iterator[Block]:
    """Yield what will run, then where, as whom and how long."""
    if isinstance(action, SshExec):
        yield Block("Command", action.command, "sent exactly so to the login shell there")
        if action.stdin is not None:
            yield _content("Standard input", action.stdin)
    elif isinstance(action, SshGet):
        content = f"only with SHA-256 {action.sha256}" if action.sha256 else "whatever it holds"
        yield Block("File to read", action.path, content)
    else:
        rule = "replaces what is there" if action.overwrite else "only where there is none yet"
        yield Block("File to write", action.path, f"mode {action.mode:03o}, {rule}")
        yield _content("Content", action.content)
    yield Block("Where", "\n".join(_where(place)))
    yield Block("Limits", "\n".join(_limits(action, place)))


def _where(place: SshPlace | None) -> Iterator[str]:
    if place is None:
        yield "?"
        return
    yield place.address
    for key in place.keys:
        yield f"host key {key}"
    for key in place.authorities:
        yield f"host key signed by {key}"
    for hop in place.jumps:
        yield f"through {hop.user}@{hop.host}:{hop.port}, host key {', '.join(hop.keys)}"


def _limits(action: SshAction, place: SshPlace | None) -> Iterator[str]:
    most = 0 if place is None else place.seconds
    seconds = (action.timeout if isinstance(action, SshExec) else 0) or most
    yield f"{seconds} seconds, then it is ended there"
    if isinstance(action, SshExec):
        if action.stdin is None:
            yield "standard input closed"
        if place is not None:
            yield f"{place.output_bytes:,} bytes of each output are kept"
            if place.marker_dir:
                yield f"a marker of this request is left in {place.marker_dir}"
            if place.wrap or place.marker_dir:
                sample = SshExec("(the command)", timeout=seconds)
                yield f"wrapped as: {wire_command(sample, place, '(request)')}"
    elif isinstance(action, SshGet) and place is not None:
        yield f"at most {action.most or place.file_bytes:,} bytes"


def _content(title: str, data: bytes) -> Block:
    digest = hashlib.sha256(data).hexdigest()
    note = f"{len(data):,} bytes, SHA-256 {digest}"
    try:
        return Block(title, data.decode(), f"text, {note}")
    except UnicodeDecodeError:
        return Block(title, base64.b64encode(data).decode(), f"not text: base64, {note}")
