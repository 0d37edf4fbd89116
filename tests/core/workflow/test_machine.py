"""Whatever is asked, in any order and at any time, a run keeps its promises.

`OneRun.ask` checks after every step what must hold between steps (`promises.py`), and that a refusal changed nothing.
Here hypothesis decides what is asked; added is what needs the memory of a whole life: nobody who was told to wait is
forgotten, no signal is lost or shown twice, and a closed run stays as it is.
"""

import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from temporalio.api.common.v1 import Callback, WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Acceptance, Rejection, Request, Response

from perdure.core.errors import Rejected
from perdure.core.execution.outcome import Timer
from perdure.core.times import SECOND_NS
from perdure.core.workflow.activities.attempts import (
    ActivityRef,
    CancelActivity,
    CompleteActivity,
    FailActivity,
    StartActivity,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.callbacks import RecordAttempt
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.children import (
    AcknowledgeChildReleased,
    AcknowledgeParentNotified,
    RecordChildClosed,
    RecordChildNotStarted,
    RecordChildStarted,
)
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.effects import (
    AnswerQuery,
    AnswerUpdate,
    DispatchQuery,
    InvokeCallback,
)
from perdure.core.workflow.external_workflows import RecordExternalSignaled
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.options_update import AttachRequest
from perdure.core.workflow.pending import PendingChild
from perdure.core.workflow.queries import AbandonQuery, Query
from perdure.core.workflow.returning import ReturnActivity, ReturnWorkflowTask
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.state import Parent
from perdure.core.workflow.tasks.fail import FailWorkflowTask
from perdure.core.workflow.tasks.schedule import ResetSticky, TaskRef
from perdure.core.workflow.tasks.start import StartWorkflowTask
from perdure.core.workflow.updates import COMPLETED, AdmitUpdate
from tests.build.commands import (
    payloads,
)
from tests.build.updates import update_messages
from tests.core.workflow.at_random import some_commands, some_failure
from tests.core.workflow.run import OneRun

SEEDS = st.integers(0, 2**32 - 1)
CALLBACK = Callback(nexus=Callback.Nexus(url="http://attached/"))
STARTS: list[dict[str, Any]] = [
    {},
    {},
    {"workflow_run_timeout": "40s"},
    {"workflow_execution_timeout": "60s", "workflow_task_timeout": "3s"},
    {"workflow_start_delay": "5s"},
    {"completion_callbacks": [{"nexus": {"url": "http://a/b"}}, {"nexus": {"url": "http://c"}}]},
]
NO_CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED
CHILD_CAUSE = StartChildWorkflowExecutionFailedCause.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
SIGNAL_CAUSES = list(SignalExternalWorkflowExecutionFailedCause.values())[:2]
#: Questions of others, and what only an acknowledgement changes: all that a closed run may still take note of.
AFTER_THE_END = (AcknowledgeParentNotified, AcknowledgeChildReleased, RecordAttempt)


class OneLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.refs: list[TaskRef] = []
        self.count = 0
        #: Names of the signals that were taken, in order, and of requests that were answered.
        self.signals: list[str] = []
        self.signal_ids: set[str] = set()
        #: Ids of queries and updates whose callers wait.
        self.queries: set[str] = set()
        self.updates: set[str] = set()
        self.heard = 0
        #: Timers that have fired: they may come again, and later than they were asked for.
        self.fired: list[Timer] = []

    @initialize(fields=st.sampled_from(STARTS), is_child=st.booleans())
    def begin(self, fields: dict[str, Any], is_child: bool) -> None:
        self.run = OneRun(**fields)
        if is_child:
            attributes = self.run.event(1)
            parent = WorkflowExecution(workflow_id="p", run_id="p-1")
            attributes.parent_workflow_execution.CopyFrom(parent)
            attributes.parent_initiated_event_id = 5
            self.run = OneRun(started=Start("ns-id", "ns", "w", "run-1", attributes, "start-id"))
            assert self.run.state.parent == Parent("p", "p-1", 5)

    def ask(self, request: object) -> Any:
        """Return the reply; None for a refusal."""
        was_open, rows = self.run.state.is_open, len(self.run.journal.rows)
        reply = None
        with contextlib.suppress(Rejected):
            reply = self.run.ask(request)
        if not was_open and not isinstance(request, AFTER_THE_END):
            assert len(self.run.journal.rows) == rows, "a closed run changed"
        self._listen()
        return reply

    def _listen(self) -> None:
        """Let the callers hear what was sent since."""
        for effect in self.run.effects[self.heard :]:
            if isinstance(effect, DispatchQuery | AnswerQuery):
                assert effect.query_id in self.queries, "answered twice, or never asked"
                self.queries.discard(effect.query_id)
            elif isinstance(effect, AnswerUpdate) and (effect.refusal or effect.stage == COMPLETED):
                self.updates.discard(effect.update_id)
        self.heard = len(self.run.effects)

    def fresh(self) -> str:
        self.count += 1
        return f"n{self.count}"

    # Clients

    @rule(request_id=st.sampled_from(["", "", "r1", "r2"]))
    def signal(self, request_id: str) -> None:
        name, before = self.fresh(), self.run.state.signal_count
        self.ask(Signal(name, None, "client", request_id))
        if self.run.state.signal_count > before:
            assert request_id not in self.signal_ids, "one request became two signals"
            self.signals.append(name)
            self.signal_ids |= {request_id} - {""}

    @rule()
    def request_cancel(self) -> None:
        self.ask(RequestCancel("why", "client", "id"))

    @rule(is_sure=st.sampled_from([False] * 19 + [True]))
    def terminate(self, is_sure: bool) -> None:
        self.ask(Terminate("why", None, "client", "" if is_sure else "other"))

    @rule()
    def query(self) -> None:
        query_id = self.fresh()
        self.queries.add(query_id)
        request = Query(query_id, WorkflowQuery(query_type="q"), 0)  # type: ignore[arg-type]
        sent = len(self.run.effects)
        self.ask(request)
        if len(self.run.effects) == sent and query_id not in self.run.run.in_flight.queries:
            self.queries.discard(query_id)  # It was refused.

    @rule(update_id=st.sampled_from(["u1", "u2", "u3"]))
    def update(self, update_id: str) -> None:
        if self.ask(AdmitUpdate(update_id, Request().SerializeToString())) is not None:
            known = self.run.state.updates.get(update_id)
            if known is None or (self.run.state.is_open and not known.completed_event_id):
                self.updates.add(update_id)

    # Workflow workers

    def has_task(self) -> bool:
        return self.run.run.pending_task is not None

    def holds_task(self) -> bool:
        return self.run.run.in_flight.started is not None

    @precondition(has_task)
    @rule()
    def take_task(self) -> None:
        task = self.run.run.pending_task
        assert task is not None
        self.count += 1
        polled = StartWorkflowTask(
            task.scheduled_event_id, task.attempt, "worker", "poll-id", self.count, "s"
        )
        reply = self.ask(polled)
        if reply is not None:
            self.refs.append(reply.ref)

    @precondition(lambda self: len(self.refs) > 1)
    @rule(fails=st.booleans(), event_id=st.integers(1, 30))
    def come_late(self, fails: bool, event_id: int) -> None:
        """Answer with a token from before, and poll for what never was: nothing may come of it."""
        rows, stale = len(self.run.journal.rows), self.refs[-2]
        event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
        if fails:
            self.ask(FailWorkflowTask(stale, NO_CAUSE, None, "late"))
        else:
            self.ask(CompleteWorkflowTask(stale, event, [], {}))
        self.ask(StartWorkflowTask(stale.scheduled_event_id, 99, "late", "poll-id", 0, "q"))
        self.ask(StartActivity(event_id, 99, "late", "poll-id"))
        assert len(self.run.journal.rows) == rows

    @precondition(has_task)
    @rule(seed=SEEDS)
    def work(self, seed: int) -> None:
        """Complete the task; take it before if nobody holds it."""
        rnd = Random(seed)
        if not self.holds_task():
            self.take_task()
        self.count += 1
        event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
        event.workflow_task_completed_event_attributes.identity = "worker"
        started = self.run.run.in_flight.started
        asked = sorted(started.queries) if started is not None else []
        is_sticky = rnd.random() < 0.5
        reply = self.ask(
            CompleteWorkflowTask(
                ref=self.refs[-1],
                event=event,
                commands=some_commands(rnd, self.run.state),
                query_results={query_id: b"result" for query_id in asked if rnd.random() < 0.7},
                sticky_queue="s" if is_sticky else "",
                sticky_schedule_to_start_ns=5 * SECOND_NS if is_sticky else 0,
                force_new_task=rnd.random() < 0.2,
                return_new_task_nonce=self.count if rnd.random() < 0.4 else 0,
                messages=list(self._some_messages(rnd)),
                can_see_again=is_sticky,
            )
        )
        if reply is not None and reply.new_task is not None:
            self.refs.append(reply.new_task.ref)

    def _some_messages(self, rnd: Random) -> Iterator[Message]:
        """Say something of updates: what makes sense, as a rule."""
        for update_id in ("u1", "u2", "u3"):
            accepted = self.run.state.updates.get(update_id)
            is_new = update_id in self.run.run.in_flight.updates
            makes_sense = is_new or (accepted is not None and not accepted.completed_event_id)
            if rnd.random() > (0.7 if makes_sense else 0.01):
                continue
            bodies: list[Acceptance | Rejection | Response] = [Response()]
            bodies[0].outcome.success.SetInParent()  # type: ignore[union-attr]
            if is_new:
                acceptance = Acceptance(accepted_request_message_id=f"{update_id}/request")
                bodies = rnd.choice([[Rejection()], [acceptance], [acceptance, *bodies]])
            yield from update_messages(update_id, *bodies)

    @precondition(holds_task)
    @rule()
    def lose_worker(self) -> None:
        """The worker that was given the task last is gone."""
        self.ask(ReturnWorkflowTask(self.refs[-1].nonce))

    @precondition(holds_task)
    @rule()
    def fail_task(self) -> None:
        self.ask(FailWorkflowTask(self.refs[-1], NO_CAUSE, None, "worker"))

    # Activity workers

    @precondition(lambda self: self.run.state.activities)
    @rule(seed=SEEDS)
    def do_activity(self, seed: int) -> None:
        """Answer for an activity, or say nothing; take it before, as a rule."""
        rnd = Random(seed)
        activity = rnd.choice(list(self.run.state.activities.values()))
        event_id = activity.scheduled_event_id
        attempt = activity.attempt - (rnd.random() < 0.1)
        if activity.scheduled_at_ns <= self.run.now_ns and rnd.random() < 0.8:
            self.ask(StartActivity(event_id, attempt, "worker", rnd.choice(["p1", "p1", "p2"])))
        by_id = ActivityRef(activity_id=activity.activity_id)
        ref = by_id if rnd.random() < 0.2 else ActivityRef(event_id, attempt)
        answers = [
            CompleteActivity(ref, None, "worker"),
            FailActivity(ref, some_failure(rnd), "worker", payloads("y")),
            FailActivity(ref, some_failure(rnd), "worker"),
            CancelActivity(ref, None, "worker"),
            HeartbeatActivity(ref, payloads("x"), "worker"),
            ReturnActivity(rnd.choice(["p1", "p2"])),
            None,
        ]
        answer = rnd.choice(answers)
        if answer is not None:
            self.ask(answer)

    # Other runs

    def has_others(self) -> bool:
        state = self.run.state
        return bool(state.children or state.external_workflows or not state.is_open)

    @precondition(has_others)
    @rule(seed=SEEDS)
    def hear_of_others(self, seed: int) -> None:
        rnd, state = Random(seed), self.run.state
        if state.external_workflows and rnd.random() < 0.5:
            external = rnd.choice(list(state.external_workflows))
            self.ask(RecordExternalSignaled(external, rnd.choice(SIGNAL_CAUSES)))
            return
        child = rnd.choice(list(state.children.values()) or [PendingChild(5, "a", "C", 0, b"")])
        event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
        event.workflow_execution_completed_event_attributes.SetInParent()
        event_id, run_id = child.initiated_event_id, f"{child.workflow_id}-1"
        news = [
            RecordChildStarted(event_id, run_id),
            RecordChildStarted(event_id, run_id),
            RecordChildNotStarted(event_id, CHILD_CAUSE),
            RecordChildClosed(event_id, child.workflow_id, "later-run", run_id, event),
            AcknowledgeChildReleased(event_id),
            AcknowledgeParentNotified(),
        ]
        self.ask(rnd.choice(news))

    # Time, and what is rare

    @rule(seconds=st.sampled_from([0.5, 1, 2, 5, 10, 30]))
    def wait(self, seconds: float) -> None:
        was_open, rows = self.run.state.is_open, len(self.run.journal.rows)
        asked = list(self.run.timers)
        self.run.wait(seconds)
        self.fired += [timer for timer in asked if timer not in self.run.timers]
        assert was_open or len(self.run.journal.rows) == rows
        self._listen()

    @rule(seed=SEEDS)
    def end_attempts_of_callbacks(self, seed: int) -> None:
        rnd = Random(seed)
        for effect in self.run.dispatched(InvokeCallback)[-3:]:
            attempt, failure = effect.attempt + rnd.choice([0, 0, 1]), rnd.choice(["", "failed"])
            self.ask(RecordAttempt(effect.number, attempt, failure, rnd.random() < 0.7, 0.5))

    @rule(what=st.sampled_from(["crash", "old timer", "lost cache", "start again", "gone"]))
    def meet_what_is_rare(self, what: str) -> None:
        if what == "crash":
            self.run.crash()
            self.heard = len(self.run.effects)
            self.queries.clear()
            self.updates &= self.run.state.updates.keys()
        elif what == "old timer":
            for timer in self.fired[-3:]:
                self.ask(timer)
        elif what == "lost cache":
            self.ask(ResetSticky())
        elif what == "start again" and self.run.state.is_open:
            self.ask(AttachRequest(f"s{self.count % 3}", [CALLBACK]))
        elif what == "gone":
            for query_id in sorted(self.queries)[:1]:
                self.ask(AbandonQuery(query_id))
                self.queries.discard(query_id)

    def take_some_step(self, rnd: Random) -> None:
        kinds = [
            "work",
            "activity",
            "others",
            "signal",
            "query",
            "update",
            "wait",
            "take",
            "fail",
            "late",
            "rare",
            "callbacks",
        ]
        kind = rnd.choices(kinds, [20, 20, 8, 6, 4, 4, 10, 4, 3, 1, 2, 4])[0]
        seed = rnd.getrandbits(32)
        if kind == "work":
            if self.run.state.is_open and not self.has_task():
                self.signal("")
            if self.has_task():
                self.work(seed)
        elif kind == "activity" and self.run.state.activities:
            self.do_activity(seed)
        elif kind == "others" and self.has_others():
            self.hear_of_others(seed)
        elif kind == "signal":
            self.signal(rnd.choice(["", "r1", "r2", "r3"]))
        elif kind == "query":
            self.query()
        elif kind == "update":
            self.update(rnd.choice(["u1", "u2", "u3"]))
        elif kind == "wait":
            self.wait(rnd.choice([0.5, 1, 2, 5]))
        elif kind == "take" and self.has_task():
            self.take_task()
        elif kind == "fail" and self.holds_task():
            self.fail_task()
        elif kind == "late" and len(self.refs) > 1:
            self.come_late(rnd.random() < 0.5, rnd.randrange(1, 30))
        elif kind == "callbacks":
            self.end_attempts_of_callbacks(seed)
        elif kind == "rare":
            rare = ["crash", "crash", "old timer", "lost cache", "start again", "gone"]
            self.meet_what_is_rare(rnd.choice(rare))

    # Promises for a whole life

    @invariant()
    def every_signal_is_shown_once_and_in_order(self) -> None:
        if not hasattr(self, "run"):
            return
        shown = [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in [*self.run.journal.events, *self.run.journal.waiting]
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]
        assert shown == self.signals

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        if not hasattr(self, "run"):
            return
        state, in_flight = self.run.state, self.run.run.in_flight
        assert self.queries <= in_flight.queries.keys(), "a query that no worker will see"
        pending = {key for key, value in state.updates.items() if not value.completed_event_id}
        waited_for = in_flight.updates.keys() | (pending if state.is_open else set())
        assert self.updates <= waited_for, "an update that nothing will come of"


OneLife.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOneLife = OneLife.TestCase


@pytest.mark.parametrize("seed", range(40))
def test_a_long_life(seed: int) -> None:
    """Hypothesis finds the shortest way to a fault, but seldom goes far: this does. A seed is a life."""
    rnd, life = Random(seed), OneLife()
    life.begin(rnd.choice(STARTS), rnd.random() < 0.5)
    for _ in range(180):
        life.take_some_step(rnd)
        life.every_signal_is_shown_once_and_in_order()
        life.nobody_waits_for_ever()
