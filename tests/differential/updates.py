"""Updates, written the short way: what a client asks, and the messages with which a worker answers.

Only what clients and workers would send; that a message is wrong is up to the script.
"""

from collections.abc import Sequence
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import (
    Input,
    Meta,
    Request,
    UpdateRef,
    WaitPolicy,
)
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import payloads
from tests.build.updates import accepts, completes, message_commands
from tests.differential.world import Workflow, WorkflowTask

# The client's side


def stage(name: str) -> Any:
    return Stage.Value(f"UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_{name}")


def update_request(
    workflow: Workflow, update_id: str = "one", *, wait: str = "UNSPECIFIED", run_id: str = ""
) -> api.UpdateWorkflowExecutionRequest:
    return api.UpdateWorkflowExecutionRequest(
        workflow_execution=workflow.execution(run_id),
        request=Request(
            meta=Meta(update_id=update_id, identity="client"),
            input=Input(name="update", args=payloads("argument")),
        ),
        wait_policy=WaitPolicy(lifecycle_stage=stage(wait)),
    )


async def update(
    workflow: Workflow,
    update_id: str = "one",
    label: str = "",
    *,
    wait: str = "UNSPECIFIED",
    run_id: str = "",
    **fields: Any,
) -> Any:
    request = update_request(workflow, update_id, wait=wait, run_id=run_id)
    return await workflow.world.attempt(request, label or update_id, **fields)


async def poll_update(
    workflow: Workflow,
    update_id: str = "one",
    label: str = "",
    *,
    wait: str = "UNSPECIFIED",
    run_id: str = "",
    **fields: Any,
) -> Any:
    request = api.PollWorkflowExecutionUpdateRequest(
        update_ref=UpdateRef(workflow_execution=workflow.execution(run_id), update_id=update_id),
        identity="client",
        wait_policy=WaitPolicy(lifecycle_stage=stage(wait)),
    )
    return await workflow.world.attempt(request, label or update_id, **fields)


# The worker's side


async def respond(
    task: WorkflowTask,
    messages: Sequence[Message],
    *commands: Command,
    label: str = "",
    with_commands: bool = True,
    **fields: Any,
) -> Any:
    """Complete the task with `messages`, then `commands`."""
    request = api.RespondWorkflowTaskCompletedRequest(
        task_token=task.reply.task_token,
        identity="worker",
        commands=[*(message_commands(messages) if with_commands else ()), *commands],
        messages=messages,
    )
    return await task.workflow.world.attempt(request, label, **fields)


async def accept_and_complete(task: WorkflowTask, *commands: Command, **fields: Any) -> Any:
    """Play a worker whose handlers are done at once."""
    messages = [
        answer for asked in task.reply.messages for answer in (accepts(asked), completes(asked))
    ]
    return await respond(task, messages, *commands, **fields)
