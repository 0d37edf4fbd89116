"""Links from a response to the history event that the request led to."""

from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import EventType


def link_to_start(namespace: str, workflow_id: str, run_id: str) -> Link:
    link = Link()
    event = link.workflow_event
    event.namespace, event.workflow_id, event.run_id = namespace, workflow_id, run_id
    event.event_ref.event_id = 1
    event.event_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    return link


def link_to_signal(namespace: str, workflow_id: str, run_id: str, request_id: str) -> Link:
    link = Link()
    event = link.workflow_event
    event.namespace, event.workflow_id, event.run_id = namespace, workflow_id, run_id
    event.request_id_ref.request_id = request_id
    event.request_id_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return link
