"""Events that arrive while a worker holds the workflow task wait for its end, and come after the worker's own."""

from temporalio.api.command.v1 import Command

from tests.build.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    start_timer,
)
from tests.stories.language import Scene, story


@story
async def events_that_arrive_while_a_worker_holds_the_task_keep_their_order(scene: Scene) -> None:
    workflow = await scene.started()
    task = await workflow.poll()
    await workflow.signal("one")
    await workflow.signal("two")
    await workflow.cancel()
    await workflow.shows("2 WorkflowTaskScheduled 3 WorkflowTaskStarted")
    await workflow.describe("in flight")
    await task.complete(start_timer("t", 100), record_marker("m"))
    await workflow.shows(
        """4 WorkflowTaskCompleted 5 TimerStarted 6 MarkerRecorded
        7 WorkflowExecutionSignaled signal_name=one 8 WorkflowExecutionSignaled signal_name=two
        9 WorkflowExecutionCancelRequested 10 WorkflowTaskScheduled"""
    )
    await workflow.work(complete_workflow())


def _cannot_close(name: str, closing: Command, closed: str) -> None:
    @story(name=f"a_run_cannot_{name}_before_its_worker_has_seen_everything")
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        task = await workflow.poll()
        await workflow.signal()
        closes = task.complete(start_timer("t", 100), closing)
        await scene.refused(closes, "INVALID_ARGUMENT: UnhandledCommand")
        await workflow.shows(
            """3 WorkflowTaskStarted
            4 WorkflowTaskFailed cause=UNHANDLED_COMMAND failure.message=UnhandledCommand
            failure.failure_info=server_failure_info
            5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled attempt=1"""
        )
        await workflow.describe("neither closed nor with a timer")
        task = await workflow.poll()
        late = workflow.signal("too late", "while it tries to close again")
        await scene.refused(
            late,
            "RESOURCE_EXHAUSTED: workflow operation can not be applied because workflow is closing",
        )
        await task.complete(closing)
        await workflow.shows(f"8 WorkflowTaskCompleted 9 WorkflowExecution{closed}", run=1)


_cannot_close("complete", complete_workflow(), "Completed")
_cannot_close("fail", fail_workflow(), "Failed")
_cannot_close("cancel", cancel_workflow(), "Canceled")
_cannot_close("continue_as_new", continue_as_new(), "ContinuedAsNew")
