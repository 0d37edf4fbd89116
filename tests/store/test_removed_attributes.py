"""The values of a search attribute that was removed are gone for good, on every store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, SearchAttributes, WorkflowExecution
from temporalio.api.enums.v1 import CommandType, IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.api.operatorservice.v1.service_pb2_grpc import OperatorServiceStub
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
    ListWorkflowExecutionsRequest,
    PollWorkflowTaskQueueRequest,
    RegisterNamespaceRequest,
    RespondWorkflowTaskCompletedRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UpdateNamespaceRequest,
)
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from perdure import server as servers
from perdure.core.visibility.attributes import CustomAttribute
from perdure.runtime import attribute_periods
from perdure.runtime.visibility import index_old_rows
from perdure.server import Server
from perdure.settings import ServerSettings, Settings, StoreSettings
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, Lease, VisibilityRow
from tests.store.rows import visibility

#: Type → a value, and a filter that finds it by a name.
VALUES = {
    "Keyword": ('"abc"', "{} = 'abc'"),
    "Text": ('"some words"', "{} = 'words'"),
    "Int": ("7", "{} = 7"),
    "Double": ("0.5", "{} = 0.5"),
    "Bool": ("true", "{} = true"),
    "Datetime": ('"2026-01-02T03:04:05Z"', "{} = '2026-01-02T03:04:05Z'"),
    "KeywordList": ('["x","y"]', "{} = 'x'"),
}


class Served(MemoryStore):
    """The store in memory, with the path that a server asks for."""

    def renewal_path(self) -> "_RenewalPath":
        return _RenewalPath(self)


class _RenewalPath:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        asyncio.run(self._store.renew(leases, ttl_ns))

    def close(self) -> None:
        """There is no connection."""


class Cluster:
    """A server that can be started again, and what is asked of it."""

    def __init__(self, store: StoreSettings, *, lasts: bool = True) -> None:
        self._store = store
        self.lasts = lasts

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = Settings(
            server=ServerSettings(port=0, http_port=0, metrics_port=0), store=self._store
        )
        server = Server(settings)
        await server.start()
        self.node = server.node
        try:
            address = "{}:{}".format(*server.address)
            async with grpc.aio.insecure_channel(address) as channel:
                self.workflows = WorkflowServiceStub(channel)
                self.operators = OperatorServiceStub(channel)
                yield
        finally:
            await server.stop(0)

    async def add(self, **types: str) -> None:
        kinds = {
            name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{_upper(kind)}")
            for name, kind in types.items()
        }
        request = AddSearchAttributesRequest(namespace="ns", search_attributes=kinds)
        await self.operators.AddSearchAttributes(request)

    async def remove(self, *names: str) -> None:
        request = RemoveSearchAttributesRequest(namespace="ns", search_attributes=names)
        await self.operators.RemoveSearchAttributes(request)

    async def start(self, workflow_id: str, cron: str = "", **values: str) -> None:
        request = StartWorkflowExecutionRequest(
            namespace="ns",
            workflow_id=workflow_id,
            request_id=workflow_id,
            cron_schedule=cron,
            search_attributes=_attributes(values),
        )
        request.workflow_type.name, request.task_queue.name = "T", f"queue-{workflow_id}"
        await self.workflows.StartWorkflowExecution(request)

    async def terminate(self, workflow_id: str) -> None:
        request = TerminateWorkflowExecutionRequest(
            namespace="ns", workflow_execution=WorkflowExecution(workflow_id=workflow_id)
        )
        await self.workflows.TerminateWorkflowExecution(request)

    async def work(self, workflow_id: str, *commands: Command) -> None:
        request = PollWorkflowTaskQueueRequest(namespace="ns")
        request.task_queue.name = f"queue-{workflow_id}"
        task = await self.workflows.PollWorkflowTaskQueue(request, timeout=120)
        assert task.task_token
        await self.workflows.RespondWorkflowTaskCompleted(
            RespondWorkflowTaskCompletedRequest(
                namespace="ns", task_token=task.task_token, commands=commands
            )
        )

    async def found(self, query: str) -> list[str]:
        """Return the ids of the workflows that a filter finds."""
        ids = await self._listed(query)
        counted = CountWorkflowExecutionsRequest(namespace="ns", query=query)
        assert (await self.workflows.CountWorkflowExecutions(counted)).count == len(ids)
        return ids

    async def _listed(self, query: str) -> list[str]:
        request = ListWorkflowExecutionsRequest(namespace="ns", query=query)
        reply = await self.workflows.ListWorkflowExecutions(request)
        return sorted(info.execution.workflow_id for info in reply.executions)

    async def shown(self, workflow_id: str) -> tuple[set[str], set[str]]:
        """Return the names of a workflow's search attributes, as a list shows them, and its description."""
        request = ListWorkflowExecutionsRequest(
            namespace="ns", query=f"WorkflowId = '{workflow_id}'"
        )
        [listed, *_] = (await self.workflows.ListWorkflowExecutions(request)).executions
        described = await self.workflows.DescribeWorkflowExecution(
            DescribeWorkflowExecutionRequest(
                namespace="ns", execution=WorkflowExecution(workflow_id=workflow_id)
            )
        )
        info = described.workflow_execution_info
        names = [set(each.search_attributes.indexed_fields) for each in (listed, info)]
        return names[0] - {"BuildIds"}, names[1] - {"BuildIds"}

    async def becomes(self, query: str, ids: list[str]) -> None:
        """Wait until a filter finds these: a second database follows the main one."""
        while await self._listed(query) != ids:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert await self.found(query) == ids

    async def follow(self) -> None:
        """Wait until a second database has everything that is in the main one now."""
        replicator = self.node.replicator
        while replicator is not None and not await replicator.is_shown(self.node.clock.now_ns()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _upper(kind: str) -> str:
    return "KEYWORD_LIST" if kind == "KeywordList" else kind.upper()


def _attributes(values: dict[str, str]) -> SearchAttributes:
    return SearchAttributes(
        indexed_fields={
            name: Payload(metadata={"encoding": b"json/plain"}, data=value.encode())
            for name, value in values.items()
        }
    )


def upsert(**values: str) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    attributes = command.upsert_workflow_search_attributes_command_attributes
    attributes.search_attributes.CopyFrom(_attributes(values))
    return command


@pytest.fixture(
    params=[
        "memory",
        "sqlite-memory",
        "sqlite-file",
        "two-files",
        pytest.param("postgresql", marks=pytest.mark.slow),
    ]
)
def cluster(request, tmp_path, monkeypatch) -> Cluster:
    if request.param == "memory":
        store = Served()
        monkeypatch.setattr(servers, "open_store", lambda *_, **__: store)
        return Cluster(StoreSettings(url="sqlite::memory:"))
    if request.param == "postgresql":
        return Cluster(StoreSettings(url=request.getfixturevalue("postgres_url")))
    main = f"sqlite:///{tmp_path / 'main.db'}"
    if request.param == "two-files":
        lists = f"sqlite:///{tmp_path / 'lists.db'}"
        return Cluster(StoreSettings(url=main, visibility_url=lists))
    if request.param == "sqlite-file":
        return Cluster(StoreSettings(url=main))
    return Cluster(StoreSettings(url="sqlite::memory:"), lasts=False)


async def register(cluster: Cluster) -> None:
    request = RegisterNamespaceRequest(namespace="ns")
    request.workflow_execution_retention_period.FromSeconds(86400)
    await cluster.workflows.RegisterNamespace(request)


async def test_removed_values_are_found_by_nobody(cluster: Cluster):
    old = {f"Old{kind}": kind for kind in VALUES}
    values = {name: VALUES[kind][0] for name, kind in old.items()}
    other = {f"Other{kind}": kind for kind in VALUES}
    async with cluster.run():
        await register(cluster)
        await cluster.add(**old)
        for workflow_id in ("open", "closed", "worked-on"):
            await cluster.start(workflow_id, **values)
        await cluster.terminate("closed")
        for name, kind in old.items():
            await cluster.becomes(VALUES[kind][1].format(name), ["closed", "open", "worked-on"])
        assert await cluster.shown("open") == (set(old), set(old))

        await cluster.remove(*old)
        for workflow_id in ("open", "closed", "worked-on"):
            assert await cluster.shown(workflow_id) == (set(), set())
        for name in old:
            with pytest.raises(grpc.aio.AioRpcError):
                await cluster.found(f"{name} IS NULL")
        await cluster.add(**other)
        await _check_nothing(cluster, other)
        # The very name, too.
        await cluster.remove("OtherInt")
        await cluster.add(OldInt="Int")
        await _check_nothing(cluster, {"OldInt": "Int"})

        if not cluster.lasts:
            await _check_runs_that_change(cluster)
    if cluster.lasts:
        async with cluster.run():
            await _check_nothing(cluster, {"OldInt": "Int", "OtherText": "Text"})
            await _check_runs_that_change(cluster)


async def _check_nothing(cluster: Cluster, attributes: dict[str, str]) -> None:
    for name, kind in attributes.items():
        assert await cluster.found(VALUES[kind][1].format(name)) == []
        assert await cluster.found(f"{name} IS NOT NULL") == []
        assert len(await cluster.found(f"{name} IS NULL")) == 3
    for workflow_id in ("open", "closed", "worked-on"):
        assert await cluster.shown(workflow_id) == (set(), set())


async def _check_runs_that_change(cluster: Cluster) -> None:
    await cluster.work("worked-on", upsert(OtherText=VALUES["Text"][0]))
    await cluster.becomes("OtherText = 'words'", ["worked-on"])
    assert await cluster.shown("worked-on") == ({"OtherText"}, {"OtherText"})
    await cluster.terminate("open")
    await cluster.becomes("ExecutionStatus = 'Terminated'", ["closed", "open"])
    assert await cluster.shown("open") == (set(), set())
    assert await cluster.found("OldInt = 7") == []
    await cluster.start("new", OldInt="7")
    await cluster.becomes("OldInt = 7", ["new"])
    assert await cluster.found("OldInt IS NOT NULL") == ["new"]
    assert await cluster.shown("new") == ({"OldInt"}, {"OldInt"})


async def test_fields_that_have_lost_their_name_hold_nothing(cluster: Cluster):
    """Filters may name fields, and operators may give a field a name themselves."""

    async def name(**aliases: str) -> None:
        config = NamespaceConfig(custom_search_attribute_aliases=aliases)
        await cluster.workflows.UpdateNamespace(
            UpdateNamespaceRequest(namespace="ns", config=config)
        )

    async with cluster.run():
        await register(cluster)
        await name(Keyword02="First")
        await cluster.start("w", First='"abc"')
        await cluster.becomes("Keyword02 = 'abc'", ["w"])
        await name(Keyword02="")
        assert await cluster.found("Keyword02 = 'abc'") == []
        await name(Keyword02="Second")
        assert await cluster.found("Keyword02 = 'abc' OR Second = 'abc'") == []
        await cluster.start("v", Second='"abc"')
        await cluster.becomes("Keyword02 = 'abc' AND Second = 'abc'", ["v"])
        # Where the values of the second are does not show.
        described = await cluster.workflows.DescribeNamespace(
            DescribeNamespaceRequest(namespace="ns")
        )
        assert dict(described.config.custom_search_attribute_aliases) == {"Keyword02": "Second"}
        for number in range(1, 11):
            if number != 2:
                field = f"Keyword{number:02}"
                assert await cluster.found(f"{field} IS NOT NULL") == []
                await name(**{field: f"Name{number}"})
        await cluster.start("u", **{f"Name{number}": '"x"' for number in (1, 3, 4, 10)})
        await cluster.becomes("Name1 = 'x' AND Name3 = 'x' AND Name4 = 'x' AND Name10 = 'x'", ["u"])
        assert await cluster.found("Second = 'x' OR Keyword02 = 'x'") == []
        assert await cluster.found("Name1 = 'abc' OR Name3 = 'abc' OR Name10 = 'abc'") == []


async def test_a_field_is_used_again_when_nothing_is_left_in_it(cluster: Cluster, monkeypatch):
    monkeypatch.setattr(attribute_periods, "ALL_ARRIVED_NS", 0)
    async with cluster.run():
        await register(cluster)
        await cluster.add(First="Keyword")
        await cluster.start("w", First='"abc"')
        await cluster.becomes("First = 'abc'", ["w"])
        await cluster.remove("First")
        await cluster.add(Second="Keyword")
        namespace = cluster.node.namespaces.get("ns")
        assert namespace.attribute_periods.columns == {"Keyword01": "Keyword02"}
        await cluster.remove("Second")
        await cluster.work("w")
        await cluster.terminate("w")
        await cluster.becomes("ExecutionStatus = 'Terminated'", ["w"])
        await cluster.follow()
        await cluster.add(Third="Keyword")
        assert cluster.node.namespaces.get("ns").attribute_periods.columns == {}
        assert cluster.node.namespaces.get("ns").attribute_periods.worn == {}
        await cluster.start("v", Third='"abc"')
        await cluster.becomes("Third = 'abc'", ["v"])


class Moving(MemoryStore):
    """Rows wait in it to be written again, as when lists move to a second database."""

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return [row for row in self._visibility.values() if row.attributes == "0"]


async def test_rows_that_are_written_again_keep_the_values_of_now_only():
    now = CustomAttribute("Keyword02", since_ns=7)
    store = Moving()
    leases = await store.claim("node-1", 10**9)
    rows = [
        visibility(
            name,
            search_attributes=_attributes({name: '"red"'}).SerializeToString(),
            attributes="0",
        )
        for name in ("Word", now.stored_name("Word"))
    ]
    await store.commit(Batch(leases, visibility=rows))
    await index_old_rows(store, leases, lambda _: {"Word": now})
    found = {row.run_id: row.attributes for row in store._visibility.values()}
    assert found == {"Word": "", now.stored_name("Word"): '{"Keyword02":"red"}'}
