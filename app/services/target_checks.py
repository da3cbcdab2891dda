"""What is checked of a target as a whole when it is made or changed."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from app.core.addresses import parse_networks
from app.core.bucket import check_rate
from app.core.calls import check_rules
from app.core.checks import all_of
from app.core.conditions.glob import path_glob
from app.core.errors import InvalidField
from app.core.paths import CALLS
from app.core.ssh_target import check_ssh
from app.core.targets import (
    MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES,
    MAX_SECONDS,
    MAX_STREAM_BYTES,
    MAX_STREAM_SECONDS,
    CredentialRule,
    Target,
    TargetSettings,
)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
"""Grammar of a target's name."""

MAX_DESCRIPTION: Final = 2000
MAX_RULES: Final = 32


def check_target(target: Target) -> None:
    """Refuse a target that could not work as it is meant.

    :raises InvalidField: with a pointer to what must change.
    """
    settings = target.settings
    if (target.kind == "ssh") is not (settings.ssh is not None):
        message = "a target is an SSH host or not, from its beginning"
        raise InvalidField(message, pointer="/settings/ssh")
    all_of(
        lambda: _check_name(target.name),
        lambda: _check_description(target.description),
        lambda: _check_rules(target.credentials),
        lambda: check_ssh(settings.ssh) if settings.ssh else None,
        lambda: _check_methods(settings.methods),
        lambda: _check_networks(settings.networks),
        lambda: check_rules(settings.allow, "/settings/allow"),
        lambda: check_rules(settings.deny, "/settings/deny"),
        lambda: check_rate(settings.rate, "/settings/rate"),
        *_limits(settings),
    )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        message = "a name is up to 64 of a-z 0-9 _ . -, and begins with a letter or digit"
        raise InvalidField(message, pointer="/name")


def _check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION or "\x00" in text:
        message = f"a description has at most {MAX_DESCRIPTION} characters, and no NUL"
        raise InvalidField(message, pointer="/description")


def _check_methods(methods: Sequence[str]) -> None:
    if unknown := set(methods) - CALLS:
        message = f"{min(unknown)} is no method that can be used"
        raise InvalidField(message, pointer="/settings/methods")


def _limits(settings: TargetSettings) -> Iterator[Callable[[], None]]:
    for name, value, most in (
        ("connect_seconds", settings.connect_seconds, MAX_SECONDS),
        ("total_seconds", settings.total_seconds, MAX_SECONDS),
        ("response_bytes", settings.response_bytes, MAX_RESPONSE_BYTES),
        ("idle_seconds", settings.idle_seconds, MAX_STREAM_SECONDS),
        ("stream_seconds", settings.stream_seconds, MAX_STREAM_SECONDS),
        ("stream_bytes", settings.stream_bytes, MAX_STREAM_BYTES),
        ("request_bytes", settings.request_bytes, MAX_REQUEST_BYTES),
    ):
        yield partial(_check_limit, name, f"above 0 and at most {most:g}", fits=0 < value <= most)
    for name, value, least, most in (
        ("breaker_failures", settings.breaker_failures, 0, 10_000),
        ("breaker_window", settings.breaker_window, 1, 3600),
        ("breaker_cool_down", settings.breaker_cool_down, 1, 3600),
        ("breaker_probes", settings.breaker_probes, 1, 100),
    ):
        yield partial(_check_limit, name, f"{least} to {most}", fits=least <= value <= most)


def _check_limit(name: str, bounds: str, *, fits: bool) -> None:
    if not fits:
        message = f"{name} is {bounds}"
        raise InvalidField(message, pointer=f"/settings/{name}")


def _check_rules(rules: Sequence[CredentialRule]) -> None:
    if len(rules) > MAX_RULES:
        message = f"a target has at most {MAX_RULES} rules for credentials"
        raise InvalidField(message, pointer="/credentials")
    for place, rule in enumerate(rules):
        if unknown := set(rule.methods) - CALLS:
            message = f"{min(unknown)} is no method that can be used"
            raise InvalidField(message, pointer=f"/credentials/{place}/methods")
        for at, pattern in enumerate(rule.paths):
            try:
                path_glob(pattern)
            except ValueError as error:
                pointer = f"/credentials/{place}/paths/{at}"
                raise InvalidField(str(error), pointer=pointer) from error


def _check_networks(networks: tuple[str, ...]) -> None:
    for place, text in enumerate(networks):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            message = f"{text!r} is not a network such as 10.0.0.0/8"
            raise InvalidField(message, pointer=f"/settings/networks/{place}") from error
    try:
        parse_networks(networks)
    except ValueError as error:
        raise InvalidField(str(error), pointer="/settings/networks") from error
