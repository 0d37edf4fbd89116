"""JSON as Go reads and writes it. Unlike with Python's `json`, numbers keep their text, and repeated names are seen."""

import json
import math
import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring as _quoted
from typing import Any

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
#: No field has a longer number.
_DIGITS_MAX = 400


_IN_GO = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair or array element",
}


class BadJson(Exception):
    """The text is not JSON, or its value does not fit the field."""


class Number(str):
    """The text of a number."""

    __slots__ = ()


class Object(list[tuple[str, Any]]):
    """The members of an object, in order; the same name may come twice."""

    __slots__ = ()


def _refuse(constant: str) -> None:
    raise BadJson(f"invalid character {constant[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=_refuse
)


def read(body: bytes) -> Any:
    """Read one value, and ignore all that follows it. Raises `BadJson`."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadJson("invalid UTF-8 in string") from error
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        return _DECODER.raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip(" \t\r\n")) or error.msg.startswith("Unterminated"):
            raise BadJson("unexpected EOF") from error
        why = _IN_GO.get(error.msg, f"in JSON: {error.msg}")
        raise BadJson(f"invalid character '{text[error.pos]}' {why}") from error
    except RecursionError as error:
        raise BadJson("exceeded max depth") from error


def as_read(value: Any) -> str:
    """Return the first characters of a value, for error texts."""
    if isinstance(value, Object):
        return "{"
    if isinstance(value, list):
        return "["
    if isinstance(value, Number):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def integer(text: str) -> int | None:
    """Return the whole number of a text: "10", "1e1" and "10.0" are the same. None if the text is not one."""
    if not _NUMBER.fullmatch(text) or len(text) > _DIGITS_MAX:
        return None
    if not set(".eE") & set(text):
        return int(text)
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**63 else None


def real(text: str) -> float | None:
    """Return the number of a text, infinite if it is too large. None if the text is not one."""
    return float(text) if _NUMBER.fullmatch(text) else None


def number(value: float) -> Number:
    """Write a float as Go does."""
    if math.isfinite(value) and value.is_integer() and abs(value) < 1e21:
        mantissa, _, exponent = repr(value).partition("e")
        if not exponent:
            return Number(mantissa.removesuffix(".0"))
        whole, _, fraction = mantissa.partition(".")
        return Number(whole + fraction.ljust(int(exponent), "0"))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return Number(mantissa)
    power = int(exponent)
    if power >= -6 and power < 0:
        sign = "-" if mantissa.startswith("-") else ""
        digits = mantissa.lstrip("-").replace(".", "")
        return Number(f"{sign}0.{'0' * (-power - 1)}{digits}")
    return Number(f"{mantissa}e{'+' if power > 0 else '-'}{abs(power):0{2 if power > 0 else 1}d}")


def write(value: Any, *, pretty: bool = False, quoted: Callable[[str], str] = _quoted) -> str:
    """Write a value of None, bool, `Number`, str, list and dict."""
    return "".join(_written(value, "\n" if pretty else "", quoted))


def encoded(text: str) -> bytes:
    """Return the bytes of a text, even if it has halves of surrogate pairs."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _written(value: Any, line: str, quoted: Callable[[str], str]) -> Iterator[str]:
    """`line` is a line break and the indentation of the value's own line; empty to write all in one line."""
    if isinstance(value, Number):
        yield value
    elif isinstance(value, str):
        yield quoted(value)
    elif value is None:
        yield "null"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, dict):
        yield from _between("{}", line, [
            [quoted(name), ": " if line else ":", *_written(member, line and line + "  ", quoted)]
            for name, member in value.items()
        ])  # fmt: skip
    else:
        yield from _between(
            "[]", line, [_written(item, line and line + "  ", quoted) for item in value]
        )


def _between(brackets: str, line: str, items: list[Any]) -> Iterator[str]:
    yield brackets[0]
    for n, item in enumerate(items):
        yield f"{',' if n else ''}{line and line + '  '}"
        yield from item
    if items:
        yield line
    yield brackets[1]
