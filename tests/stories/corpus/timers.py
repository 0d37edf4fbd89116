"""The workflow sleeps."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import cancel_timer, complete_workflow, start_timer
from tests.stories.language import Scene, story


@story
async def a_timer_fires_when_its_time_has_come(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.work(start_timer("t", 1))
    await workflow.describe("asleep")
    await workflow.work(complete_workflow())
    await workflow.shows(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted 4 WorkflowTaskCompleted
        5 TimerStarted timer_id=t start_to_fire_timeout=1s workflow_task_completed_event_id=4
        6 TimerFired +1s timer_id=t started_event_id=5
        7 WorkflowTaskScheduled 8 WorkflowTaskStarted 9 WorkflowTaskCompleted 10 WorkflowExecutionCompleted"""
    )


@story
async def a_timer_of_no_time_fires_at_once(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.work(start_timer("t", 0))
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
    await workflow.shows("5 TimerStarted 6 TimerFired +0s 7 WorkflowTaskScheduled")
    await workflow.work(complete_workflow())


@story
async def a_cancelled_timer_does_not_fire(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.work(start_timer("t", 1), start_timer("u", 100))
    await workflow.signal()
    await workflow.work(cancel_timer("t"))
    await scene.wait(1.5)
    await workflow.describe()
    await workflow.shows(
        """10 WorkflowTaskCompleted
        11 TimerCanceled timer_id=t started_event_id=5 workflow_task_completed_event_id=10 identity=worker"""
    )


@story
async def a_firing_that_the_worker_has_not_seen_is_taken_back_by_cancelling(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.work(start_timer("t", 1), start_timer("u", 1))
    await workflow.signal()
    task = await workflow.poll()
    await scene.wait(1.5)
    await workflow.shows("9 WorkflowTaskStarted")
    await task.complete(cancel_timer("t"))
    await workflow.shows(
        """10 WorkflowTaskCompleted 11 TimerCanceled timer_id=t 12 TimerFired timer_id=u
        13 WorkflowTaskScheduled"""
    )
    await workflow.work(complete_workflow())
