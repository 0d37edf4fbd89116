"""An administrator: changes namespaces, search attributes and task queues, and looks at the server as a whole.

It is the only one who changes them, and asks until it is answered: so at the end each has what it set last. Before that
another node may show what was there some seconds ago.
"""

import asyncio
import random
from typing import Any

from temporalio.api.enums.v1 import (
    IndexedValueType,
    NamespaceState,
    TaskQueueType,
    WorkflowIdConflictPolicy,
)
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListClustersRequest,
    ListSearchAttributesRequest,
    RemoveRemoteClusterRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DeprecateNamespaceRequest,
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetClusterInfoRequest,
    GetSearchAttributesRequest,
    GetSystemInfoRequest,
    ListNamespacesRequest,
    ListTaskQueuePartitionsRequest,
    RegisterNamespaceRequest,
    StartWorkflowExecutionRequest,
    UpdateNamespaceRequest,
    UpdateTaskQueueConfigRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.program import NAMESPACE, QUEUE
from perdure.testing.simulator.retrying_caller import RetryingCaller
from perdure.testing.simulator.witness import Server, Witness

MADE_MAX = 3
ATTRIBUTES = ("Colour", "Shape", "Weight")
_ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
_USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
_INT = IndexedValueType.INDEXED_VALUE_TYPE_INT
_REGISTERED = NamespaceState.NAMESPACE_STATE_REGISTERED
_DEPRECATED = NamespaceState.NAMESPACE_STATE_DEPRECATED


