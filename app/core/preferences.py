"""How a person wants to be told in one channel: quiet hours, and several notices as one (T9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.core.errors import InvalidField
from app.core.instant import Instant, from_datetime, to_datetime

MAX_DIGEST: Final = 86_400
_KNOWN: Final = frozenset({"digest_seconds", "muted", "quiet_from", "quiet_to", "zone"})


@dataclass(frozen=True, slots=True)
class Preference:
    """What a person set for one channel; what the policy calls critical passes it.

    :ivar quiet_from: local time at which quiet hours begin; they may run over midnight.
    :ivar zone: IANA name of the zone of these times.
    :ivar digest_seconds: how long notices are gathered into one message; 0 sends each at once.
    :ivar muted: nothing is sent here but that.
    """

    quiet_from: time | None = None
    quiet_to: time | None = None
    zone: str = "UTC"
    digest_seconds: int = 0
    muted: bool = False

    def quiet_until(self, now: Instant) -> Instant | None:
        """Return when the present quiet hours end, or None outside of them."""
        if self.quiet_from is None or self.quiet_to is None:
            return None
        local = to_datetime(now).astimezone(ZoneInfo(self.zone))
        for day in (local.date() - timedelta(days=1), local.date()):
            begin = datetime.combine(day, self.quiet_from, local.tzinfo)
            over = self.quiet_to <= self.quiet_from
            end = datetime.combine(day + timedelta(days=over), self.quiet_to, local.tzinfo)
            if begin <= local < end:
                return from_datetime(end)
        return None


def read_preference(document: Mapping[str, Any]) -> Preference:
    """Return the preference of a JSON document.

    :raises InvalidField: with the pointer of what is wrong.
    """
    if unknown := sorted(set(document) - _KNOWN):
        message = "there is no such preference"
        raise InvalidField(message, pointer=f"/{unknown[0]}")
    seconds = document.get("digest_seconds", 0)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= MAX_DIGEST:
        message = f"notices are gathered for a day at most: {MAX_DIGEST} seconds, or 1440 minutes"
        raise InvalidField(message, pointer="/digest_seconds")
    return Preference(
        quiet_from=_time(document, "quiet_from"),
        quiet_to=_time(document, "quiet_to"),
        zone=_zone(document.get("zone", "UTC")),
        digest_seconds=seconds,
        muted=document.get("muted") is True,
    )


def _time(document: Mapping[str, Any], name: str) -> time | None:
    value = document.get(name)
    if value in (None, ""):
        return None
    try:
        return time.fromisoformat(value) if isinstance(value, str) else time.fromisoformat("")
    except ValueError as error:
        message = "a time is written as 22:30"
        raise InvalidField(message, pointer=f"/{name}") from error


def _zone(value: object) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (KeyError, ValueError, OSError) as error:
        message = "a zone is an IANA name, such as Europe/Berlin"
        raise InvalidField(message, pointer="/zone") from error
