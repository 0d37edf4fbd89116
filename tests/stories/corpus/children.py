"""The end of a parent is what its policy says to the child."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import cancel_workflow, complete_workflow, start_child
from tests.stories.language import Scene, StoryWorkflow, story

STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def parent_of(child: StoryWorkflow, policy: str) -> StoryWorkflow:
    """Return a parent that knows its child to be started, and has no task."""
    parent = await child.world.started("parent")
    wanted = {"parent_close_policy": f"PARENT_CLOSE_POLICY_{policy}"}
    await parent.work(start_child(child.id, child.task_queue, **wanted))
    await parent.until(STARTED)
    await child.appears()
    await parent.work()
    return parent


@story
async def the_child_of_a_parent_that_closes_is_terminated(scene: Scene) -> None:
    child = scene.workflow("child")
    parent = await parent_of(child, "TERMINATE")
    await parent.signal()
    await parent.work(complete_workflow())
    await child.until_closed()
    await parent.shows(
        """5 StartChildWorkflowExecutionInitiated workflow_id=child parent_close_policy=TERMINATE
        6 ChildWorkflowExecutionStarted initiated_event_id=5 workflow_execution.run_id=child/1
        7 WorkflowTaskScheduled 8 WorkflowTaskStarted 9 WorkflowTaskCompleted
        10 WorkflowExecutionSignaled 11 WorkflowTaskScheduled 12 WorkflowTaskStarted
        13 WorkflowTaskCompleted 14 WorkflowExecutionCompleted"""
    )
    await child.shows(
        """1 WorkflowExecutionStarted parent_workflow_execution.run_id=parent/1
        parent_initiated_event_id=5
        2 WorkflowTaskScheduled
        3 WorkflowExecutionTerminated reason='by parent close policy' identity=history-service"""
    )


@story
async def the_child_of_a_parent_that_is_terminated_is_asked_to_stop(scene: Scene) -> None:
    child = scene.workflow("child")
    parent = await parent_of(child, "REQUEST_CANCEL")
    await parent.terminate()
    await child.until(CANCEL_REQUESTED)
    await child.shows(
        """2 WorkflowTaskScheduled
        3 WorkflowExecutionCancelRequested external_workflow_execution.run_id=parent/1
        identity=history-service"""
    )
    await child.work(cancel_workflow())
    await parent.shows("9 WorkflowTaskCompleted 10 WorkflowExecutionTerminated")
