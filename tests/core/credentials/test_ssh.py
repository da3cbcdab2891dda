"""Private keys are read once in a process, and no other passphrase opens them after that."""

from pathlib import Path

import pytest

from app.core.credentials import build_injection
from app.core.errors import InvalidField
from app.core.instant import Instant
from tests.support.canary import CANARY
from tests.support.sshd import keygen, need_sshd

pytestmark = pytest.mark.requirement("SSH-1")


def test_a_key_that_was_read_opens_with_no_other_passphrase(tmp_path: Path) -> None:
    need_sshd()
    key = keygen(tmp_path / "key", "-N", CANARY).read_text()
    right = {"private_key": key, "passphrase": CANARY}
    for _ in range(2):
        made = build_injection("ssh_key", right, Instant(0)).ssh
        assert made is not None and made.private_key == key
    for wrong in ({"private_key": key}, {"private_key": key, "passphrase": f"{CANARY}x"}):
        for _ in range(2):
            with pytest.raises(InvalidField) as caught:
                build_injection("ssh_key", wrong, Instant(0))
            assert caught.value.pointer == "/fields/private_key"
