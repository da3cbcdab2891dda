"""Who is counted together when sign-ins fail."""

import pytest

from app.services.throttling import account_subject, address_subject


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
    subject = account_subject("carl@example.org")
    assert "carl" not in subject
    assert subject != account_subject("ben@example.org")
    assert account_subject("\ud800").startswith("account:")
