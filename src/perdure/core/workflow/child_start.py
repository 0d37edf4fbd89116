"""The start of a child, as the parent asks for it and as the child's history shows it."""

from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.history.v1 import (
    StartChildWorkflowExecutionInitiatedEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from perdure.core.workflow.effects import (
    StartChild,
)


def start_request(outgoing: StartChild) -> StartWorkflowExecutionRequest:
    """Return what a client would have to send to start the child."""
    initiated = StartChildWorkflowExecutionInitiatedEventAttributes.FromString(outgoing.attributes)
    request = StartWorkflowExecutionRequest(
        namespace=initiated.namespace,
        workflow_id=initiated.workflow_id,
        workflow_type=initiated.workflow_type,
        task_queue=initiated.task_queue,
        workflow_task_timeout=initiated.workflow_task_timeout,
        workflow_id_reuse_policy=initiated.workflow_id_reuse_policy,
        cron_schedule=initiated.cron_schedule,
        request_id=outgoing.request_id,
    )
    for part in (
        "workflow_execution_timeout",
        "workflow_run_timeout",
        "input",
        "header",
        "memo",
        "search_attributes",
        "retry_policy",
    ):
        if initiated.HasField(part):
            getattr(request, part).CopyFrom(getattr(initiated, part))
    priority = Priority.FromString(outgoing.priority)
    priority.MergeFrom(initiated.priority)
    if priority.ByteSize():
        request.priority.CopyFrom(priority)
    return request


def with_parent(
    attributes: WorkflowExecutionStartedEventAttributes,
    outgoing: StartChild,
    parent_namespace_id: str,
    parent: WorkflowExecution,
) -> None:
    """Write into the child's started event whose child it is."""
    attributes.parent_workflow_namespace = outgoing.parent_namespace
    attributes.parent_workflow_namespace_id = parent_namespace_id
    attributes.parent_workflow_execution.CopyFrom(parent)
    attributes.parent_initiated_event_id = outgoing.initiated_event_id
    attributes.root_workflow_execution.workflow_id = outgoing.root_workflow_id
    attributes.root_workflow_execution.run_id = outgoing.root_run_id
