"""The fields of a target's form: what is stored of it, as one writes it there."""

from collections.abc import Mapping
from typing import Final

from app.core.ssh_target import SshSettings
from app.core.targets import Target, TargetSettings
from app.web.dashboard.doors import Form

SECONDS: Final = ("total_seconds", "stream_seconds", "idle_seconds")
"""Fields of an HTTP target that hold seconds."""

NUMBERS: Final = (
    "response_bytes", "stream_bytes", "request_bytes",
    "breaker_failures", "breaker_window", "breaker_cool_down", "breaker_probes",
)  # fmt: skip
"""Those that hold whole numbers."""

SSH_NUMBERS: Final = ("port", "seconds", "output_bytes", "file_bytes")
"""Those of an SSH host."""


def blank() -> dict[str, Form]:
    """Return the fields of targets that are still to be made, by their kind."""
    return {
        "target": _settings(TargetSettings()),
        "ssh": _settings(TargetSettings(ssh=SshSettings())),
    }


def fields_of(target: Target, names: Mapping[str, str]) -> Form:
    """Return the fields of a target.

    :param names: of credentials, by their ids.
    """
    rules = (
        " ".join((names.get(rule.credential_id, "?"), ",".join(rule.methods) or "*", *rule.paths))
        for rule in target.credentials
    )
    return Form(
        _settings(target.settings), name=target.name, base_url=target.base_url,
        description=target.description, credential_id=target.credential_id or "",
        enabled=_tick(target.enabled), rules="\n".join(rules),
    )  # fmt: skip


def _settings(settings: TargetSettings) -> Form:
    common = Form(networks=" ".join(settings.networks), rate=settings.rate)
    if settings.ssh is not None:
        return Form(common, **_ssh(settings.ssh))
    return Form(
        common, **{name: str(getattr(settings, name)) for name in NUMBERS},
        **{name: _written(getattr(settings, name)) for name in SECONDS},
        methods=" ".join(settings.methods),
        allow="\n".join(map(str, settings.allow)), deny="\n".join(map(str, settings.deny)),
        retry_safe_methods=_tick(settings.retry_safe_methods),
        pass_cookies=_tick(settings.pass_cookies),
        breaker_on_errors=_tick(settings.breaker_on_errors),
    )  # fmt: skip


def _ssh(ssh: SshSettings) -> dict[str, str]:
    jumps = (f"{hop.user}@{hop.host}:{hop.port} {', '.join(hop.keys)}" for hop in ssh.jumps)
    return {
        **{name: str(getattr(ssh, name)) for name in SSH_NUMBERS},
        **{name: "\n".join(getattr(ssh, name)) for name in ("host_keys", "ca_keys")},
        **{name: " ".join(getattr(ssh, name)) for name in ("hosts", "cidrs", "profiles")},
        "host": ssh.host,
        "user": ssh.user,
        "jumps": "\n".join(jumps),
        "marker_dir": ssh.marker_dir,
        "wrap": _tick(ssh.wrap),
        "only_profiles": _tick(ssh.only_profiles),
    }


def _written(seconds: float) -> str:
    return str(int(seconds) if seconds == int(seconds) else seconds)


def _tick(value: bool) -> str:  # noqa: FBT001
    return "on" if value else ""
