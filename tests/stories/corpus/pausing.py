"""A run is paused, and goes on."""

from tests.build.commands import complete_workflow
from tests.differential.updates import update
from tests.stories.language import Scene, story

SETTINGS = ("frontend.WorkflowPauseEnabled=true",)


@story(settings=SETTINGS)
async def a_task_that_waits_is_taken_back_by_a_pause_and_comes_again(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.pause()
    await workflow.shows("3 WorkflowTaskFailed 4 WorkflowExecutionPaused reason=why")
    await workflow.tells(
        "workflow_execution_info.status=PAUSED workflow_extended_info.pause_info.reason=why"
    )
    await workflow.signal()
    scene.tells(await workflow.query("paused"), "query_rejected.status=PAUSED")
    refused = "FAILED_PRECONDITION: Workflow is paused. Cannot update the workflow."
    await scene.refused(update(workflow, "paused"), refused)
    await workflow.describe("signaled")
    await workflow.unpause()
    await workflow.tells(
        "workflow_execution_info.status=RUNNING workflow_extended_info.pause_info.reason=''"
    )
    await workflow.shows(
        """5 WorkflowExecutionSignaled 6 WorkflowExecutionUnpaused reason=enough
        7 WorkflowTaskScheduled attempt=1"""
    )
    await workflow.work(complete_workflow())
