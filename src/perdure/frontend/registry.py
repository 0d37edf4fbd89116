"""Every RPC that is answered, by its full name. What is not in this table does not exist for clients."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import Message
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import request_response_pb2 as workflow_messages
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

from perdure.frontend.activities import Activities
from perdure.frontend.activity_control import ActivityControl
from perdure.frontend.call import Call
from perdure.frontend.history import WorkflowHistory
from perdure.frontend.multi_operation import MultiOperation
from perdure.frontend.namespaces import NamespaceService
from perdure.frontend.queries import WorkflowQueries
from perdure.frontend.services import Services
from perdure.frontend.system import SystemInfo
from perdure.frontend.task_queues import TaskQueueDescriptions
from perdure.frontend.updates import WorkflowUpdates
from perdure.frontend.visibility import Visibility
from perdure.frontend.workflow_tasks import WorkflowTasks
from perdure.frontend.workflows import Workflows

WORKFLOW_SERVICE = workflow_service.DESCRIPTOR.services_by_name["WorkflowService"]
OPERATOR_SERVICE = operator_service.DESCRIPTOR.services_by_name["OperatorService"]
#: Each has a method for every RPC that it answers, by the RPC's own name.
_HANDLERS: tuple[Callable[[Services], object], ...] = (
    Activities,
    ActivityControl,
    MultiOperation,
    NamespaceService,
    SystemInfo,
    TaskQueueDescriptions,
    Visibility,
    WorkflowHistory,
    WorkflowQueries,
    WorkflowTasks,
    WorkflowUpdates,
    Workflows,
)

Handler = Callable[[Any, Call], Awaitable[Message | bytes]]


class Rpc(NamedTuple):
    name: str
    request: type[Message]
    handler: Handler


def implemented() -> set[str]:
    """Return the full names of the RPCs that are answered, as in "/temporal.api.….WorkflowService/Poll…"."""
    names = {method.name for method in WORKFLOW_SERVICE.methods}
    return {_full_name(name) for handlers in _HANDLERS for name in names if hasattr(handlers, name)}


def rpcs(services: Services) -> Mapping[str, Rpc]:
    """Return the table by which calls are dispatched."""
    table: dict[str, Rpc] = {}
    for make in _HANDLERS:
        handlers = make(services)
        for method in WORKFLOW_SERVICE.methods:
            handler = getattr(handlers, method.name, None)
            if handler is not None:
                request = getattr(workflow_messages, method.input_type.name)
                table[_full_name(method.name)] = Rpc(method.name, request, handler)
    return table


def _full_name(name: str) -> str:
    return f"/{WORKFLOW_SERVICE.full_name}/{name}"
