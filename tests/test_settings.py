"""Settings from the environment and from files; what is unknown stops the start (OPS-2)."""

import warnings
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load

pytestmark = pytest.mark.requirement("OPS-2")


def test_the_defaults_need_nothing() -> None:
    settings = load({"PATH": "/bin", "HOME": "/"})
    assert settings == Settings()
    assert settings.database == "sqlite:///.assentry/assentry.db"
    assert settings.public_url == "http://127.0.0.1:8700"
    assert not settings.secure_cookies


def test_the_environment_is_read() -> None:
    settings = load(
        {"ASSENTRY_PORT": "9000", "ASSENTRY_BASE_URL": "https://a.example/", "OTHER_PORT": "1"}
    )
    assert (settings.port, settings.public_url) == (9000, "https://a.example")
    assert settings.secure_cookies


def test_without_an_argument_it_is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENTRY_PORT", "9001")
    assert load().port == 9001


@pytest.mark.parametrize(
    "names",
    [
        ["ASSENTRY_PROT"], ["ASSENTRY_port"], ["ASSENTRY_"], ["ASSENTRY_PORT_FILE_FILE"],
        ["ASSENTRY_NO_FILE"], ["ASSENTRY_ZZ", "ASSENTRY_AA"],
    ],
)  # fmt: skip
def test_unknown_names_stop_the_start_all_named(names: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        load(dict.fromkeys(names, "1"))
    assert f"unknown settings: {', '.join(sorted(names))};" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"), ("PORT", "70000"), ("PORT", "-1"), ("LOG_LEVEL", "loud"),
        ("BASE_URL", "ftp://x"), ("REQUEST_TTL", "0"), ("SESSION_SECONDS", "60"),
        ("MAX_BODY_BYTES", "99999999999"), ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
    ],
)  # fmt: skip
def test_wrong_values_stop_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=r"ASSENTRY_|SESSION_IDLE_SECONDS"):
        load({f"ASSENTRY_{name}": value})


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"ASSENTRY_PORT": "x", "ASSENTRY_REQUEST_TTL": "y"})
    assert "ASSENTRY_PORT: " in str(refused.value)
    assert "ASSENTRY_REQUEST_TTL: " in str(refused.value)


def test_a_file_holds_a_value(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("  k:the-key\n", encoding="utf-8")
    settings = load({"ASSENTRY_MASTER_KEY_FILE": str(path)})
    assert settings.master_key.get_secret_value() == "k:the-key"


def test_an_explicit_value_wins_over_its_file(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.write_text("9000", encoding="utf-8")
    assert load({"ASSENTRY_PORT_FILE": str(path), "ASSENTRY_PORT": "9001"}).port == 9001
    with warnings.catch_warnings(record=True) as told:
        load({"ASSENTRY_PORT_FILE": str(tmp_path / "none"), "ASSENTRY_PORT": "9001"})
    assert told == []


def test_a_missing_file_is_warned_about(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="ASSENTRY_PORT_FILE: cannot read .*none"):
        settings = load({"ASSENTRY_PORT_FILE": str(tmp_path / "none")})
    assert settings.port == 8700


@pytest.mark.requirement("T62")
def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = load({"ASSENTRY_MASTER_KEY": "k:canary-9f1d"})
    assert "canary-9f1d" not in repr(settings)
    assert "canary-9f1d" not in settings.model_dump_json()
    with pytest.raises(SettingsError) as refused:
        load({"ASSENTRY_MASTER_KEY": "k:canary-9f1d", "ASSENTRY_PORT": "canary-port"})
    assert "canary" not in str(refused.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_what_agents_and_approvers_set_beside_it_is_passed_over() -> None:
    """The README has them in the same shell; a key of theirs is nothing that the server reads."""
    load({"ASSENTRY_KEY": "x", "ASSENTRY_URL": "http://127.0.0.1:1", "ASSENTRY_KEY_FILE": "/none"})
