"""``time``: days of the week and a window of the day, in a time zone.

The window includes ``from`` and excludes ``to``; one that ends before it begins runs over
midnight and belongs to the day on which it began. Daylight saving time is the zone's.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from app.core.conditions.base import Check, Condition, Kind, Spec, Tri, guarded
from app.core.conditions.reading import array, below, members, refuse, shown, text
from app.core.facts import Facts
from app.core.instant import to_datetime
from app.core.json_types import JsonValue

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 1_440
_HOUR: Final = 60
_TEXT: Final = 5
_MAX_ZONE: Final = 64
_FIELDS: Final = frozenset({"days", "from", "to", "zone"})


def _time(spec: Spec) -> Condition:
    wanted = members(spec.value, spec.pointer, _FIELDS)
    if "days" not in wanted and "from" not in wanted:
        refuse("give days, from and to, or both", spec.pointer)
    zone = _zone(wanted.get("zone", "UTC"), below(spec.pointer, "zone"))
    days = _days(wanted, spec.pointer)
    start, end = _window(wanted, spec.pointer)
    check = _check(zone, days, start, end)
    return Condition("time", spec.value, _text(wanted), guarded(check))


def _check(zone: ZoneInfo, days: frozenset[int], start: int, end: int) -> Check:
    def check(facts: Facts) -> Tri:
        moment = to_datetime(facts.now).astimezone(zone)
        minute, day = moment.hour * _HOUR + moment.minute, moment.weekday()
        if start < end:
            return day in days and start <= minute < end
        if minute >= start:
            return day in days
        yesterday = (moment.date() - timedelta(days=1)).weekday()
        return minute < end and yesterday in days

    return check


def _days(wanted: Mapping[str, JsonValue], pointer: str) -> frozenset[int]:
    if "days" not in wanted:
        return frozenset(range(len(_DAYS)))
    where = below(pointer, "days")
    names = array(wanted["days"], where, len(_DAYS))
    for at, name in enumerate(names):
        if name not in _DAYS:
            refuse(f"not a day: {shown(name)}; use {', '.join(_DAYS)}", below(where, at))
    return frozenset(_DAYS.index(str(name)) for name in names)


def _window(wanted: Mapping[str, JsonValue], pointer: str) -> tuple[int, int]:
    if ("from" in wanted) is not ("to" in wanted):
        refuse("from and to go together", pointer)
    if "from" not in wanted:
        return 0, _DAY
    start = _minute(wanted["from"], below(pointer, "from"))
    end = _minute(wanted["to"], below(pointer, "to"))
    if start in (end, _DAY):
        refuse("the window is empty; leave from and to out for the whole day", pointer)
    return start, end


def _minute(value: JsonValue, pointer: str) -> int:
    written = text(value, pointer, _TEXT)
    hours, colon, minutes = written.partition(":")
    digits = hours + minutes
    if len(written) != _TEXT or not colon or not (digits.isascii() and digits.isdigit()):
        refuse(f"not a time such as 09:00: {shown(written)}", pointer)
    minute = int(hours) * _HOUR + int(minutes)
    if int(minutes) >= _HOUR or minute > _DAY:
        refuse(f"no such time: {written}", pointer)
    return minute


def _zone(value: JsonValue, pointer: str) -> ZoneInfo:
    name = text(value, pointer, _MAX_ZONE)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        refuse(f"no such time zone: {shown(name)}; use a name such as Europe/Berlin", pointer)


def _text(wanted: Mapping[str, JsonValue]) -> str:
    days = wanted.get("days")
    named = ", ".join(str(day) for day in days) if isinstance(days, list) else "any day"
    hours = f" from {wanted['from']} to {wanted['to']}" if "from" in wanted else ""
    return f"the time is on {named}{hours} ({wanted.get('zone', 'UTC')})"


KINDS: Final = (
    Kind(
        "time",
        "block",
        "Now is on one of these days and within this window of the day.",
        {"time": {"days": ["mon", "fri"], "from": "09:00", "to": "17:00", "zone": "UTC"}},
        _time,
    ),
)
