"""The views of a workflow run: values that its owner looks at the run through."""

from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from perdure.core.errors import Code, Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.request import View
from perdure.core.workflow.description import describe
from perdure.core.workflow.state import Run
from perdure.core.workflow.tasks.start import held_back_of, unrecorded
from perdure.core.workflow.updates import UpdateStatus, status


@dataclass(frozen=True, slots=True)
class Describe(View[DescribeWorkflowExecutionResponse]):
    def look(
        self, execution: Run, *, now_ns: int, environment: Environment
    ) -> DescribeWorkflowExecutionResponse:
        return describe(execution, now_ns, environment)


@dataclass(frozen=True, slots=True)
class HistoryEnd:
    """How far a history goes."""

    is_open: bool
    #: The id of the next event that will be recorded.
    end_event_id: int
    #: The events of a task in memory that a reader is shown after the recorded ones.
    unrecorded: tuple[HistoryEvent, ...]
    #: The run as which the workflow goes on by itself; empty if there is none.
    new_run_id: str


@dataclass(frozen=True, slots=True)
class ReadHistoryEnd(View[HistoryEnd]):
    #: Whether events are shown that only say that a task waits, or is tried again.
    with_transient: bool = False

    def look(self, execution: Run, *, now_ns: int, environment: Environment) -> HistoryEnd:
        state = execution.state
        at_the_end = unrecorded if self.with_transient else held_back_of
        return HistoryEnd(
            state.is_open, state.next_event_id, tuple(at_the_end(execution)), state.new_run_id
        )


@dataclass(frozen=True, slots=True)
class ReadUpdate(View[UpdateStatus]):
    """How far an update has come. Raises `Rejected` if it is not known."""

    update_id: str

    def look(self, execution: Run, *, now_ns: int, environment: Environment) -> UpdateStatus:
        known = status(execution, self.update_id)
        if known is None:
            raise Rejected(Code.NOT_FOUND, f'update "{self.update_id}" not found')
        return known


@dataclass(frozen=True, slots=True)
class QueryTask:
    """The facts that a worker needs for a query, besides the history."""

    workflow_type: str
    task_queue: str
    previous_started_event_id: int
    end_event_id: int


@dataclass(frozen=True, slots=True)
class ReadQueryTask(View[QueryTask]):
    def look(self, execution: Run, *, now_ns: int, environment: Environment) -> QueryTask:
        state = execution.state
        return QueryTask(
            state.workflow_type,
            state.task_queue,
            state.previous_started_event_id,
            state.next_event_id,
        )


@dataclass(frozen=True, slots=True)
class ChainLink:
    """The place of a run in the chain of runs that go on as one another."""

    is_open: bool
    first_run_id: str
    #: The run as which the workflow goes on; empty if this one is the last.
    following_run_id: str


@dataclass(frozen=True, slots=True)
class ReadChainLink(View[ChainLink]):
    def look(self, execution: Run, *, now_ns: int, environment: Environment) -> ChainLink:
        state = execution.state
        following = state.new_run_id or (state.reset_run_id if state.made_way else "")
        return ChainLink(state.is_open, state.first_run_id, following)
