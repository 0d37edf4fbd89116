"""Write the executions to a server, ask it everything, and make the answers comparable with another server's."""

import asyncio
import json
import re
import uuid
from collections import Counter
from typing import Any

import grpc
import grpc.aio
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.operatorservice.v1.service_pb2_grpc import OperatorServiceStub
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from tests.build.commands import cancel_workflow, command, continue_as_new, fail_workflow
from tests.build.requests import poll_request, start_request
from tests.visibility.corpus import ATTRIBUTES, ENDINGS, Execution

NAMESPACE = "default"
#: The real server's SQL databases name parts of their own program, which perdure cannot.
_INNER = (
    r"(malformed SQL query).*",
    r"(must be a column name but was).*",
    r"(unexpected value type).*",
    r"(operation is not supported: )(?:function expression|expression of).*",
    r"(unable to parse value).*",
)
_WITHIN_S = 60


class Asked:
    def __init__(self, channel: Any) -> None:
        self._service = WorkflowServiceStub(channel)
        self._operator = OperatorServiceStub(channel)
        self._times: dict[str, str] = {}

    async def write(self, executions: list[Execution]) -> None:
        kinds = {
            name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{_SCREAMING[kind]}")
            for name, kind in ATTRIBUTES.items()
        }
        await self._operator.AddSearchAttributes(
            operator.AddSearchAttributesRequest(namespace=NAMESPACE, search_attributes=kinds)
        )
        await self._until_known()
        for execution in executions:
            await self._start(execution)
        for execution in executions:
            if execution.ending == "terminated":
                request = api.TerminateWorkflowExecutionRequest(namespace=NAMESPACE)
                request.workflow_execution.workflow_id = execution.workflow_id
                await self._service.TerminateWorkflowExecution(request)
        worked = {each.workflow_id: each for each in executions if each.task_queue == "worked"}
        for _ in worked:
            await self._work(worked)
        await self._until_all_are_listed(executions)

    async def _until_known(self) -> None:
        """The real server's caches learn of search attributes a moment later."""
        for _ in range(10 * _WITHIN_S):
            if isinstance(await self.answer("T is null"), list):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("search attributes that were added cannot be used")

    async def _start(self, execution: Execution) -> None:
        request = start_request(
            execution.workflow_id,
            namespace=NAMESPACE,
            request_id=str(uuid.uuid4()),
            workflow_type={"name": execution.workflow_type},
            task_queue={"name": execution.task_queue},
        )
        if execution.ending == "timed out":
            request.workflow_run_timeout.seconds = 1
        for name, value in execution.attributes.items():
            request.search_attributes.indexed_fields[name].CopyFrom(
                Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
            )
        await self._service.StartWorkflowExecution(request)

    async def _work(self, worked: dict[str, Execution]) -> None:
        request = poll_request("worked", namespace=NAMESPACE)
        task = await self._service.PollWorkflowTaskQueue(request, timeout=_WITHIN_S)
        last = _end(worked[task.workflow_execution.workflow_id])
        reply = api.RespondWorkflowTaskCompletedRequest(task_token=task.task_token, commands=[last])
        await self._service.RespondWorkflowTaskCompleted(reply)

    async def _until_all_are_listed(self, executions: list[Execution]) -> None:
        """The real server's lists are late."""
        endings = Counter(each.ending for each in executions)
        wanted = {_STATUSES[ending]: endings[ending] for ending in ENDINGS}
        wanted["Running"] += endings["continued"]
        async with asyncio.timeout(_WITHIN_S):
            while True:
                found = await self._service.CountWorkflowExecutions(
                    api.CountWorkflowExecutionsRequest(
                        namespace=NAMESPACE, query="GROUP BY ExecutionStatus"
                    )
                )
                groups = {
                    json.loads(group.group_values[0].data): group.count for group in found.groups
                }
                if groups == {status: count for status, count in wanted.items() if count}:
                    break
                await asyncio.sleep(0.2)
        request = api.ListWorkflowExecutionsRequest(namespace=NAMESPACE, page_size=1000)
        times = {}
        while True:
            page = await self._service.ListWorkflowExecutions(request)
            for info in page.executions:
                times[info.execution.workflow_id] = info.start_time
            request.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
        for number in (10, 20, 40, 90, 100):
            # Between two starts: how finely a database keeps times must not matter.
            one, other = (times[f"w{each}"].ToNanoseconds() for each in (number, number + 1))
            middle = times["w0"].__class__()
            middle.FromNanoseconds((one + other) // 2)
            self._times[f"start_{number}"] = middle.ToJsonString()

    async def answer(self, query: str) -> Any:
        """Return the rows, and how many are counted; or how the query is refused."""
        for name, value in self._times.items():
            query = query.replace(f"{{{name}}}", value)
        try:
            counted = await self._service.CountWorkflowExecutions(
                api.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)
            )
            listed = await self._list(query)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            message = error.details() or ""
            for pattern in _INNER:
                message = re.sub(pattern, r"\1", message)
            return f"{error.code().name}: {message}"
        groups = [(group.group_values[0].data, group.count) for group in counted.groups]
        return [sorted(listed), counted.count, groups]

    async def _list(self, query: str) -> list[tuple[str, int]]:
        request = api.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query, page_size=100)
        found: list[tuple[str, int]] = []
        while True:
            page = await self._service.ListWorkflowExecutions(request)
            found += [(info.execution.workflow_id, info.status) for info in page.executions]
            request.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


_SCREAMING = {
    "Keyword": "KEYWORD",
    "KeywordList": "KEYWORD_LIST",
    "Int": "INT",
    "Double": "DOUBLE",
    "Bool": "BOOL",
    "Datetime": "DATETIME",
    "Text": "TEXT",
}
_STATUSES = dict(
    zip(
        ENDINGS,
        ("Running", "Terminated", "TimedOut", "Completed", "Failed", "Canceled", "ContinuedAsNew"),
        strict=True,
    )
)


def _end(execution: Execution) -> Command:
    match execution.ending:
        case "completed":
            return command("COMPLETE_WORKFLOW_EXECUTION")
        case "failed":
            return fail_workflow("no", application_failure_info={})
        case "canceled":
            return cancel_workflow()
        case "continued":
            # On a queue where nobody works.
            kind = {"name": execution.workflow_type}
            return continue_as_new(workflow_type=kind, task_queue={"name": "q0"})
    raise AssertionError(f"a worker does not end {execution}")
