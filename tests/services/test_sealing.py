"""Sealing: bound to its place, rotated without opening, and no key that is weak or shared."""

import base64
import os
import stat
from pathlib import Path

import pytest

from app.services.sealing import (
    MASTER_KEY_FILE,
    CannotOpen,
    MasterKey,
    Sealer,
    create_master_key,
    key_id,
    load_master_keys,
)
from app.settings import Settings, SettingsError

OLD, NEW = MasterKey("old", os.urandom(32)), MasterKey("new", os.urandom(32))
SECRET = b"the value of the secret"


def configured(text: str, folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder, "master_key": text})


def written(name: str, value: bytes) -> str:
    return f"{name}:{base64.b64encode(value).decode()}"


@pytest.mark.requirement("VLT-1")
def test_what_is_sealed_opens_and_tells_nothing() -> None:
    sealer = Sealer([OLD])
    one, two = sealer.seal("p", "n", SECRET), sealer.seal("p", "n", SECRET)
    assert one != two
    assert SECRET not in one
    assert OLD.value not in one
    assert sealer.open("p", "n", one) == sealer.open("p", "n", two) == SECRET
    assert sealer.open("p", "e", sealer.seal("p", "e", b"")) == b""
    assert key_id(one) == "old"


@pytest.mark.requirement("VLT-1", "T61")
@pytest.mark.parametrize(
    ("purpose", "name"), [("p", "m"), ("q", "n"), ("pn", ""), ("", "pn"), ("p/n", ""), ("", "p/n")]
)
def test_in_another_place_nothing_opens(purpose: str, name: str) -> None:
    sealer = Sealer([OLD])
    with pytest.raises(CannotOpen):
        sealer.open(purpose, name, sealer.seal("p", "n", SECRET))


@pytest.mark.requirement("T61")
def test_names_and_purposes_cannot_be_shifted() -> None:
    sealer = Sealer([OLD])
    with pytest.raises(CannotOpen):
        sealer.open("a", "b/c", sealer.seal("a/b", "c", SECRET))


@pytest.mark.requirement("T61")
def test_every_changed_byte_is_noticed() -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal("p", "n", SECRET)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(CannotOpen):
            sealer.open("p", "n", bytes(changed))
    for end in range(len(sealed)):
        with pytest.raises(CannotOpen):
            sealer.open("p", "n", sealed[:end])


@pytest.mark.requirement("VLT-1")
def test_a_rotated_key_opens_old_and_seals_new() -> None:
    sealed = Sealer([OLD]).seal("p", "n", SECRET)
    both = Sealer([NEW, OLD])
    assert both.open("p", "n", sealed) == SECRET
    fresh = both.rewrap("p", "n", sealed)
    assert key_id(fresh) == both.current == "new"
    assert Sealer([NEW]).open("p", "n", fresh) == SECRET
    with pytest.raises(CannotOpen):
        Sealer([NEW]).open("p", "n", sealed)
    with pytest.raises(CannotOpen):
        both.rewrap("p", "elsewhere", sealed)
    with pytest.raises(CannotOpen):
        Sealer([MasterKey("new", os.urandom(32))]).open("p", "n", fresh)


@pytest.mark.requirement("T68")
def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / MASTER_KEY_FILE
    create_master_key(path)
    text = path.read_text("ascii")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    create_master_key(path)
    assert path.read_text("ascii") == text
    assert list(path.parent.iterdir()) == [path]
    (key,) = load_master_keys(configured("", path.parent))
    assert len(key.value) == 32
    assert base64.b64encode(key.value).decode() not in repr(key)


@pytest.mark.requirement("T68")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / MASTER_KEY_FILE
    create_master_key(path)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_master_keys(configured("", tmp_path))


@pytest.mark.requirement("T32")
def test_there_is_no_default_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no master key"):
        load_master_keys(configured("", tmp_path))


@pytest.mark.requirement("T32", "T62")
@pytest.mark.parametrize(
    "text",
    [
        ",", " , ", "no-colon", "k:", "k:AAAA", "k:" + "A" * 43 + "=", written("k", b"\x01" * 32),
        written("k", os.urandom(31)), written("k", os.urandom(33)), written("", os.urandom(32)),
        written("a b", os.urandom(32)), written("ä", os.urandom(32)),
        written("k" * 65, os.urandom(32)), base64.b64encode(os.urandom(32)).decode(),
        "k:" + "!" * 44, written("a", b"01234567" * 4) + "," + written("a", OLD.value),
    ],
    ids=range(16),
)  # fmt: skip
def test_weak_and_malformed_keys_are_refused_without_repeating_them(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_master_keys(configured(text, tmp_path))
    value = text.partition(":")[2] or text
    assert len(value) < 8 or value not in str(refused.value)


@pytest.mark.requirement("VLT-1")
def test_the_first_key_is_the_current_one(tmp_path: Path) -> None:
    text = f"{written('new', NEW.value)}, {written('old', OLD.value)},"
    keys = load_master_keys(configured(text, tmp_path))
    assert [key.id for key in keys] == ["new", "old"]
    assert Sealer(keys).current == "new"
