"""Lists and counts with filters, by what RPC ever, and what is refused of them."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World


async def _three(world: World) -> None:
    await world.own_namespace()
    for name in ("open", "terminated", "other"):
        await world.workflow(name).start(quiet=True, workflow_type={"name": f"type of {name}"})
    await world.workflow("terminated").terminate(quiet=True)
    for _ in range(50):
        counted = await world.attempt(
            api.CountWorkflowExecutionsRequest(query="CloseTime IS NOT NULL"), quiet=True
        )
        everything = await world.attempt(api.CountWorkflowExecutionsRequest(), quiet=True)
        assert not isinstance(counted, Refusal)
        assert not isinstance(everything, Refusal)
        if counted.count == 1 and everything.count == 3:
            return
        await world.wait(0.1)


@script
async def open_and_closed_listed(world: World) -> None:
    await _three(world)
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "by workflow id": {"execution_filter": {"workflow_id": world.id("terminated")}},
        "by type": {"type_filter": {"name": "type of open"}},
        "by long ago": {"start_time_filter": {"latest_time": "2020-01-01T00:00:00Z"}},
        "since long ago": {"start_time_filter": {"earliest_time": "2020-01-01T00:00:00Z"}},
        "by times that are swapped": {
            "start_time_filter": {
                "earliest_time": "2021-01-01T00:00:00Z",
                "latest_time": "2020-01-01T00:00:00Z",
            }
        },
    }
    for label, fields in filters.items():
        await world.attempt(api.ListOpenWorkflowExecutionsRequest(), f"open, {label}", **fields)
        await world.attempt(api.ListClosedWorkflowExecutionsRequest(), f"closed, {label}", **fields)
    for status in ("TERMINATED", "COMPLETED", "RUNNING", "UNSPECIFIED"):
        await world.attempt(
            api.ListClosedWorkflowExecutionsRequest(),
            f"closed, {status}",
            status_filter={"status": f"WORKFLOW_EXECUTION_STATUS_{status}"},
        )


@script
async def executions_scanned(world: World) -> None:
    await _three(world)
    await world.attempt(api.ScanWorkflowExecutionsRequest(), "all")
    await world.attempt(
        api.ScanWorkflowExecutionsRequest(query="WorkflowType = 'type of other'"), "filtered"
    )
    await world.attempt(api.ScanWorkflowExecutionsRequest(query="Nope = 1"), "refused")


@script
async def executions_counted_by_group(world: World) -> None:
    await _three(world)
    for query in (
        "GROUP BY ExecutionStatus",
        "WorkflowType = 'type of open' GROUP BY ExecutionStatus",
        "WorkflowType = 'none' GROUP BY ExecutionStatus",
        "GROUP BY TemporalNamespaceDivision",
        "GROUP BY WorkflowType",
    ):
        await world.attempt(api.CountWorkflowExecutionsRequest(query=query), query)


@script
async def archived_executions_listed(world: World) -> None:
    await world.own_namespace()
    await world.attempt(api.ListArchivedWorkflowExecutionsRequest(), "archived")
    await world.attempt(api.ListArchivedWorkflowExecutionsRequest(page_size=10_001), "too many")


@script(
    intended=(
        Intended("*the token*.refused", "a token of nobody's is the caller's fault"),
        Intended("*the token*.message", "a token of nobody's is the caller's fault"),
    )
)
async def pages_refused(world: World) -> None:
    await _three(world)
    for size in (-1, 0, 2000):
        await world.attempt(api.ListWorkflowExecutionsRequest(page_size=size), f"a page of {size}")
    for token in (b"x", b"\0"):
        await world.attempt(
            api.ListWorkflowExecutionsRequest(next_page_token=token), f"the token {token!r}"
        )


@script
async def builds_of_open_runs(world: World) -> None:
    """Lists show the workers of a run while it is open."""
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.poll_and_complete()
    for _ in range(50):
        counted = await world.attempt(
            api.CountWorkflowExecutionsRequest(query="BuildIds = 'unversioned'"), quiet=True
        )
        assert not isinstance(counted, Refusal)
        if counted.count:
            break
        await world.wait(0.1)
    await world.attempt(
        api.ListWorkflowExecutionsRequest(), "listed", query="BuildIds = 'unversioned'"
    )
    await world.attempt(api.ListWorkflowExecutionsRequest(), "all")
