"""Take out of a command's output what differs from run to run, and nothing else; what is masked keeps its place."""

import json
import re
import uuid
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: A length of time as Go writes it; it may happen to be a round number of seconds.
_SPAN = r"(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:s|ms|µs|ns)"
_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"(an? |\d+ )?(now|second|minute|hour|day)s?( ago| from now)"), "<lately>"),
    (re.compile(r"(127\.0\.0\.1|localhost|\[::1?\]):\d+"), "<address>"),
    (re.compile(rf"\({_SPAN}\)"), "(<duration>)"),
    (re.compile(rf"(RunTime\s+){_SPAN}$"), r"\1<duration>"),
    (re.compile(r"\b\d+\.\d+(s|ms|µs)\b|\b\d+(ms|µs)\b"), "<duration>"),
    (re.compile(r"(HistorySize|StateTransitionCount)(\s+)\d+"), r"\1\2<number>"),
    (re.compile(r"^time=\S+ "), "time=<time> "),
    (re.compile(r"\bworker-[0-9a-f]{32}\b"), "<sticky queue>"),
    (re.compile(r"(historySizeBytes: )\d+"), r"\1<number>"),
    (re.compile(r"(coreUsedFlags\[\d+\]: )\d+"), r"\1<flag>"),
    (re.compile(r'"taskId": ?"\d+",'), ""),
    (re.compile(r'"durationMillis": \d+'), '"durationMillis": <number>'),
    (re.compile(r"workerVersion\.buildId: [0-9a-f]{32}"), "workerVersion.buildId: <build>"),
    (re.compile(r'"build_id": "[0-9a-f]{32}"'), '"build_id": "<build>"'),
    (re.compile(r"(?s)Stack for .*"), "Stack for <the worker's business>"),
    (re.compile(r"^\s*((?:UNVERSIONED|one)\s+\w+\s+\d+)\s+\S*\d.*$"), r"\1 <age and rates>"),
    (re.compile(r"allowed values are: .*"), "allowed values are: <in any order>"),
)
#: A task that is handed out with the answer to the one before has no id of its own: which one that is, is chance.
_HANDED_OUT = "request-from-RespondWorkflowTaskCompleted"
#: Tables whose rows are those of a map.
_IN_ANY_ORDER = ("BuildID ", "workerVersion.buildId: ")
_BLANKS = re.compile(r"[ \t]+")
#: Fields whose value is a server's own business.
_OPAQUE = frozenset(
    {
        "historySizeBytes",
        "stateTransitionCount",
        "tasksAddRate",
        "tasksDispatchRate",
        "approximateBacklogAge",
        "backlogIncreaseRate",
        "executionDuration",
        "durationMillis",
        "currentRetryInterval",
        "seconds",
        "nanos",
    }
)
_IGNORED = frozenset({"taskId"})


class Normaliser:
    """For one transcript. Ids are numbered anew in each command, so that one that is missing does not shift all others."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._names: dict[str, str] = {}

    def lines(self, form: str, output: str) -> list[str]:
        self._names.clear()
        if form != "text":
            documents = _documents(output)
            if documents is not None:
                shown = [json.dumps(self._value(each), indent=1) for each in documents]
                return [line for text in shown for line in text.splitlines()]
        lines = [_BLANKS.sub(" ", self._text(line)).strip() for line in output.splitlines()]
        if any(line.startswith(_IN_ANY_ORDER) for line in lines):
            lines.sort()
        return [line for line in lines if line and not line.startswith("taskId: ")]

    def _value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                self._text(name): self._value(each, name)
                for name, each in sorted(value.items())
                if name not in _IGNORED
            }
        if isinstance(value, list) and any(
            "taskQueueType" in each for each in value if isinstance(each, dict)
        ):
            return sorted((self._value(each) for each in value), key=json.dumps)
        if isinstance(value, list):
            # Members of a set come in any order.
            return [
                self._value(each) for each in (sorted(value) if key == "coreUsedFlags" else value)
            ]
        if key in _OPAQUE:
            return f"<{key}>"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = text.replace(f"-{self._nonce}", "")
        for pattern, mask in _MASKS:
            text = pattern.sub(mask, text)
        text = text.replace(_HANDED_OUT, str(uuid.uuid4()))
        return _UUID.sub(lambda found: self._name(found.group()), text)

    def _name(self, found: str) -> str:
        return self._names.setdefault(found, f"<id {len(self._names) + 1}>")


def _documents(output: str) -> list[Any] | None:
    """Return the JSON values that the output consists of; None if it is no JSON."""
    decoder, documents, rest = json.JSONDecoder(), [], output.strip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            return None
        documents.append(document)
        rest = rest[end:].lstrip()
    return documents
