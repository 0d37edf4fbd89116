"""Take out of a transcript what differs from run to run, and nothing else.

Ids that a server made up are named after the place where they were first seen, so that a wrong id is still noticed. A
masked value keeps its place: a field that one server sets and the other does not is a difference.
"""

import base64
import binascii
import re
from typing import Any

from tests.differential.transcript import Step

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
#: Go's zero time, which the real server uses for "none" in a few places: not a time that differs.
_ZERO_TIME = "0001-01-01T00:00:00Z"
#: A script's own server.
_PORT = re.compile(r"127\.0\.0\.1:\d{4,}")
_SPACES = re.compile(r"  +|\u00a0")

#: Fields whose value is a server's own business: opaque tokens, sizes of its own encoding, how it batches its writes.
_OPAQUE = frozenset(
    {
        "task_token",
        "next_page_token",
        "history_size_bytes",
        "state_transition_count",
        "execution_duration",
        "approximate_backlog_age",
        "tasks_add_rate",
        "tasks_dispatch_rate",
        "task_id",
        "task_id_block",
        "read_level",
        "ack_level",
    }
)
#: Bytes that hold text in the scripts: read, so that the ids in them are seen.
_BYTES = frozenset({"data", "encoding", "type"})
#: Fields that are left out, set or not. The hint is a guess; how many pollers there should be depends on how long a
#: script took.
_IGNORED = frozenset({"poller_scaling_decision", "backlog_count_hint"})


#: The default timeout of a workflow task, and at least four of the five seconds that a late attempt gets on top.
_FIRST_BACKED_OFF_S = 14


class Normaliser:
    """For one transcript: an id means the same thing in all of its steps."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._names: dict[str, str] = {}
        self._place = ""

    def steps(self, steps: list[Step]) -> list[Step]:
        normal = []
        for step in steps:
            self._place = step.label
            normal.append(Step(step.label, self._value(step.outcome, "", "")))
        return normal

    def _value(self, value: Any, key: str, path: str) -> Any:
        if isinstance(value, dict):
            return self._mapping(value, path)
        if isinstance(value, list):
            if key == "pending_activities":
                # Temporal: they come out of a map, in any order.
                value = sorted(value, key=lambda pending: str(pending["activity_id"]))
            if key == "pending_children":
                value = sorted(value, key=lambda pending: int(pending.get("initiated_id", 0)))
            if key == "callbacks":
                # Likewise.
                value = sorted(value, key=lambda info: str(info["callback"]))
            if key == "completion_callbacks":
                # Likewise, where a run hands them on to the next one.
                value = sorted(value, key=str)
            return [self._value(item, key, f"{path}[{n}]") for n, item in enumerate(value)]
        if key in _OPAQUE:
            return f"<{key}>"
        if isinstance(value, str):
            return self._text(_decoded(value) if key in _BYTES else value, path)
        return value

    def _mapping(self, mapping: dict[str, Any], path: str) -> dict[str, Any]:
        mapping = _without_jitter(mapping)
        items = list(mapping.items())
        if any(_UUID.fullmatch(key) for key in mapping):
            # Ids as keys: a stable order first, because the names are given in order of appearance.
            items.sort(key=lambda item: (item[0] not in self._names, _blank(str(item[1]))))
        return {
            self._text(key, f"{path}.key"): self._value(value, key, f"{path}.{key}")
            for key, value in items
            if key not in _IGNORED
        }

    def _text(self, text: str, path: str) -> str:
        text = text.replace(f"-{self._nonce}", "")
        if _TIME.fullmatch(text):
            return text if text == _ZERO_TIME else "<time>"
        # Temporal: Go prints messages inside of an error with one or two spaces, at random.
        text = _PORT.sub("127.0.0.1:<port>", _SPACES.sub(" ", text))
        return _UUID.sub(lambda found: self._name(found.group(), path), text)

    def _name(self, uuid: str, path: str) -> str:
        name = self._names.get(uuid)
        if name is None:
            name = f"<id {self._place}{path}>"
            self._names[uuid] = name
        return name


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text


def _blank(text: str) -> str:
    return _TIME.sub("<time>", _UUID.sub("<id>", text))


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _without_jitter(mapping: dict[str, Any]) -> dict[str, Any]:
    """Mask the durations that depend on chance or on when the call was made."""
    masked = dict(mapping)
    # Temporal: after a few attempts a workflow task gets more time, with a random part.
    timeout = masked.get("start_to_close_timeout", "")
    if timeout and "attempt" in masked and _seconds(timeout) >= _FIRST_BACKED_OFF_S:
        masked["start_to_close_timeout"] = "<jittered>"
    # Temporal: a new run waits for what is left of the shortest time between two runs.
    backoff = masked.get("first_workflow_task_backoff", "")
    if "." in backoff:
        masked["first_workflow_task_backoff"] = "<part of a second>"
    # Temporal: measured between two readings of the clock, so a few microseconds too long.
    interval = masked.get("current_retry_interval", "")
    if interval:
        masked["current_retry_interval"] = f"{_seconds(interval):.2f}s"
    return masked
