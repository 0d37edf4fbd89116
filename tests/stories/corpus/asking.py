"""Somebody asks the workflow something, or to change something. Only an update that is accepted leaves a trace."""

from tests.build.commands import start_timer
from tests.build.updates import accepts, completes, rejects
from tests.differential.updates import poll_update, respond, update
from tests.stories.language import Scene, StoryWorkflow, story

LONG = start_timer("long", 1000)


async def idle(scene: Scene) -> StoryWorkflow:
    """Return a workflow that waits, with no workflow task."""
    workflow = await scene.started()
    await workflow.work(LONG)
    return workflow


@story
async def a_query_waits_for_the_task_that_a_worker_holds(scene: Scene) -> None:
    workflow = await idle(scene)
    await workflow.signal()
    task = await workflow.poll()
    async with scene.meanwhile(workflow.query()) as asked:
        await task.complete()
        query = await workflow.poll("the query")
        scene.tells(query.reply, "query.query_type=query query.query_args=argument")
        await query.answer_query("answer")
    scene.tells(asked.result(), "query_result=answer")
    await workflow.shows("8 WorkflowTaskStarted 9 WorkflowTaskCompleted")


@story
async def an_update_is_accepted_now_and_done_later(scene: Scene) -> None:
    workflow = await idle(scene)
    async with scene.meanwhile(update(workflow, wait="ACCEPTED")) as asked:
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])])
    scene.tells(asked.result(), "stage=ACCEPTED")
    scene.tells(await poll_update(workflow, label="unspecified"), "stage=ACCEPTED")
    await poll_update(workflow, label="accepted", wait="ACCEPTED")
    await workflow.shows(
        """6 WorkflowTaskScheduled 7 WorkflowTaskStarted 8 WorkflowTaskCompleted
        9 WorkflowExecutionUpdateAccepted protocol_instance_id=one"""
    )
    async with scene.meanwhile(poll_update(workflow, label="completed", wait="COMPLETED")) as done:
        await workflow.signal()
        await respond(await workflow.poll(), [completes("one")])
    scene.tells(done.result(), "stage=COMPLETED outcome.success=done")
    scene.tells(await update(workflow, label="again"), "outcome.success=done")
    await workflow.shows(
        """13 WorkflowTaskCompleted
        14 WorkflowExecutionUpdateCompleted accepted_event_id=9 outcome.success=done"""
    )


@story
async def a_rejected_update_leaves_no_trace(scene: Scene) -> None:
    workflow = await idle(scene)
    async with scene.meanwhile(update(workflow)) as asked:
        task = await workflow.poll()
        await workflow.shows("5 TimerStarted 6 WorkflowTaskScheduled 7 WorkflowTaskStarted")
        await workflow.describe("meanwhile")
        forgets = {"discard_speculative_workflow_task_with_events": True}
        reply = await respond(task, [rejects(task.reply.messages[0])], capabilities=forgets)
        scene.tells(reply, "reset_history_event_id=3")
    scene.tells(asked.result(), "stage=COMPLETED outcome.failure.message=no")
    nobody = poll_update(workflow)
    await scene.refused(nobody, 'NOT_FOUND: update "one" not found')
    await workflow.shows("4 WorkflowTaskCompleted 5 TimerStarted")
    await workflow.signal()
    await workflow.work()
    await workflow.shows("7 WorkflowTaskScheduled 8 WorkflowTaskStarted 9 WorkflowTaskCompleted")
