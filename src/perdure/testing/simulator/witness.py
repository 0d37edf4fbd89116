"""What clients and workers were told, and so must be true for ever."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

#: The server shows these from memory, at the end of a history, before they are durable.
_NOT_DURABLE_YET = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
)


class Server(Protocol):
    """Whatever answers calls. Raises `Rejected`; a call that the network loses is UNAVAILABLE."""

    async def call(self, request: Any, timeout_s: float = 10.0) -> Any: ...


class Witness:
    """Shared by all clients and workers of a world."""

    def __init__(self) -> None:
        #: Workflow id → run id.
        self.started: dict[str, str] = {}
        #: (workflow id, signal name or update id)
        self.signals: set[tuple[str, str]] = set()
        self.updates: set[tuple[str, str]] = set()
        self.terminated: set[str] = set()
        self.cancelled: set[str] = set()
        #: Runs that a reset was answered with.
        self.resets: set[str] = set()
        #: How often a worker got an attempt of an activity, by (run id, activity id, attempt).
        self.attempts: Counter[tuple[str, str, int]] = Counter()
        #: Run id → event id → event.
        self.shown: defaultdict[str, dict[int, bytes]] = defaultdict(dict)

    def saw_history(self, run_id: str, events: Sequence[HistoryEvent]) -> None:
        """Remember a part of a history, and compare it with what was shown before."""
        end = len(events)
        while end and events[end - 1].event_type in _NOT_DURABLE_YET:
            end -= 1
        shown = self.shown[run_id]
        for event in events[:end]:
            encoded = event.SerializeToString(deterministic=True)
            before = shown.setdefault(event.event_id, encoded)
            assert before == encoded, (
                f"{run_id}: event {event.event_id} was shown, and is another one now:\n"
                f"{HistoryEvent.FromString(before)}\n{event}"
            )

    def got_attempt(self, run_id: str, activity_id: str, attempt: int) -> None:
        self.attempts[run_id, activity_id, attempt] += 1
        assert self.attempts[run_id, activity_id, attempt] == 1, (
            f"{run_id}: attempt {attempt} of activity {activity_id} was given out twice"
        )
