"""Files over SFTP: one is read, or written whole or not at all (SSH-6)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import asyncssh

from app.core.outcome import Ambiguous, NotStarted, Outcome
from app.core.redaction import Redactor
from app.core.ssh_action import SshGet, SshPut
from app.core.ssh_plan import SshPlan
from app.core.ssh_result import FileResult

Connection: TypeAlias = asyncssh.SSHClientConnection
MarkSent = Callable[[], Awaitable[None]]

_PIECE: Final = 32_768
_NO_SFTP: Final = "The host offers no file transfer (SFTP)."
_LOST: Final = "The connection was lost while the file was transferred."
_SLOW: Final = "The file was not transferred in time."
_CODES: Final[tuple[tuple[type[asyncssh.SFTPError], str], ...]] = (
    (asyncssh.SFTPNoSuchFile, "file_missing"),
    (asyncssh.SFTPNoSuchPath, "file_missing"),
    (asyncssh.SFTPPermissionDenied, "permission_denied"),
    (asyncssh.SFTPFileAlreadyExists, "file_exists"),
)


async def carry_out(
    connection: Connection, plan: SshPlan, redactor: Redactor, mark_sent: MarkSent
) -> Outcome:
    """Read or write the file of a plan.

    :raises NotStarted: nothing of the action was sent.
    :raises Ambiguous: the connection was lost on the way.
    """
    try:
        async with asyncio.timeout(plan.connect_seconds):
            sftp = await connection.start_sftp_client()
    except TimeoutError as error:
        raise NotStarted("no_file_transfer", _NO_SFTP) from error
    except (asyncssh.Error, OSError) as error:
        raise NotStarted("no_file_transfer", _NO_SFTP, retryable=False) from error
    try:
        await mark_sent()
        return (await _within(sftp, plan, redactor)).outcome()
    finally:
        sftp.exit()


async def _within(sftp: asyncssh.SFTPClient, plan: SshPlan, redactor: Redactor) -> FileResult:
    clock = asyncio.get_running_loop()
    began = clock.time()
    try:
        async with asyncio.timeout(plan.seconds):
            return await _transfer(sftp, plan, redactor, lambda: _ms(clock.time() - began))
    except TimeoutError as error:
        raise Ambiguous("timed_out", _SLOW) from error
    except (
        asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPBadMessage,
    ) as error:  # fmt: skip
        raise Ambiguous("connection_lost", _LOST) from error
    except asyncssh.SFTPError as error:
        detail, _ = redactor.text(error.reason[:200])
        took = _ms(clock.time() - began)
        return FileResult(_code(error), _path(plan), 0, "", took, detail=detail)
    except (asyncssh.Error, OSError) as error:
        raise Ambiguous("connection_lost", _LOST) from error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _path(plan: SshPlan) -> str:
    assert isinstance(plan.action, SshGet | SshPut)
    return plan.action.path


def _code(error: asyncssh.SFTPError) -> str:
    return next((code for kind, code in _CODES if isinstance(error, kind)), "file_failed")


async def _transfer(
    sftp: asyncssh.SFTPClient, plan: SshPlan, redactor: Redactor, took: Callable[[], int]
) -> FileResult:
    action = plan.action
    if isinstance(action, SshGet):
        return await _get(sftp, plan, action, redactor, took)
    assert isinstance(action, SshPut)
    return await _put(sftp, plan, action, took)


async def _get(
    sftp: asyncssh.SFTPClient,
    plan: SshPlan,
    action: SshGet,
    redactor: Redactor,
    took: Callable[[], int],
) -> FileResult:
    most, data = action.most or plan.place.file_bytes, bytearray()
    async with sftp.open(action.path, "rb") as file:
        while piece := await file.read(_PIECE):
            data += piece
            if len(data) > most:
                detail = f"the file has more than {most} bytes"
                return FileResult(
                    "file_too_large", action.path, len(data), "", took(), detail=detail
                )
    sha256 = hashlib.sha256(data).hexdigest()
    if action.sha256 and action.sha256 != sha256:
        detail = "the file is not the one that was asked for"
        return FileResult("digest_differs", action.path, len(data), sha256, took(), detail=detail)
    body, count = await asyncio.to_thread(redactor.bytes, bytes(data))
    return FileResult("ok", action.path, len(data), sha256, took(), body, redacted=count)


async def _put(
    sftp: asyncssh.SFTPClient, plan: SshPlan, action: SshPut, took: Callable[[], int]
) -> FileResult:
    """Write beside the path, then rename: nobody ever sees a part of it."""
    beside = f"{action.path}.{plan.request_id}"
    attributes = asyncssh.SFTPAttrs(permissions=0o600)
    try:
        async with sftp.open(beside, "xb", attributes) as file:
            for at in range(0, len(action.content), _PIECE):
                await file.write(action.content[at : at + _PIECE])
        await sftp.chmod(beside, action.mode)
        if action.overwrite:
            await sftp.posix_rename(beside, action.path)
        else:
            await _rename(sftp, beside, action.path)
    except asyncssh.SFTPError:
        await _forget(sftp, beside)
        raise
    digest = hashlib.sha256(action.content).hexdigest()
    return FileResult("ok", action.path, len(action.content), digest, took())


async def _rename(sftp: asyncssh.SFTPClient, beside: str, path: str) -> None:
    """Give a file its name, unless there is one of that name.

    :raises SFTPFileAlreadyExists: there is.
    """
    try:
        await sftp.rename(beside, path)
    except asyncssh.SFTPFailure as error:
        if await sftp.lexists(path):
            raise asyncssh.SFTPFileAlreadyExists("there is a file of that name") from error
        raise


async def _forget(sftp: asyncssh.SFTPClient, path: str) -> None:
    try:
        await sftp.remove(path)
    except asyncssh.SFTPError:
        return
