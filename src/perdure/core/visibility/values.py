"""Reads the literals of list filters: times, durations and statuses; and splits a text into words."""

import re
import unicodedata
from fractions import Fraction

from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status

#: Go's time.Parse(RFC3339Nano).
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))"
)
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,  # the micro sign and the letter mu are both in use
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9,
}
_PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)"
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+)")
_CLOCK = re.compile(r"([+-]?\d+):([+-]?\d+):([+-]?\d+)")
_INT = re.compile(r"[+-]?\d+")
INT64_MAX = 2**63 - 1
_STATUS_PREFIX = "WORKFLOW_EXECUTION_STATUS_"
STATUS_NAMES: dict[int, str] = {
    number: "".join(part.capitalize() for part in name.removeprefix(_STATUS_PREFIX).split("_"))
    for name, number in Status.items()
}
_STATUSES = dict(Status.items()) | {name: number for number, name in STATUS_NAMES.items()}


def time_ns(text: str) -> int | None:
    """Return the time that an RFC 3339 text means, or the nearest that 64 bits can hold; None if it means none."""
    found = moment(text)
    if found is None:
        return None
    seconds, nanos = found
    return max(-INT64_MAX, min(INT64_MAX, seconds * 10**9 + nanos))


def moment(text: str) -> tuple[int, int] | None:
    """Return seconds and nanoseconds since 1970 that an RFC 3339 text means; None if it means no time."""
    match = _TIME.fullmatch(text)
    if match is None or not text.isascii():
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _DAYS_OF_MONTH[month - 1] + (month == 2 and is_leap):
        return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162
    days += _DAYS_BEFORE_MONTH[month - 1] + (month > 2 and is_leap) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if sign:
        if int(offset_hours) > 24 or int(offset_minutes) > 60:
            return None
        offset_s = int(offset_hours) * 3600 + int(offset_minutes) * 60
        seconds -= offset_s if sign == "+" else -offset_s
    return seconds, int((fraction or "")[:9].ljust(9, "0"))


def duration_ns(text: str) -> int | None:
    """Return the duration that a text means: nanoseconds, Go's "1h30m" (with days, too), or "hh:mm:ss"."""
    found = None
    if _INT.fullmatch(text):
        found = int(text)
    elif match := _DURATION.fullmatch(text):
        total = sum(
            (Fraction(number.rstrip(".")) * _UNITS_NS[unit] for number, unit in _parts(match[2])),
            Fraction(0),
        )
        found = int(-total if match[1] == "-" else total)
    elif match := _CLOCK.match(text):
        hours, minutes, seconds = (int(part) for part in match.groups())
        if hours >= 0 and 0 <= minutes <= 59 and 0 <= seconds <= 59:
            found = ((hours * 60 + minutes) * 60 + seconds) * 10**9
    return found if found is not None and abs(found) <= INT64_MAX else None


def _parts(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in re.finditer(_PART, text)]


def status(value: str | int) -> int | None:
    """Return the number of a status: "Running", its full name in the API, or the number itself."""
    if isinstance(value, str):
        return _STATUSES.get(value)
    return value if value in STATUS_NAMES else None


def words(text: str) -> str:
    """Return the words of a text, in lower case and without accents, each with a space before it and one at the end.

    A phrase is in a text if its words, so written, are a part of the text's.
    """
    letters = []
    for letter in unicodedata.normalize("NFD", text):
        category = unicodedata.category(letter)
        if category[0] in "LN" or category == "Co":
            letters.append(letter.lower())
        elif category != "Mn":
            letters.append(" ")
    found = "".join(letters).split()
    return f" {' '.join(found)} " if found else " "
