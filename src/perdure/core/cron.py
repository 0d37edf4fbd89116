"""Cron schedules, in the grammar that the real server takes: five fields, `@daily` and its like, or `@every 90m`.

A schedule may begin with `TZ=Europe/Berlin ` (or `CRON_TZ=`); otherwise it is UTC. It names moments by what a clock on
the wall shows: an hour that a clock skips in spring has none, and one that it shows twice in autumn has twice as many.
Rules: https://pkg.go.dev/github.com/robfig/cron/v3#hdr-CRON_Expression_Format
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

SECOND_NS = 1_000_000_000
_MINUTE = timedelta(minutes=1)
#: A schedule that names no moment in so many years names none: the 30th of February.
_YEARS = 5
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_DURATION = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION_MAX_NS = 2**63 - 1
#: A hundred years: later moments are numbers that cannot be stored.
_LONGEST_NS = 100 * 365 * 24 * 3600 * SECOND_NS
_NUMBER = re.compile(r"\+?\d+")


class BadSchedule(ValueError):
    """The text is no schedule."""


class Schedule(Protocol):
    def next(self, after_ns: int, not_before_ns: int) -> int | None:
        """Return the first moment after `after_ns` that is not before `not_before_ns`; None if there is none.

        All in nanoseconds since the epoch.
        """


@lru_cache(maxsize=256)
def parse(text: str) -> Schedule:
    """Return the schedule that `text` means. Raise `BadSchedule`."""
    zone: tzinfo = UTC
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, _, text = text.partition("=")[2].partition(" ")
        zone, text = _zone(name), text.strip()
    if text.startswith("@every "):
        return _Every(max(_duration_ns(text.removeprefix("@every ")) // SECOND_NS, 1))
    fields = _NAMED.get(text, text).split()
    if len(fields) != 5:
        raise BadSchedule(f"expected 5 fields, found {len(fields)}: {text}")
    minutes, _ = _field(fields[0], 0, 59)
    hours, _ = _field(fields[1], 0, 23)
    days, any_day = _field(fields[2], 1, 31)
    months, _ = _field(fields[3], 1, 12, {name: n for n, name in enumerate(_MONTHS, 1)})
    weekdays, any_weekday = _field(fields[4], 0, 6, {name: n for n, name in enumerate(_DAYS)})
    return _Calendar(zone, minutes, hours, days, months, weekdays, any_day or any_weekday)


def fault(text: str) -> str | None:
    """Return why nothing can be started on this schedule, in the real server's words; None if all is well."""
    if not text:
        return None
    try:
        schedule = parse(text)
    except BadSchedule:
        return "invalid CronSchedule."
    if schedule.next(0, 0) is None:
        return "invalid CronSchedule, no time can be found to satisfy the schedule"
    return None


def backoff_ns(text: str, scheduled_ns: int, now_ns: int) -> int | None:
    """Return for how long to wait from now until the first moment after `scheduled_ns` that is not in the past.

    In whole seconds, rounded up. None if there is no such moment.
    """
    try:
        schedule = parse(text)
    except BadSchedule:
        # Temporal: a run may go on as one with a schedule that nobody has checked; there is no next one then.
        return None
    next_ns = scheduled_ns if now_ns < scheduled_ns else schedule.next(scheduled_ns, now_ns)
    if next_ns is None:
        return None
    return min(-(-(next_ns - now_ns) // SECOND_NS) * SECOND_NS, _LONGEST_NS)


@dataclass(frozen=True, slots=True)
class _Every:
    seconds: int

    def next(self, after_ns: int, not_before_ns: int) -> int:
        step_ns = self.seconds * SECOND_NS
        first_ns = after_ns // SECOND_NS * SECOND_NS + step_ns
        return first_ns + max(0, -(-(not_before_ns - first_ns) // step_ns)) * step_ns


@dataclass(frozen=True, slots=True)
class _Calendar:
    zone: tzinfo
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    #: Sunday is 0.
    weekdays: frozenset[int]
    #: Day and weekday must both fit. If both are given, one is enough.
    needs_both: bool

    def next(self, after_ns: int, not_before_ns: int) -> int | None:
        after_ns = max(after_ns, not_before_ns - 1)
        moment = datetime.fromtimestamp(after_ns // SECOND_NS // 60 * 60, UTC) + _MINUTE
        shown = moment.astimezone(self.zone)
        last_year = shown.year + _YEARS
        while shown.year <= last_year:
            rest_of_hour = 60 - shown.minute
            if not self._fits_day(shown):
                steps = (60 * (23 - shown.hour) + rest_of_hour, rest_of_hour, 1)
            elif shown.hour not in self.hours:
                steps = (rest_of_hour, rest_of_hour, 1)
            elif shown.minute not in self.minutes:
                steps = (1, 1, 1)
            else:
                return int(moment.timestamp()) * SECOND_NS
            moment, shown = self._later(moment, shown, steps)
        return None

    def _later(
        self, moment: datetime, shown: datetime, steps: tuple[int, int, int]
    ) -> tuple[datetime, datetime]:
        """Go on by the first of these minutes that does not lead over a change of the clock, or by the last.

        A change may be in the middle of an hour, and show the day before once more: only a minute is safe.
        """
        for minutes in steps:
            later = moment + timedelta(minutes=minutes)
            seen = later.astimezone(self.zone)
            if seen.utcoffset() == shown.utcoffset():
                break
        return later, seen

    def _fits_day(self, shown: datetime) -> bool:
        if shown.month not in self.months:
            return False
        fits = (shown.day in self.days, shown.isoweekday() % 7 in self.weekdays)
        return all(fits) if self.needs_both else any(fits)


def _field(
    text: str, low: int, high: int, names: Mapping[str, int] | None = None
) -> tuple[frozenset[int], bool]:
    """Return the values that a field allows, and whether it says "any"."""
    values: set[int] = set()
    is_any = False
    for part in filter(None, text.split(",")):
        bounds, *steps = part.split("/")
        first, *rest = bounds.split("-")
        if len(steps) > 1 or len(rest) > 1:
            raise BadSchedule(f"too many slashes or hyphens: {part}")
        step = _number(steps[0]) if steps else 1
        if first in ("*", "?"):
            start, end = low, high
            is_any = is_any or step == 1
        else:
            start = _number(first, names)
            end = _number(rest[0], names) if rest else high if steps else start
        if not low <= start <= end <= high or step == 0:
            raise BadSchedule(f"out of range: {part}")
        values.update(range(start, end + 1, step))
    return frozenset(values), is_any


def _number(text: str, names: Mapping[str, int] | None = None) -> int:
    if names is not None and text.lower() in names:
        return names[text.lower()]
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise BadSchedule(f"not a number: {text}")
    return int(text)


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise BadSchedule(f"unknown time zone: {name}") from error


def _duration_ns(text: str) -> int:
    if text in ("0", "+0", "-0"):
        return 0
    if not _DURATION.fullmatch(text):
        raise BadSchedule(f"not a duration: {text}")
    total = sum(float(number) * _UNITS_NS[unit] for number, unit in _DURATION_PART.findall(text))
    if total > _DURATION_MAX_NS:
        raise BadSchedule(f"too long a duration: {text}")
    return int(-total if text.startswith("-") else total)
