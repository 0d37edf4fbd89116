"""The promises that clients and workers got from the server: they must be true for ever."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueResponse,
)

from perdure.core.times import duration_ns, timestamp_ns
from perdure.store.port import NEVER_NS

#: By how much the wall clocks of two machines may differ.
SKEW_MAX_NS = 250_000_000
#: Run id and activity id.
Place = tuple[str, str]

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
        #: The runs that one start was answered with, at first and when it was repeated.
        self.repeated_starts: list[tuple[str, str]] = []
        #: (workflow id, signal name or update id)
        self.signals: set[tuple[str, str]] = set()
        self.updates: set[tuple[str, str]] = set()
        #: (workflow id, URL of a callback)
        self.callbacks: set[tuple[str, str]] = set()
        self.terminated: set[str] = set()
        self.cancelled: set[str] = set()
        #: Runs that a reset was answered with.
        self.resets: set[str] = set()
        #: Runs of which somebody is asking that they be deleted, and of which that was acknowledged.
        self.may_go: set[str] = set()
        self.must_go: set[str] = set()
        #: Lists have a database of their own, now or later, and may be behind.
        self.lists_follow = False
        #: Somebody is asking for the end of the namespace `deletion_clients.BRIEF`.
        self.is_brief_deleted = False
        #: How often a worker got an attempt of an activity, by (run id, activity id, attempt).
        self.attempts: Counter[tuple[str, str, int]] = Counter()
        #: How often it may have been begun anew, by (run id, activity id): each time its attempts count from 1.
        self.begun_anew: Counter[Place] = Counter()
        #: When the activity, or (no activity id) the whole run, was paused for certain: from, until.
        self.held: defaultdict[Place, list[tuple[int, int]]] = defaultdict(list)
        #: The start-to-close timeout that an activity has, and since when.
        self.timeouts: dict[Place, tuple[int, int]] = {}
        #: By activity: the number of the last heartbeat that was sent, and of the last that was acknowledged.
        self.beats: dict[Place, tuple[int, int]] = {}
        #: Activities of which two workers got an attempt with one number: it was begun anew in between.
        self.shared_attempts: set[Place] = set()
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

    def got_workflow_task(self, task: PollWorkflowTaskQueueResponse) -> None:
        run_id = task.workflow_execution.run_id
        self._check_not_held((run_id, ""), timestamp_ns(task.started_time))

    def got_attempt(self, task: PollActivityTaskQueueResponse) -> None:
        run_id, activity_id = place = task.workflow_execution.run_id, task.activity_id
        self.attempts[*place, task.attempt] += 1
        assert self.attempts[*place, task.attempt] <= 1 + self.begun_anew[place], (
            f"{run_id}: attempt {task.attempt} of activity {activity_id} was given out twice"
        )
        if self.attempts[*place, task.attempt] > 1:
            self.shared_attempts.add(place)
        started_ns = timestamp_ns(task.started_time)
        self._check_not_held(place, started_ns)
        self._check_not_held((run_id, ""), started_ns)
        since_ns, timeout_ns = self.timeouts.get(place, (0, 0))
        has_ns = duration_ns(task.start_to_close_timeout)
        assert not timeout_ns or started_ns < since_ns or has_ns == timeout_ns, (
            f"{run_id}: activity {activity_id} has a timeout of {has_ns}, and not of {timeout_ns}"
        )

        self._check_beats(task)

    def next_beat(self, task: PollActivityTaskQueueResponse) -> int:
        """Return the number of the heartbeat that the worker is about to send: it grows with each."""
        place = task.workflow_execution.run_id, task.activity_id
        sent, acknowledged = self.beats.get(place, (0, 0))
        self.beats[place] = (sent + 1, acknowledged)
        return sent + 1

    def took_beat(self, task: PollActivityTaskQueueResponse, number: int) -> None:
        """The heartbeat was acknowledged."""
        place = task.workflow_execution.run_id, task.activity_id
        sent, acknowledged = self.beats[place]
        self.beats[place] = (sent, max(number, acknowledged))

    def _check_beats(self, task: PollActivityTaskQueueResponse) -> None:
        """An attempt is shown what the heartbeats of those before it said."""
        place = run_id, activity_id = task.workflow_execution.run_id, task.activity_id
        sent, acknowledged = self.beats.get(place, (0, 0))
        details = [json.loads(each.data) for each in task.heartbeat_details.payloads]
        shown = details[0] if details else 0
        # By the activity's id an attempt that was given up may still send one, and also by a token that tells it apart
        # by its number, if a later attempt has the same.
        is_alone = int(activity_id) % 2 == 0 and place not in self.shared_attempts
        least = acknowledged if is_alone else min(acknowledged, 1)
        assert least <= shown <= sent, (
            f"{run_id}: activity {activity_id} is shown heartbeat {shown}, and not {acknowledged}"
        )

    def hold(self, place: Place, now_ns: int) -> None:
        """The pause was acknowledged."""
        self.held[place].append((now_ns + SKEW_MAX_NS, NEVER_NS))

    def release(self, place: Place, now_ns: int) -> None:
        """Somebody is about to ask for the end of the pause."""
        if self.held[place]:
            since_ns, _ = self.held[place].pop()
            self.held[place].append((since_ns, now_ns - SKEW_MAX_NS))

    def changed_timeout(self, place: Place, now_ns: int, seconds: int) -> None:
        """The change was acknowledged."""
        self.timeouts[place] = (now_ns + SKEW_MAX_NS, seconds * 10**9)

    def _check_not_held(self, place: Place, started_ns: int) -> None:
        for since_ns, until_ns in self.held.get(place, ()):
            assert not since_ns < started_ns < until_ns, (
                f"{place} was paused, and {(started_ns - since_ns) / 1e9:.3f} s later begun"
            )
