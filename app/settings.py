"""Settings from the environment: ``ASSENTRY_*``, or ``ASSENTRY_*_FILE`` for a file that holds it.

An unknown ``ASSENTRY_*`` name stops the start: a mistyped limit must not be silently ignored.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar, Final, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "ASSENTRY_"
_FILE: Final = "_FILE"

Known = TypeVar("Known", bound=BaseSettings)


class SettingsError(Exception):
    """The environment holds a setting that is not valid; the message says which and why."""


class Settings(BaseSettings):
    """Everything that an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(
        default=Path(".assentry"),
        description="Folder for the embedded database and the generated master key.",
    )
    database_url: str = Field(
        default="",
        description="`sqlite:///path` or `postgresql://…`; empty means a SQLite file in the "
        "data folder. May be given as a file.",
    )
    base_url: str = Field(
        default="",
        description="Address under which people and agents reach the server; links are built "
        "from it alone. Empty means http://HOST:PORT.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the server listens on.")
    port: int = Field(
        default=8700, ge=0, le=65535, description="Port that it listens on; 0 takes a free one."
    )
    master_key: SecretStr = Field(
        default=SecretStr(""),
        description="Master keys as `id:base64` of 32 bytes, the current one first, separated by "
        "commas. Empty means the generated file `master.key` in the data folder.",
    )
    trusted_hosts: str = Field(
        default="",
        description="Further names, separated by commas, that the Host header may hold besides "
        "the one of the base URL and loopback.",
    )
    trusted_proxies: str = Field(
        default="",
        description="CIDRs, separated by commas, of proxies whose X-Forwarded-For is believed.",
    )
    session_idle_seconds: int = Field(
        default=8 * 3600, ge=60, description="A session without use ends after this time."
    )
    session_seconds: int = Field(
        default=7 * 86400, ge=60, description="A session ends after this time in any case."
    )
    request_ttl: int = Field(
        default=3600, ge=1, le=30 * 86400,
        description="Seconds until an undecided request expires, where neither the agent nor a "
        "policy says less.",
    )  # fmt: skip
    approval_ttl: int = Field(
        default=900, ge=1, le=30 * 86400,
        description="Seconds that an approval stays usable, where no policy says otherwise.",
    )  # fmt: skip
    result_retention: int = Field(
        default=7 * 86400, ge=60, description="Seconds that results are kept, sealed."
    )
    delivery_retention: int = Field(
        default=30 * 86400, ge=86400, description="Seconds that settled deliveries are kept."
    )
    idempotency_retention: int = Field(
        default=2 * 86400, ge=86400, description="Seconds that Idempotency-Keys are remembered."
    )
    command_rules: str = Field(
        default="",
        description="Folder with profiles of your own for commands over SSH (`NAME.toml`) and "
        "more rules for the guard (`ssh_guard.toml`); read again when a file changes.",
    )
    request_rate: str = Field(
        default="", pattern=r"^(|[1-9][0-9]{0,5}/(second|minute|hour|day|[1-9][0-9]{0,3}))$",
        description="Requests that all agents together may make, such as `600/minute`; empty "
        "means no limit.",
    )  # fmt: skip
    lease_margin: float = Field(
        default=15.0, ge=0.5, le=600,
        description="Seconds that a worker's lease outlasts the time limit of its call.",
    )  # fmt: skip
    worker_concurrency: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Actions that one worker carries out at a time for policies, and as many "
        "again that people approved.",
    )
    agent_concurrency: int = Field(
        default=8, ge=1, le=10_000,
        description="Actions of one agent that are carried out at a time, over all workers; "
        "those that people approved are counted apart.",
    )  # fmt: skip
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=64 * 1_048_576,
        description="Largest body that the API takes, in bytes.",
    )  # fmt: skip
    spool_bytes: int = Field(
        default=8 << 30, ge=1 << 20,
        description="Bytes of large bodies on their way through the gateway that one server keeps "
        "in files at a time, in its data folder.",
    )  # fmt: skip
    agent_spool_bytes: int = Field(
        default=2 << 30, ge=1 << 20, description="Bytes of these that one agent has at a time."
    )
    max_waiters_per_key: int = Field(
        default=2000, ge=1, description="Waiting calls that one key may hold open in a process."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="`auto` writes text to a terminal and JSON elsewhere."
    )

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            message = "must begin with http:// or https://"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for part in value.split(",") if value else ():
            ip_network(part.strip())
        return value

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.session_idle_seconds > self.session_seconds:
            message = "SESSION_IDLE_SECONDS must not be above SESSION_SECONDS"
            raise ValueError(message)
        return self

    @property
    def database(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'assentry.db'}"

    @property
    def public_url(self) -> str:
        """The base URL, with the default filled in."""
        return self.base_url or f"http://{self.host}:{self.port}"

    @property
    def secure_cookies(self) -> bool:
        """Whether pages are served over TLS, so that cookies must not travel without."""
        return self.public_url.startswith("https://")


