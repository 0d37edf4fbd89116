"""Every archetype keeps its contract with the runtime: a story is told to it, and the contract is checked at each step."""

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.common.v1 import Payloads, WorkflowType
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.api.taskqueue.v1 import TaskQueue

from perdure.core.archetypes import ARCHETYPES
from perdure.core.execution.archetype import Archetype
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.execution.request import Delete
from perdure.core.times import SECOND_NS
from perdure.core.workflow.activities.attempts import ActivityRef, CompleteActivity, StartActivity
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.tasks.schedule import TaskRef
from perdure.core.workflow.tasks.start import StartWorkflowTask
from tests.build.commands import (
    complete_workflow,
    schedule_activity,
    start_timer,
)
from tests.core.contract import T0_NS, Execution, Story


def workflow() -> Story:
    attributes = WorkflowExecutionStartedEventAttributes(
        workflow_type=WorkflowType(name="T"), task_queue=TaskQueue(name="q"), attempt=1
    )
    attributes.workflow_task_timeout.FromSeconds(10)
    yield Start("ns-id", "ns", "w", "run-1", attributes, "start-id"), 0
    task = yield StartWorkflowTask(2, 1, "worker", "poll", 7, "q"), 1
    yield Signal("s", Payloads(), "client", "signal-id"), 1
    yield _completed(task.ref, start_timer("t", 5), schedule_activity("a", "q")), 1
    yield StartActivity(6, 1, "worker", "poll"), 1
    yield Timer(T0_NS + 8 * SECOND_NS, TimerKind.USER_TIMER, 5, 0), 4
    yield CompleteActivity(ActivityRef(activity_id="a"), None, "worker"), 1
    task = yield StartWorkflowTask(8, 1, "worker", "poll", 8, "q"), 1
    yield _completed(task.ref, complete_workflow()), 1
    yield Delete(), 1


def _completed(ref: TaskRef, *commands: Any) -> CompleteWorkflowTask:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    return CompleteWorkflowTask(ref, event, commands, {})


STORIES: dict[str, Callable[[], Story]] = {"workflow": workflow}


@pytest.mark.parametrize("archetype", ARCHETYPES.values(), ids=lambda each: each.name)
def test_an_archetype_keeps_the_contract(archetype: Archetype[Any]) -> None:
    execution = Execution(archetype)
    execution.tell(STORIES[archetype.name]())
    summary = archetype.summary(execution.held)
    assert (summary.is_open, summary.is_removable) == (False, True), "a story ends in a deletion"


def test_numbers_and_names_are_taken_once() -> None:
    assert all(number == each.number for number, each in ARCHETYPES.items())
    assert len({each.name for each in ARCHETYPES.values()}) == len(ARCHETYPES)
    assert set(STORIES) == {each.name for each in ARCHETYPES.values()}
