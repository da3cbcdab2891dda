"""Sealing of values at rest: envelope encryption with AES-256-GCM (VLT-1, T61).

Each value has a random data key; the data key is wrapped by a master key, whose id stands in the
sealed bytes. Purpose and id of the value are authenticated, so sealed bytes moved to another row
do not open. Layout: version (1) | length of key id (1) | key id | nonce (12) | wrapped data key
(48) | nonce (12) | ciphertext with tag.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import Unavailable
from app.settings import Settings, SettingsError

MASTER_KEY_FILE: Final = "master.key"
"""Name of the generated key file in the data folder."""

_VERSION: Final = 1
_KEY: Final = 32
_NONCE: Final = 12
_WRAPPED: Final = _KEY + 16
_MAX_ID: Final = 64
LONGEST_HEAD: Final = 2 + _MAX_ID
"""Bytes at the beginning of a sealed value that are enough for :func:`key_id`."""

_OTHERS: Final = 0o077
_FEW: Final = 8


class CannotOpen(Unavailable):
    """A sealed value does not open: its master key is missing, or it was changed."""

    code = "cannot_open"


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """A key that wraps data keys."""

    id: str
    value: bytes


class Sealer:
    """Seals with the first master key and opens with any of them."""

    def __init__(self, keys: list[MasterKey]) -> None:
        """Keep the keys, the current one first."""
        self._keys = {key.id: AESGCM(key.value) for key in keys}
        self.current = keys[0].id

    def seal(self, purpose: str, name: str, plain: bytes) -> bytes:
        """Return the sealed form of a value that belongs to ``purpose`` and ``name``."""
        data_key = AESGCM.generate_key(256)
        bound = _bound(purpose, name)
        return self._wrap(data_key, bound) + _encrypt(AESGCM(data_key), plain, bound)

    def open(self, purpose: str, name: str, sealed: bytes) -> bytes:
        """Return the value.

        :raises CannotOpen: another place, a missing master key, or changed bytes.
        """
        data_key, rest = self._unwrap(sealed, _bound(purpose, name))
        return _decrypt(AESGCM(data_key), rest, _bound(purpose, name))

    def rewrap(self, purpose: str, name: str, sealed: bytes) -> bytes:
        """Return the same sealed value with its data key wrapped by the current master key."""
        bound = _bound(purpose, name)
        data_key, rest = self._unwrap(sealed, bound)
        return self._wrap(data_key, bound) + rest

    def _wrap(self, data_key: bytes, bound: bytes) -> bytes:
        name = self.current.encode()
        head = bytes([_VERSION, len(name)]) + name
        return head + _encrypt(self._keys[self.current], data_key, bound + head)

    def _unwrap(self, sealed: bytes, bound: bytes) -> tuple[bytes, bytes]:
        if len(sealed) < _FEW or sealed[0] != _VERSION:
            message = "A sealed value has an unknown form."
            raise CannotOpen(message)
        end = 2 + sealed[1]
        head, name = sealed[:end], sealed[2:end].decode("ascii", "replace")
        key = self._keys.get(name)
        if key is None:
            message = f"The master key {name!r} is not configured."
            raise CannotOpen(message)
        split = end + _NONCE + _WRAPPED
        return _decrypt(key, sealed[end:split], bound + head), sealed[split:]


def key_id(sealed: bytes) -> str:
    """Return the id of the master key that wraps a sealed value."""
    return sealed[2 : 2 + sealed[1]].decode("ascii", "replace")


def _bound(purpose: str, name: str) -> bytes:
    return f"assentry/{_VERSION}/{len(purpose)}/{purpose}/{name}".encode()


def _encrypt(key: AESGCM, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + key.encrypt(nonce, plain, bound)


def _decrypt(key: AESGCM, data: bytes, bound: bytes) -> bytes:
    try:
        return key.decrypt(data[:_NONCE], data[_NONCE:], bound)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen from error


def derived(keys: Sequence[MasterKey], purpose: str) -> list[tuple[str, bytes]]:
    """Return a key of its own for a purpose from each master key (HKDF, RFC 5869), by id."""
    made: list[tuple[str, bytes]] = []
    for key in keys:
        hkdf = HKDF(hashes.SHA256(), _KEY, salt=None, info=f"assentry {purpose}".encode())
        made.append((key.id, hkdf.derive(key.value)))
    return made


def load_master_keys(settings: Settings) -> list[MasterKey]:
    """Return the master keys, the current one first.

    :raises SettingsError: none is configured, or one is weak or readable by others (T32, T68).
    """
    text = settings.master_key.get_secret_value()
    if not text:
        text = _read_key_file(settings.data_dir / MASTER_KEY_FILE)
    keys = [_parse_key(part.strip()) for part in text.split(",") if part.strip()]
    if not keys:
        message = "ASSENTRY_MASTER_KEY holds no key"
        raise SettingsError(message)
    if len({key.id for key in keys}) != len(keys):
        message = "two master keys have the same id"
        raise SettingsError(message)
    return keys


def create_master_key(path: Path) -> None:
    """Make a key file that only its owner can read; an existing one is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        return
    value = base64.b64encode(secrets.token_bytes(_KEY)).decode()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"k{secrets.token_hex(4)}:{value}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Make a new name in a folder survive a power cut: what the key seals is lost without it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_key_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except OSError as error:
        message = (
            f"there is no master key: set ASSENTRY_MASTER_KEY or run 'assentry bootstrap', which "
            f"makes {path} ({error.strerror})"
        )
        raise SettingsError(message) from error
    if mode & _OTHERS:
        message = f"{path} can be read by others; run: chmod 600 {path}"
        raise SettingsError(message)
    return text


def _parse_key(text: str) -> MasterKey:
    name, colon, encoded = text.partition(":")
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    # The name is shown below, so it must not be the key of somebody who left the id out.
    if not colon or not name.isascii() or not name.isidentifier() or len(name) > _MAX_ID:
        message = "a master key is written as id:base64, where the id is a plain word"
        raise SettingsError(message)
    if len(value) != _KEY or len(set(value)) < _FEW:
        message = f"the master key {name!r} is not the base64 of 32 random bytes"
        raise SettingsError(message)
    return MasterKey(name, value)
