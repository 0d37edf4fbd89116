"""Trailers after the answer to a call have its workflow's type and task queue, if an operator wants that."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    record_marker,
    schedule_activity,
    start_child,
)
from tests.build.updates import rejects
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.switched_on import ALL_ON
from tests.differential.updates import accept_and_complete, respond, update
from tests.differential.world import Workflow, World

_NO_HEADER = "the library for gRPC takes no such text; it is in the binary header"


@script(settings=ALL_ON)
async def trailers_of_clients_calls(world: World) -> None:
    world.shows_trailers = True
    workflow = world.workflow()
    await workflow.start("new")
    await workflow.start("the same again")
    await workflow.try_start("taken", request_id="other")
    await workflow.try_start(
        "existing",
        request_id="third",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
    )
    await workflow.describe()
    await workflow.history()
    await workflow.signal(request_id="x")
    await workflow.signal("again", request_id="x")
    await workflow.signal_with_start()
    await workflow.cancel()
    await workflow.cancel("again")
    await workflow.query("by nobody", timeout=1.5)
    await world.attempt(api.ListWorkflowExecutionsRequest())
    await world.attempt(api.DescribeNamespaceRequest(namespace="default"))
    await workflow.terminate()
    await workflow.terminate("again")
    await workflow.signal("too late")
    nobody = Workflow(world, "nobody")
    await nobody.signal("nobody there")
    await nobody.signal_with_start("new")
    await nobody.terminate()


@script(settings=ALL_ON)
async def trailers_of_workers_calls(world: World) -> None:
    world.shows_trailers = True
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll("a task")
    await task.fail()
    task = await workflow.poll("again")
    await task.complete(label="empty")
    await workflow.signal()
    task = await workflow.poll()
    await task.complete(record_marker("x"), label="a page", intermediate_page=True)
    await task.complete(record_marker("y"), label="refused", page_number=2)
    await task.complete(label="heartbeat", force_create_new_workflow_task=True)
    task = await workflow.poll()
    await task.complete(schedule_activity("activity", world.id("activities")))
    activity = await world.poll_activity(world.id("activities"))
    await activity.heartbeat()
    await activity.fail()
    activity = await world.poll_activity(world.id("activities"))
    await activity.complete()
    await activity.complete(label="again")
    task = await workflow.poll()
    async with world.meanwhile(workflow.query("while a worker has the task")):
        await task.complete(label="without the answer")
        task = await workflow.poll("the query")
        await task.answer_query()
    await workflow.signal()
    task = await workflow.poll()
    await task.complete(complete_workflow())
    await task.complete(complete_workflow(), label="again")


@script(settings=ALL_ON)
async def trailers_of_operators_calls(world: World) -> None:
    world.shows_trailers = True
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await task.complete(schedule_activity("activity", world.id("activities")))

    async def of_activity(kind: Any, label: str, **fields: Any) -> None:
        request = kind(execution=workflow.execution(), identity="operator")
        await world.attempt(request, label, **fields)

    one, all_of_type = {"id": "activity"}, {"type": "Activity"}
    await of_activity(api.PauseActivityRequest, "one", **one)
    await of_activity(api.UnpauseActivityRequest, "all", **all_of_type)
    await of_activity(api.ResetActivityRequest, "one", **one)
    await of_activity(
        api.UpdateActivityOptionsRequest,
        "one",
        **one,
        activity_options={"heartbeat_timeout": "5s"},
        update_mask="heartbeatTimeout",
    )
    await of_activity(api.PauseActivityRequest, "no such one", id="nobody")
    options = api.UpdateWorkflowExecutionOptionsRequest(workflow_execution=workflow.execution())
    await world.attempt(
        options,
        workflow_execution_options={"priority": {"priority_key": 2}},
        update_mask="priority",
    )
    reset = api.ResetWorkflowExecutionRequest(
        workflow_execution=workflow.execution(),
        workflow_task_finish_event_id=task.reply.started_event_id + 1,
        request_id="reset",
    )
    reply = await world.attempt(reset)
    workflow.saw_run(reply.run_id)
    delete = api.DeleteWorkflowExecutionRequest(workflow_execution=workflow.execution())
    await world.attempt(delete)


@script(settings=ALL_ON)
async def trailers_of_updates(world: World) -> None:
    world.shows_trailers = True
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    async with world.meanwhile(update(workflow, "completed")):
        await accept_and_complete(await workflow.poll("an update"))
    await update(workflow, "completed", "again")
    async with world.meanwhile(update(workflow, "rejected")):
        task = await workflow.poll("another")
        await respond(task, [rejects(asked) for asked in task.reply.messages])
    async with world.meanwhile(update(workflow, "with a signal")):
        await workflow.signal()
        await accept_and_complete(await workflow.poll("an update and a signal"))


@script(
    settings=ALL_ON,
    intended=[
        Intended(f"*StartWorkflowExecution {name}.*workflow-type", _NO_HEADER)
        for name in ("umlaut", "tab")
    ],
)
async def trailers_of_odd_names(world: World) -> None:
    """A value that no header can hold is only in the binary one."""
    world.shows_trailers = True
    for name, fields in {
        "umlaut": {"workflow_type": {"name": "Größe"}},
        "newline": {"workflow_type": {"name": "a\nb"}},
        "tab": {"workflow_type": {"name": "a\tb"}},
        "delete": {"workflow_type": {"name": "a\x7fb"}},
        "spaces": {"workflow_type": {"name": " a b "}},
    }.items():
        await world.workflow(name).try_start(name, **fields)


@script(settings=ALL_ON)
async def trailers_of_a_child(world: World) -> None:
    world.shows_trailers = True
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        start_child("child", world.id("children"), workflow_type={"name": "Other"})
    )
    child = Workflow(world, "children")
    child.task_queue = world.id("children")
    task = await child.poll()
    await task.complete(complete_workflow())
    await workflow.poll_and_complete(complete_workflow())
