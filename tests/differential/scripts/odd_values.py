"""Values that no client of good will sends, field by field."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Link, Payload
from temporalio.api.filter.v1 import StartTimeFilter, StatusFilter
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.replication.v1 import ClusterReplicationConfig
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import VersioningOverride
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import World

_JSON = {"encoding": b"json/plain"}
_LINKS = {
    "activity": Link.Activity,
    "nexus_operation": Link.NexusOperation,
    "workflow": Link.Workflow,
    "batch_job": Link.BatchJob,
    "workflow_event": Link.WorkflowEvent,
}


@script
async def links_that_lack_something(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for variant, kind in _LINKS.items():
        fields: dict[str, Any] = {}
        for field in (None, "namespace", "activity_id", "operation_id", "workflow_id", "run_id"):
            if field is not None:
                if field not in kind.DESCRIPTOR.fields_by_name:
                    continue
                fields[field] = "x"
            link = Link(**{variant: kind(**fields)})
            request = workflow.start_request()
            request.links.append(link)
            await world.attempt(request, f"{variant} with {field}", workflow_id="")
            request.workflow_id = workflow.id
            await world.attempt(request, f"{variant} with {field}")
    await workflow.terminate()


@script
async def search_attributes_in_odd_encodings(world: World) -> None:
    """Only JSON counts, and what encodes nothing."""
    types = {"K": 2, "I": 3, "D": 4, "B": 5, "T": 6, "L": 7}
    await world.own_namespace()
    await world.do(operator.AddSearchAttributesRequest(search_attributes=types), quiet=True)
    payloads = [
        Payload(),
        *(Payload(data=data) for data in (b"null", b"[]", b'"x"', b"1", b"\xff\0")),
        *(Payload(metadata={"encoding": b"bogus"}, data=data) for data in (b"", b"1", b'"x"')),
        *(Payload(metadata={"encoding": b"binary/plain"}, data=data) for data in (b"", b"null")),
        Payload(metadata={"encoding": b"binary/null"}, data=b"x"),
        *(
            Payload(metadata=_JSON, data=data)
            for data in (
                *(b"", b"{", b"1 2", b"NaN", b"1e400", b"1e3", b"1000000", b"123456.7"),
                *(b"9223372036854775808", b"0.00001", b'{"b":[true,null],"a":{}}', b'["a",1]'),
            )
        ),
    ]
    for name in types:
        for number, payload in enumerate(payloads):
            workflow = world.workflow(f"{name}{len(world.workflows)}")
            request = workflow.start_request()
            request.search_attributes.indexed_fields[name].CopyFrom(payload)
            await world.attempt(request, f"{name} as {number}: {payload.data!r}")
    await world.clean_up()
    world.workflows.clear()


@script(
    intended=[
        Intended(
            "* ListClosedWorkflowExecutions ??? *.message",
            "a time that cannot be written is named by its number",
        )
    ]
)
async def lists_of_odd_times(world: World) -> None:
    for end in ("earliest", "latest"):
        for label, time in {
            "year 1": Timestamp(seconds=-62135596800),
            "long ago": Timestamp(seconds=-(10**10)),
            "in a thousand years": Timestamp(seconds=5 * 10**10),
            "never": Timestamp(seconds=10**12),
            "in negative nanoseconds": Timestamp(nanos=-1),
        }.items():
            request = api.ListClosedWorkflowExecutionsRequest(maximum_page_size=1)
            getattr(request.start_time_filter, f"{end}_time").CopyFrom(time)
            request.execution_filter.workflow_id = world.id("nobody")
            label = f"??? {label}" if label == "never" else label  # noqa: PLW2901
            await world.attempt(request, f"{label} {end}")
    for status in (99, -1, 0, 1):
        request = api.ListClosedWorkflowExecutionsRequest(
            status_filter=StatusFilter(status=status),
            start_time_filter=StartTimeFilter(latest_time=Timestamp(seconds=1)),
        )
        await world.attempt(request, f"status {status}")


@script
async def clusters_without_a_name(world: World) -> None:
    register = api.RegisterNamespaceRequest(namespace=world.id("namespace"))
    register.workflow_execution_retention_period.FromSeconds(86400)
    register.clusters.append(ClusterReplicationConfig())
    await world.attempt(register)
    await world.own_namespace()
    update = api.UpdateNamespaceRequest()
    update.replication_config.clusters.append(ClusterReplicationConfig())
    await world.attempt(update)


@script
async def options_that_are_not_to_be_changed(world: World) -> None:
    """They are looked at all the same."""
    workflow = world.workflow()
    await workflow.start()
    request = api.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution=workflow.execution(), update_mask=FieldMask(paths=["priority"])
    )
    options = request.workflow_execution_options
    for override in (
        VersioningOverride(),
        VersioningOverride(auto_upgrade=False),
        VersioningOverride(auto_upgrade=True),
        VersioningOverride(behavior=1),
        VersioningOverride(behavior=99),
        VersioningOverride(pinned=VersioningOverride.PinnedOverride()),
    ):
        options.versioning_override.CopyFrom(override)
        await world.attempt(request, f"override {override}".strip())
    options.ClearField("versioning_override")
    options.time_skipping_config.SetInParent()
    await world.attempt(request, "time skipping")
    request.workflow_execution.run_id = "x"
    await world.attempt(request, "time skipping, bad run")
    options.ClearField("time_skipping_config")
    await world.attempt(request, "bad run")
    await workflow.terminate()


@script
async def queues_with_a_normal_name(world: World) -> None:
    queue = TaskQueue(name=world.id("queue"), normal_name="x" * 1001)
    workflow = world.workflow()
    request = workflow.start_request()
    request.task_queue.CopyFrom(queue)
    await world.attempt(request, "long")
    await workflow.terminate()
    queue.normal_name = "normal"
    for kind in (api.ListTaskQueuePartitionsRequest, api.DescribeTaskQueueRequest):
        await world.attempt(kind(task_queue=queue), "normal")


@script
async def answers_of_a_worker_from_the_future(world: World) -> None:
    """Causes that nobody knows, and a sticky queue for ever."""
    workflow = world.workflow()
    await workflow.start()
    for number in (99, -1):
        task = await workflow.poll()
        request = api.RespondWorkflowTaskFailedRequest(
            task_token=task.reply.task_token, cause=number, identity="worker"
        )
        await world.attempt(request, f"cause {number}")
        await workflow.describe(f"cause {number}")
    task = await workflow.poll()
    complete = api.RespondWorkflowTaskCompletedRequest(
        task_token=task.reply.task_token, identity="worker"
    )
    complete.sticky_attributes.worker_task_queue.name = workflow.sticky_queue
    complete.sticky_attributes.schedule_to_start_timeout.seconds = 10**11
    await world.attempt(complete, "sticky for ever")
    await (await workflow.signal_and_poll_sticky()).complete(complete_workflow())
