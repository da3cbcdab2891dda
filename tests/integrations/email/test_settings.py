"""Settings of mail: off by default, and said what is missing."""

from typing import Any

import pytest
from pydantic import SecretStr

from app.settings import SettingsError, load_part
from integrations.email.settings import EmailSettings, is_address

pytestmark = pytest.mark.requirement("CH-3")
GOOD = {"HOST": "mail.example", "SENDER": "gate@example.org"}


def settings(**given: str) -> EmailSettings:
    return load_part(
        EmailSettings, {f"ASSENTRY_EMAIL_{name}": text for name, text in given.items()}
    )


def test_mail_is_off_until_a_host_is_named() -> None:
    assert not settings().enabled
    assert settings(**GOOD).enabled


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_the_security(security: str, port: int) -> None:
    assert settings(**GOOD, SECURITY=security).real_port == port
    assert settings(**GOOD, SECURITY=security, PORT="2525").real_port == 2525


def test_the_password_is_not_shown() -> None:
    made = settings(**GOOD, USERNAME="gate", PASSWORD="open-sesame")
    assert made.password == SecretStr("open-sesame")
    assert "open-sesame" not in repr(made)


@pytest.mark.requirement("T20")
@pytest.mark.parametrize(
    "wrong",
    [
        {"SENDER": ""}, {"SENDER": "gate"}, {"SENDER": "gäte@example.org"},
        {"SENDER": "Gate <gate@example.org>"}, {"SENDER": "a@b\r\nBcc: eve@example.org"},
        {"REPLY_TO": "a@b, c@d"}, {"SENDER_NAME": "x\ny"}, {"SENDER_NAME": "x\u2028y"},
        {"USERNAME": "u"}, {"PASSWORD": "p"}, {"SECURITY": "ssl"}, {"PORT": "70000"},
        {"TIMEOUT": "0"}, {"TIMEOUT": "31"}, {"RETRIES": "3"},
    ],
)  # fmt: skip
def test_what_cannot_work_stops_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        settings(**{**GOOD, **wrong})


@pytest.mark.requirement("T20")
def test_addresses() -> None:
    good = ("ben@example.org", "a+b@c", "jürgen@bücher.example")
    bad = ("", "@", "a@", "@b", "a b@c", "a@b\n", "a@b>", "<a@b", '"a"@b', "a@b,c@d", "a\x00@b",
           "a@b\u202e", "a" * 250 + "@example.org", "a\ud800@b")  # fmt: skip
    assert [address for address in good if not is_address(address)] == []
    assert [address for address in bad if is_address(address)] == []
