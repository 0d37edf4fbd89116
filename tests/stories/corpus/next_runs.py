"""The workflow goes on as a new run: by itself, or because somebody has taken it back."""

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    json_payloads,
    start_timer,
)
from tests.stories.language import Scene, story


@story
async def a_run_ends_and_another_begins(scene: Scene) -> None:
    workflow = await scene.started()
    first = workflow.run_id
    await workflow.work(continue_as_new(input=json_payloads("in")))
    await workflow.describe("the old run", run_id=first)
    await workflow.shows(
        """4 WorkflowTaskCompleted
        5 WorkflowExecutionContinuedAsNew new_execution_run_id=workflow/2 input=in initiator=UNSPECIFIED
        workflow_type.name=Workflow task_queue.name=workflow-queue workflow_task_timeout=10s
        workflow_task_completed_event_id=4""",
        run=1,
    )
    await workflow.history("the end", run_id=first, history_event_filter_type=2)
    await workflow.tells("status=RUNNING first_run_id=workflow/1", of="workflow_execution_info")
    await workflow.shows(
        """1 WorkflowExecutionStarted continued_execution_run_id=workflow/1
        first_execution_run_id=workflow/1 original_execution_run_id=workflow/2
        input=in attempt=1 identity='' initiator=WORKFLOW"""
    )
    await workflow.signal()
    old = workflow.signal(label="the old run", run_id=first)
    await scene.refused(old, "NOT_FOUND: workflow execution already completed")
    await workflow.work(complete_workflow())


@story
async def a_run_is_taken_back_to_one_of_its_tasks(scene: Scene) -> None:
    """History is shared up to the task; a signal that came later comes again, and a timer that was started later does not."""
    workflow = await scene.started()
    await workflow.work(start_timer("t", 100))
    await workflow.signal("kept")
    await workflow.reset(4)
    await workflow.describe("both linked")
    await workflow.shows(
        "6 WorkflowExecutionSignaled 7 WorkflowTaskScheduled 8 WorkflowExecutionTerminated reason=why",
        run=1,
    )
    await workflow.shows(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskFailed cause=RESET_WORKFLOW failure.message=why
        base_run_id=workflow/1 new_run_id=workflow/2
        5 WorkflowExecutionSignaled signal_name=kept 6 WorkflowTaskScheduled"""
    )
    await workflow.tells("first_run_id=workflow/1", of="workflow_execution_info")
    await workflow.work(complete_workflow())
