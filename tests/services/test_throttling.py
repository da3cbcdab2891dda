"""Who is counted together when sign-ins fail."""

from functools import partial

import pytest

from app.services.throttling import (
    account_subject,
    address_subject,
    everywhere_subject,
    proof_subject,
)


@pytest.mark.requirement("T31")
@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("unix", "garbage", True),
    ],
)
def test_addresses_are_counted_by_customer(one: str, other: str, same: bool) -> None:
    assert (address_subject(one) == address_subject(other)) is same


@pytest.mark.requirement("T62")
def test_accounts_are_counted_without_their_name() -> None:
    for subject in (everywhere_subject, proof_subject, partial(account_subject, remote_ip="::1")):
        assert "carl" not in subject("carl@example.org")
        assert subject("carl@example.org") != subject("ben@example.org")
        assert subject("\ud800").partition(":")[0] in ("account", "everywhere", "proof")
    here, there = (account_subject("carl@example.org", ip) for ip in ("::1", "192.0.2.1"))
    assert here != there
