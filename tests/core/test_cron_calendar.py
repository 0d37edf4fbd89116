"""Cron schedules beside a calendar that looks at every minute, where clocks change, in all zones there are."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest

from perdure.core import cron

SECOND_NS = 1_000_000_000
#: No clock has differed from UTC by a part of a minute since.
FIRST, LAST = datetime(1973, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones() - {"localtime"})
_STEP = timedelta(days=5)
_AROUND = timedelta(hours=40)
_MINUTE = timedelta(minutes=1)


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the minutes in which a clock changes, by halving the time between two looks at it."""
    before = FIRST
    while before < LAST:
        after = before + _STEP
        if _offset(zone, before) != _offset(zone, after):
            low, high = before, after
            while high - low > _MINUTE:
                middle = low + (high - low) // 2 // _MINUTE * _MINUTE
                if _offset(zone, middle) == _offset(zone, low):
                    low = middle
                else:
                    high = middle
            yield high
        before = after


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def schedule(random: Random, shown: datetime) -> tuple[str, dict[str, set[int]]]:
    """Return a schedule that has to do with what a clock shows when it changes, and what its fields allow."""
    near = shown + timedelta(minutes=random.randint(-90, 90))
    minutes = random.choice(({near.minute}, {0, 30}, {59}, {0}, {near.minute, 45, 1}))
    hours = random.choice(({near.hour}, {near.hour, 0}, {23}, {0}, set(range(24))))
    days = random.choice(({near.day}, set(range(1, 32))))
    fields = {"minute": minutes, "hour": hours, "day": days}
    whole = {"hour": 24, "day": 31}
    text = " ".join(
        "*" if len(values) == whole.get(name) else ",".join(map(str, sorted(values)))
        for name, values in fields.items()
    )
    return f"{text} * *", fields


def by_the_minute(
    zone: ZoneInfo, fields: dict[str, set[int]], begin: datetime, end: datetime
) -> list[datetime]:
    found = []
    moment = begin
    while (moment := moment + _MINUTE) <= end:
        shown = moment.astimezone(zone)
        if all(getattr(shown, name) in values for name, values in fields.items()):
            found.append(moment)
    return found


def by_cron(zone: str, text: str, begin: datetime, end: datetime) -> list[datetime]:
    parsed, found = cron.parse(f"CRON_TZ={zone} {text}"), []
    at_ns: int | None = int(begin.timestamp()) * SECOND_NS
    while (at_ns := parsed.next(at_ns, 0)) is not None:
        moment = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
        if moment > end:
            break
        found.append(moment)
    return found


def check(name: str, change: datetime, random: Random) -> None:
    zone = ZoneInfo(name)
    text, fields = schedule(random, change.astimezone(zone))
    begin, end = change - _AROUND, change + _AROUND
    wanted = by_the_minute(zone, fields, begin, end)
    assert by_cron(name, text, begin, end) == wanted, (name, text, str(change))


@pytest.mark.parametrize("seed", range(12))
def test_moments_around_changes_are_those_of_a_calendar(seed):
    random = Random(seed)
    count = 0
    while count < 3:
        name = random.choice(ZONES)
        found = list(changes(ZoneInfo(name)))
        if found:
            check(name, random.choice(found), random)
            count += 1


@pytest.mark.parametrize(
    ("name", "at"),
    [
        # In the middle of an hour; by half an hour; at midnight; just after it, so that the day before comes again; for
        # a day that there is not; twice within days.
        ("Pacific/Chatham", "2027-09-25T14:00+00:00"),
        ("Pacific/Chatham", "2027-04-03T14:00+00:00"),
        ("Australia/Lord_Howe", "2027-10-02T15:30+00:00"),
        ("Australia/Lord_Howe", "2027-04-03T15:00+00:00"),
        ("Asia/Beirut", "2027-03-27T22:00+00:00"),
        ("America/St_Johns", "2006-10-29T02:31+00:00"),
        ("America/St_Johns", "2006-04-02T03:31+00:00"),
        ("Pacific/Apia", "2011-12-30T10:00+00:00"),
        ("Africa/Casablanca", "2026-02-15T02:00+00:00"),
    ],
)
def test_moments_around_odd_changes(name, at):
    change = datetime.fromisoformat(at)
    zone = ZoneInfo(name)
    assert _offset(zone, change - _MINUTE) != _offset(zone, change), "the clock changes then"
    for seed in range(6):
        check(name, change, Random(seed))


def test_the_minute_that_a_clock_jumps_to_in_the_middle_of_an_hour():
    parsed = cron.parse("CRON_TZ=Pacific/Chatham 45 3 26 9 *")
    after_ns = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * SECOND_NS
    found = parsed.next(after_ns, 0)
    assert found == int(datetime(2027, 9, 25, 14, tzinfo=UTC).timestamp()) * SECOND_NS
