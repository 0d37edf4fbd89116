"""Somebody asks the workflow to stop, or stops it."""

from tests.build.commands import (
    cancel_workflow,
    json_payloads,
    schedule_activity,
    start_timer,
)
from tests.stories.language import Scene, story

CLOSED = "NOT_FOUND: workflow execution already completed"


@story
async def a_workflow_is_asked_to_stop_and_does(scene: Scene) -> None:
    """To ask twice is to ask once, and to ask a closed run changes nothing."""
    workflow = await scene.started()
    await workflow.work(start_timer("t", 100))
    await workflow.cancel("first", reason="because", request_id="one")
    await workflow.tells("workflow_extended_info.cancel_requested=True")
    await workflow.cancel("the same again", reason="because", request_id="one")
    await workflow.cancel("another one", reason="other", request_id="two")
    await workflow.shows(
        """5 TimerStarted
        6 WorkflowExecutionCancelRequested cause=because identity=client
        external_workflow_execution.workflow_id=''
        7 WorkflowTaskScheduled"""
    )
    await workflow.work(cancel_workflow())
    await workflow.cancel("closed")
    await workflow.cancel("closed, by run", run_id=workflow.run_id)
    await workflow.shows("9 WorkflowTaskCompleted 10 WorkflowExecutionCanceled")


@story
async def a_run_is_terminated_with_everything_that_is_pending(scene: Scene) -> None:
    workflow = await scene.started(workflow_run_timeout="2s")
    await workflow.work(start_timer("t", 1), schedule_activity("a", workflow.task_queue))
    activity = await workflow.take_activity()
    await workflow.terminate(reason="why", details=json_payloads("d"), identity="me")
    await scene.refused(activity.heartbeat(), CLOSED)
    await scene.refused(activity.complete(), CLOSED)
    await scene.wait(2.5)  # Nothing is due any more.
    await workflow.shows(
        """6 ActivityTaskScheduled
        7 WorkflowExecutionTerminated reason=why details=d identity=me"""
    )
