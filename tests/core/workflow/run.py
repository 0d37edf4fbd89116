"""Drive one run as a script: ask, let time pass, read what history says. No store, no loop, no clock of its own.

`OneRun` does what the shell does with an outcome, on plain lists: it keeps journal rows as bytes, timers, and effects.
After every step it checks what must hold between any two (`promises.py`), so that every script is also a test of that.
The scripts say what the real server does in each case; this module does not know.
"""

import copy
import heapq
import itertools
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType, IndexedValueType, QueryRejectCondition
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
)

from perdure.core.errors import Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import (
    Effect,
    NewRun,
    Outcome,
    Timer,
)
from perdure.core.limits import Limits
from perdure.core.times import SECOND_NS
from perdure.core.visibility.attributes import CustomAttribute
from perdure.core.workflow.activities.attempts import (
    ActivityRef,
    ActivityTask,
    CancelActivity,
    CompleteActivity,
    FailActivity,
    StartActivity,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.completion import CompleteWorkflowTask, TaskCompleted
from perdure.core.workflow.description import describe
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.reset import Rebuild
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from perdure.core.workflow.machine import fold, pending_effects, pending_timers, transition
from perdure.core.workflow.queries import Query
from perdure.core.workflow.records import Record, decode_row, decode_state, encode_state
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.fail import FailWorkflowTask
from perdure.core.workflow.tasks.schedule import TaskRef
from perdure.core.workflow.tasks.start import StartWorkflowTask, TaskStarted, unrecorded
from perdure.core.workflow.visibility_fields import visibility
from perdure.runtime.visibility import visibility_row
from perdure.store.port import VisibilityRow
from tests.build.requests import start_request
from tests.core.workflow.life_cycle_watch import watched
from tests.core.workflow.promises import Journal, check_between_steps, memory_of

#: When every script begins.
T0_NS = 1_700_000_000 * SECOND_NS


class OneRun:
    """One run of workflow "w": begun by `started`, or a start request of these fields (in the JSON form of the API)."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        started: Start | Rebuild | None = None,
        begins_ns: int = T0_NS,
        fresh_id: Callable[[], str] | None = None,
        **fields: Any,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        ids = itertools.count(1)
        self.environment = Environment(
            self.limits,
            fresh_id or (lambda: f"id-{next(ids)}"),
            lambda _: {"Color": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
            lambda _: 24 * 3600 * SECOND_NS,
        )
        self.now_ns = begins_ns
        self.run = Run()
        self.journal = Journal()
        #: Asked for and not fired yet.
        self.timers: list[Timer] = []
        #: Everything that was sent, in order; `crash` forgets it as a restart does.
        self.effects: list[Effect] = []
        self.new_run: NewRun | None = None
        #: The last task that was started.
        self.task: TaskStarted | None = None
        self._nonces = itertools.count(1)
        self._read_until = 0
        self.ask(started if started is not None else self._start(fields))

    def _start(self, fields: dict[str, Any]) -> Start:
        wanted = {"request_id": "start-id", "identity": "client"} | fields
        request = start_request(**wanted)
        attributes = started_attributes(request, "run-1", now_ns=self.now_ns, limits=self.limits)
        return Start("ns-id", "ns", "w", "run-1", attributes, request.request_id)

    # The shell

    @property
    def state(self) -> RunState:
        return self.run.state

    def ask(self, request: object) -> Any:
        """Return the reply. Raise `Rejected`, also where the refusal itself is recorded."""
        state, memory = encode_state(self.state), memory_of(self.run)
        listed = _listed(self.state)
        try:
            with watched(self.run, request):
                outcome = transition(
                    self.run, request, now_ns=self.now_ns, environment=self.environment
                )
        except Rejected:
            assert encode_state(self.state) == state, "a refused request changed the state"
            assert memory_of(self.run) == memory, "a refused request changed what is in flight"
            raise
        self._keep(outcome)
        # A row is written when a run begins or closes, and when the outcome says that it shows something new.
        if self.state.is_open and len(self.journal.rows) > 1:
            assert outcome.shows or listed == _listed(self.state), "lists would not hear of it"
        check_between_steps(self.run, self.journal, self.timers, self.effects, self.now_ns)
        if isinstance(outcome.reply, Rejected):
            raise outcome.reply
        return outcome.reply

    def _keep(self, outcome: Outcome) -> None:
        assert outcome.first_event_id == len(self.journal.events) + 1
        if outcome.is_recorded:
            self.journal.append(outcome.events, outcome.internal)
        for timer in outcome.timers:
            heapq.heappush(self.timers, timer)
        self.effects += outcome.effects
        if outcome.new_run is not None:
            self.new_run = outcome.new_run

    def refused(self, request: object) -> str:
        """Ask for what must be refused; return "CODE: message"."""
        try:
            reply = self.ask(request)
        except Rejected as error:
            return f"{error.code.name}: {error.message}"
        raise AssertionError(f"not refused: {request} was answered with {reply}")

    def wait(self, seconds: float) -> None:
        """Let time pass: every timer fires when it is due."""
        until_ns = self.now_ns + round(seconds * SECOND_NS)
        while self.timers and self.timers[0].fire_at_ns <= until_ns:
            timer = heapq.heappop(self.timers)
            self.now_ns = max(self.now_ns, timer.fire_at_ns)
            self.ask(timer)
        self.now_ns = until_ns

    def crash(self) -> None:
        """Lose what is in memory and begin again from what is stored, as another node would."""
        state = decode_state(encode_state(fold(RunState(), self.journal.rows)))
        self.run = Run(state)
        self.timers = sorted(pending_timers(self.run, self.now_ns))
        self.effects = list(pending_effects(self.run, self.now_ns))
        check_between_steps(self.run, self.journal, self.timers, self.effects, self.now_ns)

    def fork(self) -> "OneRun":
        """Return this script as it is now, to go on in another way. No worker may hold the workflow task."""
        assert self.run.in_flight.started is None
        other = copy.copy(self)
        other.run = Run(decode_state(encode_state(self.state)))
        other.journal = self.journal.fork()
        other.timers, other.effects = list(self.timers), list(self.effects)
        return other

    # Clients

    def signal(self, name: str = "s", request_id: str = "") -> None:
        self.ask(Signal(name, None, "client", request_id))

    def request_cancel(self) -> None:
        self.ask(RequestCancel("why", "client", "cancel-id"))

    def terminate(self) -> None:
        self.ask(Terminate("why", None, "client"))

    def query(self, query_id: str = "1", reject: int = 0) -> Any:
        condition = QueryRejectCondition.ValueType(reject)
        return self.ask(Query(query_id, WorkflowQuery(query_type="state"), condition))

    def described(self) -> DescribeWorkflowExecutionResponse:
        return describe(self.run, self.now_ns, self.environment)

    def pending_activity(self) -> PendingActivityInfo:
        """Return how the only pending activity is described."""
        [activity] = self.described().pending_activities
        return activity

    # Workers that do workflow tasks

    def take(self, queue: str = "q") -> TaskStarted:
        """Poll the workflow task."""
        task = self.run.pending_task
        assert task is not None, "no workflow task is scheduled"
        request = StartWorkflowTask(
            task.scheduled_event_id, task.attempt, "worker", "poll-id", next(self._nonces), queue
        )
        self.task = self.ask(request)
        assert self.task is not None
        return self.task

    def completion(
        self, *commands: Command, ref: TaskRef | None = None, **fields: Any
    ) -> CompleteWorkflowTask:
        """Build the request to complete the task that was handed out last, or the one that `ref` names."""
        event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
        event.workflow_task_completed_event_attributes.identity = "worker"
        if ref is None:
            assert self.task is not None, "no task was handed out"
            ref = self.task.ref
        return CompleteWorkflowTask(ref, event, commands, fields.pop("query_results", {}), **fields)

    def complete(self, *commands: Command, **fields: Any) -> TaskCompleted:
        reply = self.ask(self.completion(*commands, **fields))
        assert isinstance(reply, TaskCompleted)
        if reply.new_task is not None:
            self.task = reply.new_task
        return reply

    def work(self, *commands: Command, **fields: Any) -> TaskCompleted:
        """Take the workflow task and complete it."""
        self.take()
        return self.complete(*commands, **fields)

    def fail_task(self, cause: int = 0) -> None:
        assert self.task is not None
        self.ask(FailWorkflowTask(self.task.ref, cause, Failure(message="oh"), "worker"))  # type: ignore[arg-type]

    # Workers that do activities

    def activity(self, activity_id: str = "a") -> ActivityRef:
        """Return the token of the attempt that is pending now."""
        pending = self.state.activities[self.state.activity_ids[activity_id]]
        return ActivityRef(pending.scheduled_event_id, pending.attempt)

    def take_activity(self, activity_id: str = "a") -> ActivityTask:
        ref = self.activity(activity_id)
        reply = self.ask(StartActivity(ref.scheduled_event_id, ref.attempt, "worker", "poll-id"))
        assert isinstance(reply, ActivityTask)
        return reply

    def complete_activity(self, activity_id: str = "a") -> None:
        self.ask(CompleteActivity(self.activity(activity_id), None, "worker"))

    def fail_activity(self, failure: Failure, activity_id: str = "a") -> None:
        self.ask(FailActivity(self.activity(activity_id), failure, "worker"))

    def cancel_activity(self, activity_id: str = "a") -> None:
        self.ask(CancelActivity(self.activity(activity_id), None, "worker"))

    def heartbeat(self, details: Payloads | None = None, activity_id: str = "a") -> bool:
        """Return whether the activity is asked to stop."""
        reply = self.ask(HeartbeatActivity(self.activity(activity_id), details, "worker"))
        return bool(reply.cancel_requested)

    # Reading

    def history(self) -> str:
        """Return all events that are shown, also those of the task in flight."""
        return shown([*self.journal.events, *unrecorded(self.run)])

    def news(self) -> str:
        """Return the events that were recorded since this was last asked."""
        since, self._read_until = self._read_until, len(self.journal.events)
        return shown(self.journal.events[since:])

    def event(self, event_id: int) -> Any:
        """Return the attributes of a recorded event."""
        event = self.journal.events[event_id - 1]
        return getattr(event, event.WhichOneof("attributes") or "")

    def last(self, name: str) -> Any:
        """Return the attributes of the last recorded event called `name`."""
        event_id = next(e.event_id for e in reversed(self.journal.events) if name_of(e) == name)
        return self.event(event_id)

    def records(self) -> list[Record]:
        """Return the records of the last journal row."""
        return list(decode_row(*self.journal.rows[-1]))

    def dispatched(self, kind: type[Effect]) -> list[Any]:
        """Return the effects of one kind that were sent so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def at(self) -> float:
        """Return the seconds since the script began."""
        return (self.now_ns - T0_NS) / SECOND_NS


def name_of(event: HistoryEvent) -> str:
    """Return "TimerFired" for an event of the type EVENT_TYPE_TIMER_FIRED."""
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def shown(events: list[HistoryEvent]) -> str:
    return " ".join(f"{event.event_id} {name_of(event)}" for event in events)


def loosely(text: str) -> str:
    """Return `text` with every run of white space as one space: expected histories may be wrapped."""
    return re.sub(r"\s+", " ", text).strip()


def seconds(span: Duration | Timestamp) -> float:
    """Return a duration, or a time since the script began, in seconds."""
    nanoseconds = span.seconds * SECOND_NS + span.nanos
    return (nanoseconds - (T0_NS if nanoseconds >= T0_NS else 0)) / SECOND_NS


def _listed(state: RunState) -> VisibilityRow:
    environment = Environment(Limits(), lambda: "")
    custom = {"Color": CustomAttribute("Keyword01")}
    return visibility_row(0, visibility(state, environment), lambda namespace_id: custom)
