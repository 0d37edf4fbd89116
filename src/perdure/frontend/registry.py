"""All RPCs that the server answers, by full name. For clients, no other RPC exists."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

from perdure.frontend.activities.control import ActivityControl
from perdure.frontend.activities.executions import ActivityExecutions
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.namespaces.description import NamespaceDescriptions
from perdure.frontend.namespaces.lifecycle import NamespaceLifecycle
from perdure.frontend.system.clusters import Clusters
from perdure.frontend.system.server_info import ServerInfo
from perdure.frontend.tasks.activity_tasks import ActivityTasks
from perdure.frontend.tasks.queue_config import TaskQueueConfigs
from perdure.frontend.tasks.queue_descriptions import TaskQueueDescriptions
from perdure.frontend.tasks.workflow_tasks import WorkflowTasks
from perdure.frontend.visibility.lists import WorkflowLists
from perdure.frontend.visibility.search_attributes import CustomSearchAttributes
from perdure.frontend.workflows.control import WorkflowControl
from perdure.frontend.workflows.description import WorkflowDescriptions
from perdure.frontend.workflows.history import WorkflowHistory
from perdure.frontend.workflows.multi_operation import MultiOperation
from perdure.frontend.workflows.options import WorkflowOptions
from perdure.frontend.workflows.queries import WorkflowQueries
from perdure.frontend.workflows.reset import WorkflowResets
from perdure.frontend.workflows.start import WorkflowStarts
from perdure.frontend.workflows.updates import WorkflowUpdates

WORKFLOW_SERVICE = workflow_service.DESCRIPTOR.services_by_name["WorkflowService"]
OPERATOR_SERVICE = operator_service.DESCRIPTOR.services_by_name["OperatorService"]
SERVICES = (WORKFLOW_SERVICE, OPERATOR_SERVICE)
_METHODS = tuple(method for service in SERVICES for method in service.methods)
#: Each class has one method for each RPC that it answers, under the RPC's own name.
_HANDLERS: tuple[Callable[[Context], object], ...] = (
    ActivityControl,
    ActivityExecutions,
    ActivityTasks,
    Clusters,
    CustomSearchAttributes,
    MultiOperation,
    NamespaceDescriptions,
    NamespaceLifecycle,
    ServerInfo,
    TaskQueueConfigs,
    TaskQueueDescriptions,
    WorkflowControl,
    WorkflowDescriptions,
    WorkflowHistory,
    WorkflowLists,
    WorkflowOptions,
    WorkflowQueries,
    WorkflowResets,
    WorkflowStarts,
    WorkflowTasks,
    WorkflowUpdates,
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


def rpcs(context: Context) -> Mapping[str, Rpc]:
    """Return the table that the dispatcher uses: full name → RPC."""
    table: dict[str, Rpc] = {}
    for make in _HANDLERS:
        handlers = make(context)
        for method in _METHODS:
            handler = getattr(handlers, method.name, None)
            if handler is not None:
                request = GetMessageClass(method.input_type)
                table[full_name(method)] = Rpc(method.name, request, handler)
    return table


def full_name(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
