"""Every RPC that is answered, by its full name. What is not in this table does not exist for clients."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

from perdure.frontend.activities.control import ActivityControl
from perdure.frontend.activities.executions import ActivityExecutions
from perdure.frontend.activities.tasks import Activities
from perdure.frontend.call import Call
from perdure.frontend.context import Services
from perdure.frontend.namespaces.namespaces import NamespaceService
from perdure.frontend.system.clusters import ClusterService
from perdure.frontend.system.system import SystemInfo
from perdure.frontend.tasks.task_queue_config import TaskQueueConfigs
from perdure.frontend.tasks.task_queues import TaskQueueDescriptions
from perdure.frontend.tasks.workflow_tasks import WorkflowTasks
from perdure.frontend.visibility.lists import Visibility
from perdure.frontend.visibility.search_attributes import SearchAttributeService
from perdure.frontend.workflows.history import WorkflowHistory
from perdure.frontend.workflows.lifecycle import Workflows
from perdure.frontend.workflows.multi_operation import MultiOperation
from perdure.frontend.workflows.queries import WorkflowQueries
from perdure.frontend.workflows.updates import WorkflowUpdates

WORKFLOW_SERVICE = workflow_service.DESCRIPTOR.services_by_name["WorkflowService"]
OPERATOR_SERVICE = operator_service.DESCRIPTOR.services_by_name["OperatorService"]
SERVICES = (WORKFLOW_SERVICE, OPERATOR_SERVICE)
_METHODS = tuple(method for service in SERVICES for method in service.methods)
#: Each has a method for every RPC that it answers, by the RPC's own name.
_HANDLERS: tuple[Callable[[Services], object], ...] = (
    Activities,
    ActivityControl,
    ActivityExecutions,
    ClusterService,
    MultiOperation,
    NamespaceService,
    SearchAttributeService,
    SystemInfo,
    TaskQueueConfigs,
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
    return {
        full_name(method)
        for handlers in _HANDLERS
        for method in _METHODS
        if hasattr(handlers, method.name)
    }


def rpcs(services: Services) -> Mapping[str, Rpc]:
    """Return the table by which calls are dispatched."""
    table: dict[str, Rpc] = {}
    for make in _HANDLERS:
        handlers = make(services)
        for method in _METHODS:
            handler = getattr(handlers, method.name, None)
            if handler is not None:
                request = GetMessageClass(method.input_type)
                table[full_name(method)] = Rpc(method.name, request, handler)
    return table


def full_name(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
