"""Tokens of links: signed, by key id, not to be changed."""

import pytest

from integrations.links.signer import Signer

pytestmark = pytest.mark.requirement("CH-4", "T11")
OLD, NEW = ("k1", b"1" * 32), ("k2", b"2" * 32)


def test_every_byte_counts() -> None:
    signer = Signer([NEW, OLD])
    token = signer.sign("secret-id")
    assert signer.read(token) == "secret-id"
    for at, character in enumerate(token):
        for other in ("A", "B"):
            changed = token[:at] + (other if character != other else "C") + token[at + 1 :]
            if at == len(token) - 1:
                continue  # the last digit of base64 holds bits that stand for nothing
            with pytest.raises(ValueError, match=r"."):
                signer.read(changed)
    for text in ("", "~", token + "x", token[:-3], "k3~abc"):
        with pytest.raises(ValueError, match=r"."):
            signer.read(text)


def test_keys_are_replaced_without_ending_links() -> None:
    before, both, after = Signer([OLD]), Signer([NEW, OLD]), Signer([NEW])
    token = before.sign("x")
    assert both.read(token) == "x"
    assert both.sign("x").startswith("k2~")
    with pytest.raises(ValueError, match="no key"):
        after.read(token)