class PartSettings(BaseSettings):
    """Settings of one optional part, under a prefix of its own; off until ``enabled``."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    PREFIX: ClassVar[str]
    """Such as ``ASSENTRY_SLACK_``."""

    @property
    def enabled(self) -> bool:
        """Whether enough is set for the part to work."""
        raise NotImplementedError


OF_CLIENTS: Final = frozenset({"ASSENTRY_URL", "ASSENTRY_KEY"})
"""Names that agents' and approvers' commands read; a server started beside them passes over."""

Part = TypeVar("Part", bound=PartSettings)


def load(environ: Mapping[str, str] | None = None, parts: Iterable[str] = ()) -> Settings:
    """Read the settings from the environment (OPS-2).

    An explicit variable wins over its ``_FILE``; a file that is missing is warned about.

    :param parts: prefixes of other parts, whose own settings judge the names below them.
    :raises SettingsError: for unknown names and values that are not valid, naming all of them.
    """
    return _load(Settings, PREFIX, environ, tuple(parts))


def load_part(kind: type[Part], environ: Mapping[str, str] | None = None) -> Part:
    """Read the settings of one part, as :func:`load` does.

    :raises SettingsError: for unknown names and values that are not valid, naming all of them.
    """
    return _load(kind, kind.PREFIX, environ, ())


def _load(
    kind: type[Known], prefix: str, environ: Mapping[str, str] | None, others: tuple[str, ...]
) -> Known:
    source = os.environ if environ is None else environ
    given = {
        name: text
        for name, text in source.items()
        if name.startswith(prefix) and not name.startswith(others)
    }
    known = {f"{prefix}{name.upper()}" for name in kind.model_fields}
    plain = {name: name.removesuffix(_FILE) for name in given}
    unknown = sorted(name for name in given if plain[name] not in known | OF_CLIENTS)
    if unknown:
        message = f"unknown settings: {', '.join(unknown)}; see docs/reference/settings.md"
        raise SettingsError(message)
    values = {name: text for name, text in given.items() if name in known}
    for name in sorted(set(given) - set(values)):
        if plain[name] in OF_CLIENTS:
            continue
        _read_file(name, given[name], values)
    fields = {name.removeprefix(prefix).lower(): text for name, text in values.items()}
    return _build(kind, prefix, fields)


def _said(message: str) -> str:
    """Return the library's words as ours."""
    told = message.removeprefix("Value error, ").partition(", unable to")[0]
    return told.replace("Input should be", "it should be", 1)


def _read_file(name: str, path: str, values: dict[str, str]) -> None:
    plain = name.removesuffix(_FILE)
    if plain in values:
        return
    try:
        values[plain] = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        warnings.warn(f"{name}: cannot read {path}: {error.strerror}", stacklevel=3)


def _build(kind: type[Known], prefix: str, fields: Mapping[str, str]) -> Known:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        parts = [
            f"{prefix}{'_'.join(str(part) for part in item['loc']).upper()}: {_said(item['msg'])}"
            for item in error.errors()
        ]
        message = "; ".join(parts)
        raise SettingsError(message) from None
