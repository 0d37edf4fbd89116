"""Requests of clients, written the short way. A fault in one is up to the test."""

from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.workflowservice.v1 import (
    PollWorkflowTaskQueueRequest,
    StartWorkflowExecutionRequest,
)


def start_request(workflow_id: str = "w", **fields: Any) -> StartWorkflowExecutionRequest:
    """Ask for a workflow of type "T" on the queue "q" of the namespace "ns".

    `fields` in the JSON form of the API come on top, or say otherwise.
    """
    wanted: dict[str, Any] = {
        "namespace": "ns",
        "workflow_id": workflow_id,
        "workflow_type": {"name": "T"},
        "task_queue": {"name": "q"},
    }
    return ParseDict(wanted | fields, StartWorkflowExecutionRequest())


def poll_request(queue: str = "q", **fields: Any) -> PollWorkflowTaskQueueRequest:
    """Ask for a workflow task of the queue in the namespace "ns"."""
    wanted: dict[str, Any] = {"namespace": "ns", "task_queue": {"name": queue}}
    return ParseDict(wanted | fields, PollWorkflowTaskQueueRequest())
