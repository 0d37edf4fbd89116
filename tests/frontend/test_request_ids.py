"""A request that comes again with its id changes nothing, whatever has happened since.

The table has every call of the API whose request has an id: one that is new, or that is built, must be put there.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.json_format import ParseDict
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.api.workflowservice.v1.service_pb2 import DESCRIPTOR
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from tests.build.commands import failure, schedule_activity
from tests.served import client_of, serving

_METHODS = {
    method.name: method
    for method in DESCRIPTOR.services_by_name["WorkflowService"].methods
    if "request_id" in method.input_type.fields_by_name
}
_QUEUE = {"task_queue": {"name": "q"}}
_RUN = {"workflow_execution": {"workflow_id": "w"}}
_ACTIVITY = {"workflow_id": "w", "activity_id": "a"}
_OLDER = {"execution": {"workflow_id": "w"}, "id": "a"}


class Client:
    """Calls in the JSON form of the API, on the workflow "w" with the activity "a"."""

    def __init__(self, stub: WorkflowServiceStub) -> None:
        self._stub = stub

    async def call(self, name: str, **fields: Any) -> Any:
        kind = message_factory.GetMessageClass(
            DESCRIPTOR.services_by_name["WorkflowService"].methods_by_name[name].input_type
        )
        if "namespace" in kind.DESCRIPTOR.fields_by_name:
            fields = {"namespace": "ns"} | fields
        return await getattr(self._stub, name)(ParseDict(fields, kind()), timeout=60)

    async def start(self, **fields: Any) -> str:
        wanted = {"workflow_id": "w", "workflow_type": {"name": "T"}, "request_id": "start"}
        reply = await self.call("StartWorkflowExecution", **_QUEUE, **(wanted | fields))
        return str(reply.run_id)

    async def complete(self, *commands: Any) -> None:
        task = await self.call("PollWorkflowTaskQueue", **_QUEUE)
        reply = api.RespondWorkflowTaskCompletedRequest(
            namespace="ns", task_token=task.task_token, commands=commands
        )
        await self._stub.RespondWorkflowTaskCompleted(reply)

    async def schedule(self) -> None:
        await self.start()
        policy = {"initial_interval": "100s"}
        await self.complete(schedule_activity("a", "q", retry_policy=policy))

    async def fail(self) -> None:
        """Have a worker take the activity, and fail."""
        task = await self.call("PollActivityTaskQueue", **_QUEUE)
        reply = api.RespondActivityTaskFailedRequest(
            namespace="ns", task_token=task.task_token, failure=failure()
        )
        await self._stub.RespondActivityTaskFailed(reply)

    async def seen(self) -> Any:
        """Return all that a client can see of the workflow."""
        run = {"execution": {"workflow_id": "w"}}
        described = await self.call("DescribeWorkflowExecution", **run)
        history = await self.call("GetWorkflowExecutionHistory", **run)
        return described, history.history


@pytest.fixture
async def client():
    pausing = {"frontend.WorkflowPauseEnabled": True}
    async with serving(dynamic_config=pausing) as server, client_of(server) as stub:
        yield Client(stub)


Again = Callable[[], Awaitable[Any]]
#: Makes the call once and then lets other things happen; `again` makes it once more.
Story = Callable[[Client, Again], Awaitable[None]]
_STORIES: dict[str, tuple[dict[str, Any], Story]] = {}


def story(name: str, **fields: Any) -> Callable[[Story], Story]:
    def register(play: Story) -> Story:
        _STORIES[name] = (fields | {"request_id": "once"}, play)
        return play

    return register


@story("StartWorkflowExecution", workflow_id="w", workflow_type={"name": "T"}, **_QUEUE)
async def started(client: Client, again: Again) -> None:
    await again()
    await client.call("TerminateWorkflowExecution", **_RUN)


@story("SignalWorkflowExecution", signal_name="s", **_RUN)
async def signaled(client: Client, again: Again) -> None:
    await client.start()
    await again()
    await client.call("SignalWorkflowExecution", **_RUN, signal_name="s", request_id="another")
    await client.call("TerminateWorkflowExecution", **_RUN)


@story(
    "SignalWithStartWorkflowExecution",
    workflow_id="w",
    workflow_type={"name": "T"},
    signal_name="s",
    **_QUEUE,
)
async def signaled_with_start(client: Client, again: Again) -> None:
    await again()
    await client.call("SignalWorkflowExecution", **_RUN, signal_name="s", request_id="another")


@story("RequestCancelWorkflowExecution", **_RUN)
async def asked_to_stop(client: Client, again: Again) -> None:
    await client.start()
    await again()
    await client.complete()


@story("ResetWorkflowExecution", workflow_task_finish_event_id=4)
async def was_reset(client: Client, again: Again) -> None:
    """Another operator resets the run that this has made."""
    await client.start()
    await client.complete()
    await again()
    await client.complete()
    another = {"workflow_task_finish_event_id": 4, "request_id": "another"}
    await client.call("ResetWorkflowExecution", **_RUN, **another)


@story("PauseWorkflowExecution", workflow_id="w")
async def paused(client: Client, again: Again) -> None:
    await client.start()
    await again()
    await client.call("UnpauseWorkflowExecution", workflow_id="w", request_id="another")


@story("UnpauseWorkflowExecution", workflow_id="w")
async def unpaused(client: Client, again: Again) -> None:
    await client.start()
    await client.call("PauseWorkflowExecution", workflow_id="w", request_id="another")
    await again()
    await client.call("PauseWorkflowExecution", workflow_id="w", request_id="one more")


@story("PauseActivity", **_OLDER)
async def activity_paused(client: Client, again: Again) -> None:
    await client.schedule()
    await again()
    await client.call("UnpauseActivity", **_OLDER)


@story("PauseActivityExecution", **_ACTIVITY)
async def activity_paused_by_the_newer_call(client: Client, again: Again) -> None:
    await client.schedule()
    await again()
    await client.call("UnpauseActivityExecution", **_ACTIVITY)


@story("UnpauseActivityExecution", **_ACTIVITY)
async def activity_unpaused(client: Client, again: Again) -> None:
    await client.schedule()
    await client.call("PauseActivityExecution", **_ACTIVITY, request_id="another")
    await again()
    await client.call("PauseActivityExecution", **_ACTIVITY, request_id="one more")


@story("ResetActivityExecution", **_ACTIVITY)
async def activity_reset(client: Client, again: Again) -> None:
    await client.schedule()
    await client.fail()
    await again()
    await client.fail()


@story(
    "UpdateActivityExecutionOptions",
    **_ACTIVITY,
    activity_options={"heartbeat_timeout": "5s"},
    update_mask="heartbeatTimeout",
)
async def activity_changed(client: Client, again: Again) -> None:
    await client.schedule()
    await again()
    await client.call(
        "UpdateActivityOptions",
        **_OLDER,
        activity_options={"heartbeat_timeout": "9s"},
        update_mask="heartbeatTimeout",
    )


#: They are answered with UNIMPLEMENTED.
_NOT_BUILT = {
    "CreateSchedule",
    "UpdateSchedule",
    "PatchSchedule",
    "CreateWorkerDeployment",
    "CreateWorkerDeploymentVersion",
    "UpdateWorkerDeploymentVersionComputeConfig",
    "CreateWorkflowRule",
    "StartActivityExecution",
    "StartNexusOperationExecution",
    "RequestCancelActivityExecution",
    "TerminateActivityExecution",
    "RequestCancelNexusOperationExecution",
    "TerminateNexusOperationExecution",
}


def test_every_call_with_a_request_id_is_known() -> None:
    assert set(_STORIES) | _NOT_BUILT == set(_METHODS)


@pytest.mark.parametrize("name", sorted(_STORIES))
async def test_a_request_that_comes_again_changes_nothing(client: Client, name: str) -> None:
    fields, play = _STORIES[name]
    replies: list[Any] = []

    async def again() -> Any:
        if name == "ResetWorkflowExecution" and "workflow_execution" not in fields:
            run = (await client.seen())[0].workflow_execution_info.execution
            fields["workflow_execution"] = {"workflow_id": "w", "run_id": run.run_id}
        replies.append(await client.call(name, **fields))

    await play(client, again)
    before = await client.seen()
    await again()
    assert await client.seen() == before
    first, second = replies
    assert getattr(second, "run_id", "") == getattr(first, "run_id", "")


@pytest.mark.parametrize("name", sorted(_NOT_BUILT))
async def test_what_is_not_built_says_so(client: Client, name: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(name)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
