"""Temporal's dynamic configuration: values under Temporal's own keys, read with the type that the reader needs.

A key that nobody reads has no effect. As in the real server names are compared without regard to case, and a value
that does not fit is reported once and replaced by the default: a wrong value must not stop a server. A value may be
bound to a namespace or a task queue; of those that hold, the one bound most narrowly counts. Which keys are read is
known only by those who read them; no list of keys is kept here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

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
_TASK_TYPES = {"workflow": 1, "activity": 2, "nexus": 3}
#: Constraints that perdure has no use for: a value with one of them never holds here.
_ELSEWHERE = ("namespaceid", "shardid", "historytasktype", "destination", "chasmtasktype")


class Constraints(NamedTuple):
    """The namespace, task queue and task type that a value holds for. All empty: it holds for everything."""

    namespace: str = ""
    task_queue: str = ""
    #: `TaskQueueType`; 0: both.
    task_type: int = 0
    #: Bound to something else besides.
    elsewhere: bool = False


NOWHERE_ELSE = Constraints()


class Constrained(NamedTuple):
    value: Any
    constraints: Constraints = NOWHERE_ELSE


#: A key, in lower case, and its values.
Values = Mapping[str, Sequence[Constrained]]


class DynamicConfig:
    """The values that are set. `default` is what the real server uses when nobody sets the key."""

    def __init__(self, values: Mapping[str, Any], over: Values | None = None) -> None:
        """`values` as a table of settings holds them; what `over` sets wins."""
        self._values: dict[str, Sequence[Constrained]] = dict(_flat(values))
        self._values.update(over or {})
        self._reported: set[str] = set()

    def integer(self, key: str, default: int, namespace: str = "") -> int:
        return self._read(key, default, _integer, _of_namespace(namespace))

    def number(self, key: str, default: float, namespace: str = "") -> float:
        return self._read(key, default, _number, _of_namespace(namespace))

    def boolean(self, key: str, default: bool, namespace: str = "") -> bool:
        return self._read(key, default, _boolean, _of_namespace(namespace))

    def string(self, key: str, default: str, namespace: str = "") -> str:
        return self._read(key, default, _string, _of_namespace(namespace))

    def seconds(self, key: str, default: float, namespace: str = "") -> float:
        """Read a duration: "1m30s", or a number of seconds."""
        return self._read(key, default, _seconds, _of_namespace(namespace))

    def strings(self, key: str, default: tuple[str, ...], namespace: str = "") -> tuple[str, ...]:
        return self._read(key, default, _strings, _of_namespace(namespace))

    def tables(self, key: str, namespace: str = "") -> tuple[Mapping[str, Any], ...]:
        """Read a list of tables; the names in them are in lower case."""
        return self._read(key, (), _tables, _of_namespace(namespace))

    def parts(self, key: str, kinds: Mapping[str, str], namespace: str = "") -> dict[str, Any]:
        """Read a table. `kinds`: name of a part in lower case → "seconds", "number" or "integer"."""

        def convert(value: Any) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise ValueError("expected a table")
            named = {str(name).lower(): each for name, each in value.items()}
            return {name: _KINDS[kinds[name]](named[name]) for name in kinds if name in named}

        return self._read(key, {}, convert, _of_namespace(namespace))

    def queue_seconds(
        self, key: str, default: float, namespace: str, task_queue: str, task_type: int
    ) -> float:
        """Read a duration that may differ from task queue to task queue."""
        return self._read(key, default, _seconds, _of_queue(namespace, task_queue, task_type))

    def queue_boolean(
        self, key: str, default: bool, namespace: str, task_queue: str, task_type: int
    ) -> bool:
        return self._read(key, default, _boolean, _of_queue(namespace, task_queue, task_type))

    def queue_integer(
        self, key: str, default: int, namespace: str, task_queue: str, task_type: int
    ) -> int:
        return self._read(key, default, _integer, _of_queue(namespace, task_queue, task_type))

    def keys_but(self, known: frozenset[str]) -> list[str]:
        """Return the keys that are set, in lower case, but for those that are known or part of such a one."""
        return [
            key
            for key, values in self._values.items()
            if not any(f"{key}.".startswith(f"{each}.") for each in known)
            and not any(isinstance(each.value, Mapping) and self._has_parts(key) for each in values)
        ]

    def _has_parts(self, key: str) -> bool:
        return any(other.startswith(f"{key}.") for other in self._values)

    def is_set(self, key: str) -> bool:
        return key.lower() in self._values

    def _read(
        self, key: str, default: T, convert: Callable[[Any], T], places: Iterable[Constraints]
    ) -> T:
        values = self._values.get(key.lower())
        if values is None:
            return default
        by_place = {each.constraints: each.value for each in reversed(values)}
        value = next((by_place[place] for place in places if place in by_place), _ABSENT)
        if value is _ABSENT:
            return default
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


_ABSENT: Any = object()


def _of_namespace(namespace: str) -> tuple[Constraints, ...]:
    return (Constraints(namespace), NOWHERE_ELSE) if namespace else (NOWHERE_ELSE,)


def _of_queue(namespace: str, task_queue: str, task_type: int) -> tuple[Constraints, ...]:
    # Temporal: the name of a queue counts for more than that of a namespace.
    return (
        Constraints(namespace, task_queue, task_type),
        Constraints(namespace, task_queue),
        Constraints(task_queue=task_queue),
        Constraints(namespace),
        NOWHERE_ELSE,
    )


def constrained(values: Any) -> list[Constrained]:
    """Read the values of a key in the real server's form: a list of `value` and `constraints`. Raises `ValueError`."""
    if not isinstance(values, list):
        raise ValueError("expected a list of values, each with `value` and `constraints`")
    found = []
    for each in values:
        if not isinstance(each, Mapping):
            raise ValueError("expected `value` and `constraints`")
        named = {str(name).lower(): part for name, part in each.items()}
        found.append(Constrained(named.get("value"), _constraints(named.get("constraints") or {})))
    return found


def _constraints(wanted: Any) -> Constraints:
    if not isinstance(wanted, Mapping):
        raise ValueError("constraints: expected a table")
    read = NOWHERE_ELSE
    for name, value in wanted.items():
        match str(name).lower():
            case "namespace":
                read = read._replace(namespace=_text(name, value))
            case "taskqueuename":
                read = read._replace(task_queue=_text(name, value))
            case "tasktype":
                read = read._replace(task_type=_task_type(value))
            case other if other in _ELSEWHERE:
                read = read._replace(elsewhere=True)
            case _:
                raise ValueError(f"unknown constraint: {name}")
    return read


def _text(name: object, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"constraint {name}: expected a string")
    return value


def _task_type(value: Any) -> int:
    number = _TASK_TYPES.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(number, int) or number not in _TASK_TYPES.values():
        raise ValueError("constraint taskType: expected Workflow or Activity")
    return number


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[Constrained]]]:
    """A dot in an unquoted TOML key opens a table: a.b = 1 means the key "a.b" all the same."""
    for key, value in values.items():
        name = prefix + key.lower()
        yield name, [Constrained(value)]
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


def _tables(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("expected a list of tables")
    return tuple({str(name).lower(): part for name, part in each.items()} for each in value)


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


_KINDS: Mapping[str, Callable[[Any], float]] = {
    "seconds": _seconds,
    "number": _number,
    "integer": _integer,
}
