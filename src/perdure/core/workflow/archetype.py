"""The archetype of workflows: an execution is one run of a workflow id. The rules are in `machine.py`."""

from collections.abc import Iterable, Mapping
from typing import Any

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from perdure.core.execution.archetype import Summary, VisibilityFields
from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import Effect, Outcome, Timer
from perdure.core.execution.request import Request
from perdure.core.workflow import machine, state_size, visibility_fields
from perdure.core.workflow.effects import QUEUE_TASKS
from perdure.core.workflow.lifecycle import deletion
from perdure.core.workflow.records import (
    PART_BYTES_MAX,
    PART_EVENTS_MAX,
    Part,
    decode_state,
    encode_state,
    in_parts,
)
from perdure.core.workflow.state import Run, RunState


class WorkflowArchetype:
    """Archetype 0."""

    number = 0
    name = "workflow"
    open_statuses = frozenset(
        (
            int(WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING),
            int(WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED),
        )
    )
    queue_tasks = QUEUE_TASKS

    def new(self) -> Run:
        return Run()

    def load(self, snapshot: bytes, rows: Iterable[tuple[bytes, bytes]]) -> Run:
        state = decode_state(snapshot) if snapshot else RunState()
        return Run(machine.fold(state, rows))

    def fold(self, execution: Run, rows: Iterable[tuple[bytes, bytes]]) -> None:
        machine.fold(execution.state, rows)

    def snapshot(self, execution: Run) -> bytes:
        return encode_state(execution.state)

    def transition(
        self,
        execution: Run,
        request: Request[Any] | Timer,
        *,
        now_ns: int,
        environment: Environment,
    ) -> Outcome:
        return machine.transition(execution, request, now_ns=now_ns, environment=environment)

    def rows(self, outcome: Outcome) -> Iterable[Part]:
        if outcome.event_count <= PART_EVENTS_MAX and len(outcome.events) <= PART_BYTES_MAX:
            return ((outcome.event_count, outcome.events, outcome.internal),)
        return in_parts(outcome.events, outcome.internal)

    def pending_timers(self, execution: Run, now_ns: int) -> list[Timer]:
        return machine.pending_timers(execution, now_ns)

    def pending_effects(self, execution: Run, now_ns: int) -> list[Effect]:
        return machine.pending_effects(execution, now_ns)

    def has_pending_effects(self, execution: Run, now_ns: int) -> bool:
        return machine.has_pending_effects(execution, now_ns)

    def is_stale(self, execution: Run, timer: Timer) -> bool:
        return machine.is_stale(execution, timer)

    def summary(self, execution: Run) -> Summary:
        state = execution.state
        # By place: this is made after every transition.
        return Summary(
            state.status,
            state.is_open,
            execution.in_flight.is_idle,
            deletion.is_due(state),
            state.next_event_id,
            state.previous_started_event_id,
            state.history_size_bytes,
        )

    def excess_bytes(self, execution: Run, limit: int) -> int:
        if not state_size.may_exceed(execution, limit):
            return 0
        return execution.state_size_max or 0

    def visibility(self, execution: Run, environment: Environment) -> VisibilityFields:
        return visibility_fields.visibility(execution.state, environment)

    def about(self, execution: Run) -> Mapping[str, str]:
        state = execution.state
        return {
            "namespace": state.namespace,
            "workflow_id": state.workflow_id,
            "run_id": state.run_id,
        }

    def check(self, execution: Run) -> None:
        machine.check(execution)


WORKFLOW = WorkflowArchetype()
