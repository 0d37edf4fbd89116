"""Temporal's dynamic configuration: values under Temporal's own keys, read with the type that the reader needs.

As in the real server a key that nobody reads has no effect, names are compared without regard to case, and a value that
does not fit is reported once and replaced by the default: a wrong value must not stop a server. Which keys are read is
known only by those who read them; no list of keys is kept here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")

_UNITS_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


class DynamicConfig:
    """The values that are set. `default` is what the real server uses when nobody sets the key."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(_flat(values))
        self._reported: set[str] = set()

    def integer(self, key: str, default: int) -> int:
        return self._read(key, default, _integer)

    def number(self, key: str, default: float) -> float:
        return self._read(key, default, _number)

    def boolean(self, key: str, default: bool) -> bool:
        return self._read(key, default, _boolean)

    def string(self, key: str, default: str) -> str:
        return self._read(key, default, _string)

    def seconds(self, key: str, default: float) -> float:
        """Read a duration: "1m30s", or a number of seconds."""
        return self._read(key, default, _seconds)

    def strings(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return self._read(key, default, _strings)

    def _read(self, key: str, default: T, convert: Callable[[Any], T]) -> T:
        if key.lower() not in self._values:
            return default
        value = self._values[key.lower()]
        try:
            return convert(value)
        except ValueError as error:
            if key not in self._reported:
                self._reported.add(key)
                log.warning(
                    "dynamic config: value not usable, default used",
                    key=key,
                    value=value,
                    why=str(error),
                )
            return default


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A dot in an unquoted TOML key opens a table: a.b = 1 means the key "a.b" all the same."""
    for key, value in values.items():
        name = prefix + key.lower()
        yield name, value
        if isinstance(value, Mapping):
            yield from _flat(value, name + ".")


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected an integer")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("expected true or false")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("expected a list of strings")
    return tuple(value)


def _seconds(value: Any) -> float:
    if not isinstance(value, str):
        return _number(value)
    if re.fullmatch(r"\d+", value):
        return float(value)
    sign = -1.0 if value.startswith("-") else 1.0
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)", value)
    if not parts or "".join(n + unit for n, unit in parts) != value.lstrip("+-"):
        raise ValueError('expected a duration such as "1m30s", or a number of seconds')
    return sign * sum(float(n) * _UNITS_S[unit] for n, unit in parts)
