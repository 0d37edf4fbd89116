"""Features that are on by default and that an operator can switch off by dynamic configuration. All are off here."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, start_child
from tests.differential.registry import script
from tests.differential.updates import poll_update, update
from tests.differential.world import World

_ALL_OFF = (
    "system.disallowQuery=true",
    "frontend.disableListVisibilityByFilter=true",
    "frontend.enableUpdateWorkflowExecutionAsyncAccepted=false",
    "history.enableParentClosePolicy=false",
    "history.allowResetWithPendingChildren=false",
    "history.sendTransientOrSpeculativeWorkflowTaskEvents=false",
    "frontend.pollerAutoscalingAutoEnroll=true",
    "limit.workerBuildIdSize=5",
)
#: Switches that would hide the others, or only matter where others are on.
_REST_OFF = ("frontend.enableUpdateWorkflowExecution=false", "system.enableStickyQuery=false")


@script(settings=_ALL_OFF)
async def queries_that_are_switched_off(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.query("refused")
    request = api.QueryWorkflowRequest(execution=workflow.execution())
    await world.attempt(request, "without a query")


@script(settings=_ALL_OFF)
async def filtered_lists_that_are_switched_off(world: World) -> None:
    since = {"earliest_time": "2020-01-01T00:00:00Z", "latest_time": "2020-01-02T00:00:00Z"}
    for label, fields in {
        "none": {},
        "execution": {"execution_filter": {"workflow_id": "x"}},
        "type": {"type_filter": {"name": "x"}},
    }.items():
        for kind in (
            api.ListOpenWorkflowExecutionsRequest,
            api.ListClosedWorkflowExecutionsRequest,
        ):
            await world.attempt(kind(), label, start_time_filter=since, **fields)
    status = {"status_filter": {"status": "WORKFLOW_EXECUTION_STATUS_RUNNING"}}
    await world.attempt(
        api.ListClosedWorkflowExecutionsRequest(), "status", start_time_filter=since, **status
    )
    await world.attempt(api.ListWorkflowExecutionsRequest(query="WorkflowId = 'no-such-id'"))


@script(settings=_ALL_OFF)
async def async_updates_that_are_switched_off(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await update(workflow, wait="ACCEPTED")
    await update(workflow, wait="ADMITTED")


@script(settings=_REST_OFF)
async def updates_that_are_switched_off(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for wait in ("UNSPECIFIED", "ADMITTED", "ACCEPTED", "COMPLETED"):
        await update(workflow, label=wait, wait=wait)
    await poll_update(workflow)
    described = await world.do(api.DescribeNamespaceRequest(namespace=world.namespace), quiet=True)
    capabilities = described.namespace_info.capabilities
    world.note("capabilities", [capabilities.sync_update, capabilities.async_update])


@script(settings=_REST_OFF)
async def queries_that_do_not_go_to_the_sticky_queue(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(sticky_attributes=workflow.sticky(), quiet=True)
    async with world.meanwhile(workflow.query("asked")):
        nothing = await workflow.poll("of the sticky queue", sticky=True, timeout=4)
        assert not nothing.reply.task_token
        await (await workflow.poll("of the normal queue")).answer_query()


@script(settings=_ALL_OFF)
async def parent_close_policies_that_are_switched_off(world: World) -> None:
    """All children are left alone."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(quiet=True)
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_TERMINATE")
    )
    started = await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    attributes = started.child_workflow_execution_started_event_attributes
    child.saw_run(attributes.workflow_execution.run_id)
    await parent.poll_and_complete(complete_workflow())
    await child.poll_and_complete(complete_workflow())


@script(settings=_ALL_OFF)
async def resets_with_children_that_are_switched_off(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(quiet=True)
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await parent.poll_and_complete()

    async def reset(label: str, event_id: int) -> Any:
        request = api.ResetWorkflowExecutionRequest(
            workflow_execution=parent.execution(parent.run_id),
            workflow_task_finish_event_id=event_id,
            request_id=label,
        )
        return await world.attempt(request, label)

    await reset("while it runs", 9)
    reply = await reset("before it", 4)
    parent.saw_run(reply.run_id)


@script(settings=_ALL_OFF)
async def histories_without_tasks_in_memory(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await (await workflow.poll(quiet=True)).fail()
    await workflow.history("a task that failed before waits")
    task = await workflow.poll()
    await workflow.history("a worker has it")
    await task.complete()
    async with world.meanwhile(update(workflow)):
        await workflow.history("an update waits")
        await workflow.poll("the update")
        await workflow.history("a worker has the update")
        await workflow.terminate()


@script(settings=_ALL_OFF)
async def workers_that_are_to_scale_their_pollers(world: World) -> None:
    described = await world.do(api.DescribeNamespaceRequest(namespace=world.namespace), quiet=True)
    capabilities = described.namespace_info.capabilities
    world.note("to scale", capabilities.poller_autoscaling_auto_enroll)
    for build in ("short", "longer"):
        await world.attempt(
            api.PollWorkflowTaskQueueRequest(),
            build,
            task_queue={"name": world.id("queue")},
            worker_version_capabilities={"build_id": build},
            timeout=4,
        )