class Administrator(RetryingCaller):
    def __init__(
        self, server: Server, too_new: Server, witness: Witness, randomness: random.Random
    ) -> None:
        """`too_new` is a connection of a client with which no server of today works."""
        super().__init__(server, witness, randomness)
        self._too_new = too_new
        self._number = 0
        #: The last acknowledged description and state of each namespace.
        self._descriptions: dict[str, str] = {}
        self._states: dict[str, NamespaceState.ValueType] = {}
        self._attributes: set[str] = set()
        #: Tasks a second of the activity queue; 0: no limit.
        self._rate = 0.0
        self.is_over = False

    async def live(self) -> None:
        while not self.is_over:
            await asyncio.sleep(self._random.expovariate(1 / 5.0))
            await self._random.choice(
                (
                    self._register,
                    self._describe_anew,
                    self._describe_anew,
                    self._deprecate,
                    self._start_in_made,
                    self._add_attribute,
                    self._remove_attribute,
                    self._limit_activities,
                    self._look_at_queue,
                    self._look_at_server,
                    self._call_as_too_new,
                )
            )()

    def _next(self) -> int:
        self._number += 1
        return self._number

    # Namespaces

    async def _register(self) -> None:
        if len(self._states) == MADE_MAX:
            return
        name = f"made-{self._next()}"
        request = RegisterNamespaceRequest(namespace=name, description="made")
        request.workflow_execution_retention_period.FromSeconds(24 * 3600)
        try:
            await self.insist(request)
        except Rejected as refusal:
            # An earlier try has done it.
            if refusal.code is not Code.ALREADY_EXISTS:
                raise
        self._descriptions[name], self._states[name] = "made", _REGISTERED

    async def _describe_anew(self) -> None:
        name = self._random.choice((NAMESPACE, *self._states))
        request = UpdateNamespaceRequest(namespace=name)
        request.update_info.description = f"change {self._next()}"
        reply = await self._insist_until_known(request)
        assert reply.namespace_info.description == request.update_info.description
        self._descriptions[name] = request.update_info.description

    async def _deprecate(self) -> None:
        if not self._states or self._random.random() < 0.5:
            return
        name = self._random.choice(list(self._states))
        await self._insist_until_known(DeprecateNamespaceRequest(namespace=name))
        self._states[name] = _DEPRECATED

    async def _start_in_made(self) -> None:
        """Start a workflow that no worker ever works on: it times out."""
        names = [name for name, state in self._states.items() if state == _REGISTERED]
        if names:
            await self._insist_until_known(self._start_request(self._random.choice(names)))

    def _start_request(self, namespace: str) -> StartWorkflowExecutionRequest:
        request = StartWorkflowExecutionRequest(
            namespace=namespace, workflow_id="alone", request_id=f"alone/{self._next()}"
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = "nobody-polls"
        request.workflow_execution_timeout.FromSeconds(20)
        request.workflow_id_conflict_policy = _USE_EXISTING
        return request

    async def _insist_until_known(self, request: Any) -> Any:
        """Insist. A node may not have heard yet of a namespace that another one registered."""
        while True:
            try:
                return await self.insist(request)
            except Rejected as refusal:
                if refusal.code is not Code.NOT_FOUND:
                    raise
            await asyncio.sleep(self._random.uniform(1, 5))

    # Search attributes and task queues

    async def _add_attribute(self) -> None:
        name = self._random.choice(ATTRIBUTES)
        request = AddSearchAttributesRequest(namespace=NAMESPACE)
        request.search_attributes[name] = _INT
        await self.insist(request)
        self._attributes.add(name)

    async def _remove_attribute(self) -> None:
        if not self._attributes:
            return
        name = self._random.choice(sorted(self._attributes))
        request = RemoveSearchAttributesRequest(namespace=NAMESPACE, search_attributes=[name])
        await self.insist(request)
        self._attributes.discard(name)

    async def _limit_activities(self) -> None:
        request = UpdateTaskQueueConfigRequest(
            namespace=NAMESPACE, task_queue=QUEUE, task_queue_type=_ACTIVITIES
        )
        rate = self._random.choice((0.0, 1.0, 5.0))
        request.update_queue_rate_limit.reason = "simulated"
        if rate:
            request.update_queue_rate_limit.rate_limit.requests_per_second = rate
        reply = await self.insist(request)
        assert _rate(reply.config) == rate
        self._rate = rate

    async def _look_at_queue(self) -> None:
        described = await self.call_once(self._queue_request())
        for poller in described.pollers if described is not None else ():
            assert poller.identity.startswith("activities-"), f"{poller.identity} polls {QUEUE}"
        request = ListTaskQueuePartitionsRequest(namespace=NAMESPACE)
        request.task_queue.name = QUEUE
        listed = await self.insist(request)
        assert [each.key for each in listed.activity_task_queue_partitions] == [QUEUE]

    def _queue_request(self) -> DescribeTaskQueueRequest:
        request = DescribeTaskQueueRequest(
            namespace=NAMESPACE, task_queue_type=_ACTIVITIES, report_config=True, report_stats=True
        )
        request.task_queue.name = QUEUE
        return request

    # The server

    async def _look_at_server(self) -> None:
        system = await self.insist(GetSystemInfoRequest())
        assert system.capabilities.sdk_metadata
        cluster = await self.insist(GetClusterInfoRequest())
        [listed] = (await self.insist(ListClustersRequest())).clusters
        assert (listed.cluster_name, listed.cluster_id) == (
            cluster.cluster_name,
            cluster.cluster_id,
        )
        assert (await self.insist(GetSearchAttributesRequest())).keys
        try:
            await self.insist(RemoveRemoteClusterRequest(cluster_name="elsewhere"))
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise

    async def _call_as_too_new(self) -> None:
        try:
            await self._too_new.call(DescribeNamespaceRequest(namespace=NAMESPACE))
        except Rejected as refusal:
            if refusal.code not in (Code.FAILED_PRECONDITION, Code.UNAVAILABLE):
                raise

    # At the end

    async def look_back(self) -> None:
        """All nodes have heard of all changes: what was acknowledged last is there."""
        for name, description in self._descriptions.items():
            shown = await self.insist(DescribeNamespaceRequest(namespace=name))
            assert shown.namespace_info.description == description, f"{name}: {shown}"
            state = self._states.get(name, _REGISTERED)
            assert shown.namespace_info.state == state, f"{name}: {shown}"
            if state == _DEPRECATED:
                await self._see_that_nothing_starts(name)
        listed = await self.insist(ListNamespacesRequest())
        names = {each.namespace_info.name for each in listed.namespaces}
        assert {NAMESPACE, *self._states} <= names, f"namespaces are lost: {names}"
        known = await self.insist(ListSearchAttributesRequest(namespace=NAMESPACE))
        shown_attributes = set(known.custom_attributes)
        assert shown_attributes == self._attributes, f"{shown_attributes}, not {self._attributes}"
        config = (await self.insist(self._queue_request())).config
        assert _rate(config) == self._rate, f"{config}, not {self._rate}"

    async def _see_that_nothing_starts(self, name: str) -> None:
        try:
            await self.insist(self._start_request(name))
        except Rejected as refusal:
            if refusal.code is not Code.FAILED_PRECONDITION:
                raise
            return
        raise AssertionError(f"a workflow was started in {name}, which is deprecated")


def _rate(config: Any) -> float:
    return float(config.queue_rate_limit.rate_limit.requests_per_second)
