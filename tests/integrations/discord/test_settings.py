"""Settings of Discord: off by default, and said what is missing."""

from typing import Any

import pytest

from app.settings import SettingsError, load_part
from integrations.discord.settings import API_URL, DiscordSettings

pytestmark = pytest.mark.requirement("CH-2")
HTTP = {"TOKEN": "t", "MODE": "http", "APPLICATION_ID": "12", "PUBLIC_KEY": "Ab" * 32}


def settings(**given: str) -> DiscordSettings:
    return load_part(
        DiscordSettings, {f"ASSENTRY_DISCORD_{name}": text for name, text in given.items()}
    )


def test_discord_is_off_until_a_token_is_given() -> None:
    assert not settings().enabled
    assert settings(TOKEN="t").enabled and settings(TOKEN="t").mode == "gateway"
    assert settings(TOKEN="t").api_url == API_URL


def test_the_token_is_not_shown() -> None:
    made = settings(TOKEN="open-sesame")
    assert "open-sesame" not in repr(made)


def test_with_posts() -> None:
    made = settings(**HTTP, GUILDS="12, 34")
    assert (made.public_key, made.allowed) == ("ab" * 32, ("12", "34"))
    assert settings(**HTTP).allowed == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"PUBLIC_KEY": ""}, "APPLICATION_ID and PUBLIC_KEY"), ({"PUBLIC_KEY": "ab"}, "64 hex"),
        ({"PUBLIC_KEY": "g" * 64}, "64 hex"), ({"APPLICATION_ID": ""}, "APPLICATION_ID and"),
        ({"APPLICATION_ID": "A1"}, "a number"), ({"APPLICATION_ID": "١٢"}, "a number"),
        ({"TOKEN": ""}, "TOKEN must be"), ({"TOKEN": "Bot x"}, "the bot's token alone"),
        ({"TOKEN": "x\ny"}, "the bot's token alone"), ({"MODE": "socket"}, "gateway"),
        ({"GUILDS": "acme"}, "ids of Discord servers"), ({"GUILDS": "1,,2"}, "ids of Discord"),
        ({"TIMEOUT": "0"}, "TIMEOUT"), ({"TIMEOUT": "16"}, "TIMEOUT"), ({"NAME": "x"}, "unknown"),
        ({"API_URL": "http://discord.example/api"}, "https"), ({"API_URL": ""}, "https"),
        ({"API_URL": "https://u:p@discord.example"}, "https"),
        ({"API_URL": "https://discord.example/?x"}, "https"),
        ({"API_URL": "ftp://[::1]/"}, "https"),
    ],
)  # fmt: skip
def test_what_cannot_work_stops_the_start(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(**{**HTTP, **wrong})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/api/v10/", "http://localhost:9", "https://proxy.example/api/v10"]
)
def test_other_addresses(url: str) -> None:
    assert settings(TOKEN="t", API_URL=url).api_url == url.rstrip("/")
