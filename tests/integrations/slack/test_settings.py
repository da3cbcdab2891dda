"""Settings of Slack: what is missing or wrong is said."""

import pytest
from pydantic import ValidationError

from integrations.slack.settings import SlackSettings

pytestmark = pytest.mark.requirement("CH-1", "OPS-2")

BOT = "xoxb-1-2"
APP = "xapp-1-A0123456-9-f"


def test_off_without_a_token() -> None:
    assert not SlackSettings().enabled


def test_socket_mode_knows_its_application() -> None:
    made = SlackSettings.model_validate({"bot_token": BOT, "app_token": APP})
    assert made.enabled and made.socket_mode and made.own_app == "A0123456"


def test_http_needs_secret_and_application() -> None:
    given = {"bot_token": BOT, "signing_secret": "s", "app_id": "A0123456"}
    made = SlackSettings.model_validate(given)
    assert not made.socket_mode and made.own_app == "A0123456"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "APP_TOKEN"),
        ({"signing_secret": "s"}, "APP_ID"),
        ({"signing_secret": "s", "app_id": "T0123456"}, "APP_ID"),
        ({"app_token": "xoxb-1"}, "xapp-"),
        ({"app_token": APP, "command": "assentry"}, "slash"),
        ({"app_token": APP, "api_url": "http://slack.example/api/"}, "https"),
        ({"app_token": APP, "api_url": "http://10.0.0.1/api/"}, "https"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SlackSettings.model_validate({"bot_token": BOT, **given})


def test_the_address_ends_with_a_slash() -> None:
    given = {"bot_token": BOT, "app_token": APP, "api_url": "http://127.0.0.1:8/api"}
    assert SlackSettings.model_validate(given).api_url == "http://127.0.0.1:8/api/"
