"""From the parameters of a request to an SSH action."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from app.core.errors import InvalidAction
from app.core.json_types import JsonObject
from app.core.ssh_action import SSH_EXEC, SSH_GET, SSH_PUT, SshAction, SshExec, SshGet, SshPut

MAX_COMMAND: Final = 65_536
"""Longest command, in bytes of UTF-8."""

MAX_STDIN: Final = 1_048_576
MAX_SSH_SECONDS: Final = 3600
MAX_FILE: Final = 16 * 1024 * 1024
MAX_PATH: Final = 4096
MAX_HOST: Final = 253
_ALL_BITS: Final = 0o777
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL_IN_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MODE: Final = re.compile(r"0?[0-7]{3}")


def build_ssh(name: str, params: JsonObject) -> SshAction:
    """Return the SSH action that the parameters describe.

    :raises InvalidAction: with a pointer to what must change.
    """
    build, known = _BUILDERS[name]
    if unknown := sorted(set(params) - set(known)):
        message = f"{name} has no parameter {unknown[0]!r}; it takes {', '.join(known)}"
        _refuse(unknown[0], message)
    return build(params)


def _exec(params: JsonObject) -> SshExec:
    command = _text(params, "command", _CONTROL, MAX_COMMAND)
    if not command.strip():
        _refuse("command", "the command is empty")
    return SshExec(
        command, _content(params, "stdin", MAX_STDIN),
        _number(params, "timeout", MAX_SSH_SECONDS), _host(params),
    )  # fmt: skip


def _get(params: JsonObject) -> SshGet:
    sha256 = params.get("sha256", "")
    if not isinstance(sha256, str) or (sha256 and not _SHA256.fullmatch(sha256)):
        _refuse("sha256", "sha256 is 64 hexadecimal digits in lower case")
    return SshGet(_path(params), _number(params, "most", MAX_FILE), sha256, _host(params))


def _put(params: JsonObject) -> SshPut:
    content, overwrite = _content(params, "content", MAX_FILE), params.get("overwrite", False)
    if content is None:
        _refuse("content", "give the file as content, or as content_base64")
    if not isinstance(overwrite, bool):
        _refuse("overwrite", "overwrite is true or false")
    mode = params.get("mode", "600")
    if not isinstance(mode, str) or not _MODE.fullmatch(mode):
        _refuse("mode", "mode is a string of three octal digits, such as 640")
    return SshPut(_path(params), content, int(mode, 8) & _ALL_BITS, overwrite, _host(params))


_BUILDERS: Final[Mapping[str, tuple[Callable[[JsonObject], SshAction], tuple[str, ...]]]] = {
    SSH_EXEC: (_exec, ("command", "stdin", "stdin_base64", "timeout", "host")),
    SSH_GET: (_get, ("path", "most", "sha256", "host")),
    SSH_PUT: (_put, ("path", "content", "content_base64", "mode", "overwrite", "host")),
}
SSH_ACTIONS: Final = tuple(_BUILDERS)


def _refuse(name: str, message: str) -> NoReturn:
    raise InvalidAction(message, pointer=f"/params/{name}")


def _text(params: JsonObject, name: str, bad: re.Pattern[str], most: int) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        _refuse(name, f"{name} must be given as a string")
    if found := bad.search(value):
        code = ord(found[0])
        _refuse(name, f"{name} holds the control character U+{code:04X}, which is never sent")
    if len(_encoded(name, value)) > most:
        _refuse(name, f"{name} is longer than {most} bytes")
    return value


def _encoded(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        _refuse(name, f"{name} cannot be written as UTF-8")


def _path(params: JsonObject) -> str:
    path = _text(params, "path", _CONTROL_IN_LINE, MAX_PATH)
    if not path.startswith("/") or {"", ".", ".."} & set(path[1:].split("/")):
        _refuse("path", "give the whole path from /, without empty, . and .. parts")
    return path


def _host(params: JsonObject) -> str:
    host = params.get("host", "")
    if not isinstance(host, str) or len(host) > MAX_HOST or (host and not _HOST.fullmatch(host)):
        _refuse("host", "host is a host name or an address, without user and port")
    return host.lower().rstrip(".")


def _number(params: JsonObject, name: str, most: int) -> int:
    value = params.get(name, 0)
    given = name in params
    if isinstance(value, bool) or not isinstance(value, int) or not given <= value <= most:
        _refuse(name, f"{name} is a whole number from 1 to {most}")
    return value


def _content(params: JsonObject, name: str, most: int) -> bytes | None:
    plain, coded = params.get(name), params.get(f"{name}_base64")
    if plain is not None and coded is not None:
        _refuse(f"{name}_base64", f"give {name} or {name}_base64, not both")
    if plain is None and coded is None:
        return None
    data = _plain(name, plain) if plain is not None else _decoded(f"{name}_base64", coded)
    if len(data) > most:
        _refuse(name, f"{name} has more than {most} bytes")
    return data


def _plain(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        _refuse(name, f"{name} must be given as a string")
    return _encoded(name, value)


def _decoded(name: str, value: object) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "!", validate=True)
    except (binascii.Error, ValueError):
        _refuse(name, "base64 is not valid")
