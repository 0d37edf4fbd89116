"""A reader of visibility: it lists, scans and counts workflow executions, page by page.

Workflows that were started before it began to read are listed, and at the end all ways to ask give the same.
"""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    ListArchivedWorkflowExecutionsRequest,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
    ScanWorkflowExecutionsRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.retrying_caller import RetryingCaller

PAGE_RUNS = 5
_RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING


class VisibilityReader(RetryingCaller):
    is_over = False

    async def live(self) -> None:
        while not self.is_over:
            await asyncio.sleep(self._random.expovariate(1 / 10.0))
            await self._random.choice(
                (self._scan, self._look_at_open, self._look_at_closed, self._ask_for_archived)
            )()

    async def _scan(self) -> None:
        started = set(self._witness.started)
        runs = await self._pages(ScanWorkflowExecutionsRequest(namespace=NAMESPACE), "page_size")
        listed = {run.execution.workflow_id for run in runs}
        if not self._witness.lists_follow:
            assert started <= listed, f"no scan shows {started - listed}"

    async def _look_at_open(self) -> None:
        for run in await self._open():
            assert run.status == _RUNNING, f"listed as open: {run}"

    async def _look_at_closed(self) -> None:
        for run in await self._closed():
            assert run.HasField("close_time"), f"listed as closed: {run}"

    async def _ask_for_archived(self) -> None:
        try:
            await self.insist(ListArchivedWorkflowExecutionsRequest(namespace=NAMESPACE))
        except Rejected as refusal:
            if refusal.code is not Code.INVALID_ARGUMENT:
                raise
            return
        raise AssertionError("there is an archive")

    async def look_back(self) -> None:
        """Everything has ended, and visibility has caught up."""
        assert not await self._open()
        listed = await self._pages(ListWorkflowExecutionsRequest(namespace=NAMESPACE), "page_size")
        scanned = await self._pages(ScanWorkflowExecutionsRequest(namespace=NAMESPACE), "page_size")
        closed = await self._closed()
        assert _ids(listed) == _ids(scanned) == _ids(closed), "lists differ"
        counted = await self.insist(CountWorkflowExecutionsRequest(namespace=NAMESPACE))
        assert counted.count == len(listed), f"{counted.count} runs counted, {len(listed)} listed"
        by_status = CountWorkflowExecutionsRequest(
            namespace=NAMESPACE, query="GROUP BY ExecutionStatus"
        )
        groups = (await self.insist(by_status)).groups
        assert sum(group.count for group in groups) == len(listed), f"{groups}"

    async def _open(self) -> list[Any]:
        request = ListOpenWorkflowExecutionsRequest(namespace=NAMESPACE)
        return await self._pages(request, "maximum_page_size")

    async def _closed(self) -> list[Any]:
        request = ListClosedWorkflowExecutionsRequest(namespace=NAMESPACE)
        return await self._pages(request, "maximum_page_size")

    async def _pages(self, request: Any, size_field: str) -> list[Any]:
        setattr(request, size_field, PAGE_RUNS)
        runs: list[Any] = []
        while True:
            page = await self.insist(request)
            runs += page.executions
            if not page.next_page_token:
                return runs
            request.next_page_token = page.next_page_token


def _ids(runs: list[Any]) -> list[str]:
    return [run.execution.run_id for run in runs]
