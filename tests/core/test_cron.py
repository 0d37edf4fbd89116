"""Cron schedules. That the real server reads them the same way is shown by the differential script `cron_schedules`."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core import cron

SECOND_NS = 1_000_000_000
#: A schedule of every kind, and fields to put others together from.
MINUTES, HOURS = ("*", "0", "*/7", "3-9", "59", "5,10"), ("*", "0", "2", "*/5", "8-18/3")
DAYS, MONTHS, WEEKDAYS = (
    ("*", "1", "31", "*/10", "?"),
    ("*", "2", "mar", "*/4"),
    ("*", "0", "mon-fri"),
)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS


def following(schedule: str, after: str, count: int) -> list[str]:
    """Return the next moments in UTC."""
    at_ns, moments = ns(after), []
    for _ in range(count):
        found = cron.parse(schedule).next(at_ns, 0)
        assert found is not None
        at_ns = found
        moments.append(datetime.fromtimestamp(at_ns / SECOND_NS, UTC).strftime("%m-%d %H:%M"))
    return moments


@pytest.mark.parametrize(
    ("schedule", "moments"),
    [
        ("*/20 * * * *", ["01-31 23:20", "01-31 23:40", "02-01 00:00"]),
        ("0 12 * feb *", ["02-01 12:00", "02-02 12:00", "02-03 12:00"]),
        ("0 0 31 * *", ["03-31 00:00", "05-31 00:00", "07-31 00:00"]),
        # Both a day and a weekday: either will do. One of them "any": both must fit.
        ("0 0 3 * mon", ["02-02 00:00", "02-03 00:00", "02-09 00:00"]),
        ("0 0 * * mon", ["02-02 00:00", "02-09 00:00", "02-16 00:00"]),
    ],
)
def test_fields(schedule, moments):
    assert following(schedule, "2026-01-31T23:05:30+00:00", 3) == moments


def test_an_hour_that_the_clock_skips_has_no_moments():
    daily = "TZ=Europe/Berlin 30 2 * * *"
    assert following(daily, "2026-03-28T00:00:00+00:00", 2) == ["03-28 01:30", "03-30 00:30"]


def test_an_hour_that_the_clock_shows_twice_has_twice_as_many():
    daily = "TZ=Europe/Berlin 30 2 * * *"
    moments = following(daily, "2026-10-24T12:00:00+00:00", 3)
    assert moments == ["10-25 00:30", "10-25 01:30", "10-26 01:30"]


def test_every():
    schedule = cron.parse("@every 90s")
    assert schedule.next(10 * SECOND_NS + 5, 0) == 100 * SECOND_NS
    assert schedule.next(10 * SECOND_NS, 280 * SECOND_NS) == 280 * SECOND_NS
    assert schedule.next(10 * SECOND_NS, 281 * SECOND_NS) == 370 * SECOND_NS


def test_backoff():
    noon = ns("2026-01-01T12:00:00+00:00")
    assert cron.backoff_ns("* * * * *", noon, noon) == 60 * SECOND_NS
    assert cron.backoff_ns("* * * * *", noon, noon + 1) == 60 * SECOND_NS, "rounded up"
    assert cron.backoff_ns("* * * * *", noon, noon + 150 * SECOND_NS) == 30 * SECOND_NS, "caught up"
    assert cron.backoff_ns("* * * * *", noon, noon + 120 * SECOND_NS) == 0, "due just now"
    assert cron.backoff_ns("* * * * *", noon, noon - 7 * SECOND_NS) == 7 * SECOND_NS, "not due yet"
    assert cron.backoff_ns("0 0 30 2 *", noon, noon) is None


@pytest.mark.parametrize(
    "schedule", ["abc", "* * * *", "0 0 * * 7", "TZ=UTC", "@every 9999999999h"]
)
def test_bad_schedules(schedule):
    assert cron.fault(schedule) == "invalid CronSchedule."


def test_schedule_without_moments():
    assert cron.fault("0 0 31 4 *") is not None
    assert cron.fault("0 0 29 2 *") is None
    assert cron.fault("") is None


@given(
    st.tuples(*map(st.sampled_from, (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS))),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
    st.integers(1_500_000_000, 1_900_000_000),
)
def test_the_next_moment_fits_and_none_before_it_does(fields, zone, after_s):
    """Every minute from the start on, one by one, against what the fields say of the time on the wall."""
    text = f"TZ={zone} {' '.join(fields)}"
    found = cron.parse(text).next(after_s * SECOND_NS, 0)
    calendar = cron.parse(text)
    if found is None:
        return
    assert found > after_s * SECOND_NS
    assert found % (60 * SECOND_NS) == 0
    shown = datetime.fromtimestamp(found // SECOND_NS, UTC).astimezone(ZoneInfo(zone))
    assert fits(calendar, shown)
    minute = datetime.fromtimestamp(after_s // 60 * 60, UTC)
    for _ in range(1500):
        minute += timedelta(minutes=1)
        if minute.timestamp() * SECOND_NS >= found:
            break
        assert not fits(calendar, minute.astimezone(ZoneInfo(zone)))


def fits(calendar, shown: datetime) -> bool:
    day, weekday = shown.day in calendar.days, (shown.weekday() + 1) % 7 in calendar.weekdays
    fits_day = (day and weekday) if calendar.needs_both else (day or weekday)
    return (
        fits_day
        and shown.month in calendar.months
        and shown.hour in calendar.hours
        and shown.minute in calendar.minutes
    )


def test_no_moment_is_too_far_away_to_be_stored():
    now_ns = 1_800_000_000 * SECOND_NS
    assert cron.fault("@every 2562047h") is None
    assert now_ns + cron.backoff_ns("@every 2562047h", now_ns, now_ns) < 2**63


def test_what_is_no_schedule_has_no_next_moment():
    assert cron.backoff_ns("now and then", 0, SECOND_NS) is None
    assert cron.backoff_ns("now and then", SECOND_NS, 0) is None
