"""Configures the log: one event with keys a line, on standard error.

Every module that logs has `log = structlog.get_logger(__name__)` and passes facts as keys; those of a workflow are
always `namespace`, `workflow_id` and `run_id`. Lines of libraries, from the standard library's
`logging`, have the same form. Configure once, before anything is logged; `perdure.core` does not log at all.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import msgspec
import structlog

from perdure.settings import LogFormat, LogLevel

LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "never": logging.CRITICAL,
}
_FIRST_KEYS: Final = ("time", "level", "msg")


def configure(form: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send everything from `level` up to `stream` (standard error if None), one line each."""
    stream = stream or sys.stderr
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.EventRenamer("msg"),
    ]
    if form == "pretty":
        colors = stream.isatty()
        processors += [
            structlog.dev.ConsoleRenderer(
                colors=colors,
                event_key="msg",
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
                pad_event_to=0,
            )
        ]
    else:
        processors += [structlog.processors.format_exc_info, _json if form == "json" else _logfmt]
    if level == "never":
        processors.insert(0, _drop)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLogging()]
    root.setLevel(LEVELS[level])


class _FromLogging(logging.Handler):
    """Passes on what libraries log (asyncio's unretrieved exceptions, above all)."""

    def emit(self, record: logging.LogRecord) -> None:
        # `logging.raiseExceptions` stays the judge of failures in here, as for every handler.
        try:
            level = max(record.levelno // 10 * 10, logging.DEBUG)
            log = structlog.get_logger(record.name)
            log.log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def _name_level(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["level"] = {"warning": "WARN", "exception": "ERROR"}.get(method, method.upper())
    return event


def _drop(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    raise structlog.DropEvent


def _in_order(event: MutableMapping[str, Any]) -> dict[str, Any]:
    first = {key: event.pop(key) for key in _FIRST_KEYS if key in event}
    return {**first, **{key: value for key, value in event.items() if value is not None}}


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(_in_order(event), enc_hook=repr).decode()


def _logfmt(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in _in_order(event).items())


def _quoted(value: Any) -> str:
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else str(value)
    assert text is not None
    if text and text.isprintable() and not set(text) & set(' "='):
        return text
    return msgspec.json.encode(text).decode()
