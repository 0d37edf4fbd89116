"""Counts what a workflow of one activity costs the server: a change that makes it dearer has to say so here.

No time is measured. The worker asks for one thing after the other, so each commit has one transition: the counts do not
depend on the machine. Work in the background can only add to a count, so the least of several workflows counts.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import and_
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueResponse,
    RespondActivityTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
)

from perdure.frontend.call import Call
from perdure.server import Server
from tests.build.commands import complete_workflow, payloads, schedule_activity
from tests.build.requests import poll_request, start_request

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
#: More workflows than work in the background can disturb.
TRIES = 8


class Counted:
    """Counts the calls of functions by their qualified names, those of C by their names."""

    def __init__(self) -> None:
        self.python: Counter[str] = Counter()
        self.native: Counter[str] = Counter()

    @contextmanager
    def on(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Leave out the work of the client."""
        sys.setprofile(None)
        try:
            yield
        finally:
            sys.setprofile(self._note)

    def _note(self, frame: Any, kind: str, function: Any) -> None:
        if kind == "call":
            self.python[frame.f_code.co_qualname] += 1
        elif kind == "c_call":
            self.native[function.__name__] += 1


class Client:
    """Starts workflows of one activity, and is the worker that polls and completes what they ask for."""

    def __init__(self, server: Server, counted: Counted) -> None:
        assert server._dispatcher is not None
        self._answer: Callable[[str, bytes, Call], Awaitable[bytes]] = server._dispatcher.answer
        self._counted = counted
        self.call_count = 0

    async def run(self, workflow_id: str) -> None:
        await self._call("StartWorkflowExecution", lambda: start_request(workflow_id))
        polled = await self._call("PollWorkflowTaskQueue", lambda: poll_request(identity="worker"))
        await self._complete(polled, lambda: schedule_activity("a", "q"))
        task = await self._call("PollActivityTaskQueue", _activity_poll)
        # Temporal: a sticky queue gets tasks only while somebody polls it.
        poll = self._call(
            "PollWorkflowTaskQueue", lambda: poll_request("sticky", identity="worker")
        )
        second = asyncio.ensure_future(poll)
        await self._call("RespondActivityTaskCompleted", lambda: _result(task))
        await self._complete(await second, complete_workflow)

    async def _complete(self, polled: bytes, make: Callable[[], Command]) -> None:
        await self._call("RespondWorkflowTaskCompleted", lambda: _completion(polled, make()))

    async def _call(self, name: str, make: Callable[[], Message]) -> bytes:
        with self._counted.off():
            encoded = make().SerializeToString()
            call = Call(asyncio.get_running_loop().time() + 60)
        self.call_count += 1
        return await self._answer(SERVICE + name, encoded, call)


def _activity_poll() -> Message:
    poll = PollActivityTaskQueueRequest(namespace="ns", identity="worker")
    poll.task_queue.name = "q"
    return poll


def _result(polled: bytes) -> Message:
    return RespondActivityTaskCompletedRequest(
        namespace="ns",
        task_token=PollActivityTaskQueueResponse.FromString(polled).task_token,
        result=payloads("2"),
        identity="worker",
    )


def _completion(polled: bytes, command: Command) -> Message:
    completion = RespondWorkflowTaskCompletedRequest(
        namespace="ns",
        task_token=PollWorkflowTaskQueueResponse.FromString(polled).task_token,
        commands=[command],
        identity="worker",
    )
    completion.sticky_attributes.worker_task_queue.name = "sticky"
    completion.sticky_attributes.schedule_to_start_timeout.FromSeconds(10)
    return completion


@pytest.fixture
async def least(server: Server, stub: object) -> Counter[str]:
    """How often each function was called for a workflow; also "calls" of the API, and "all" of Python's."""
    python: list[Counter[str]] = []
    native: list[Counter[str]] = []
    for number in range(TRIES):
        counted = Counted()
        client = Client(server, counted)
        with counted.on():
            await client.run(f"w{number}")
        python.append(counted.python)
        native.append(counted.native)
    every, of_c = reduce(and_, python), reduce(and_, native)
    return every + of_c + Counter({"calls": client.call_count, "all": every.total()})


async def test_transitions_records_and_rows(least: Counter[str]) -> None:
    # A start; two polls and completions of workflow tasks; a poll and a completion of the activity.
    assert least["calls"] == 7
    # One for each.
    assert least["transition"] == 7
    # Started; scheduled, started, completed of two workflow tasks; three of the activity; completed.
    assert least["HistoryStep.record"] == 11
    # Ids, request id, sticky queue, started activity.
    assert least["HistoryStep.record_internal"] == 4
    # All but the polls for workflow tasks, which change memory only.
    assert least["OpenBatch.add"] == 5
    # The started run, the first completed task (lists then show which builds have worked), the closed run.
    assert least["visibility_row"] == 3
    # Before the commands of a completion, which may be refused; the snapshot of the closed run.
    assert least["Codec.encode_state"] == 3


async def test_statements(least: Counter[str]) -> None:
    # As many as rows: this worker asks for one thing after the other.
    assert least["SqliteStore.commit"] == 5
    # Whether there is a run of this workflow id.
    assert least["SqliteStore.load"] == 1
    # BEGIN and COMMIT of these six; the leases, five times; the load; one for each visibility row.
    assert least["execute"] == 2 * 6 + 5 + 1 + 3
    # A journal row, five times; the execution, new and closed.
    assert least["executemany"] == 5 + 2


async def test_protobuf(least: Counter[str]) -> None:
    # The requests; the activity's options, for its worker; an event that may have payloads elsewhere.
    assert least["FromString"] == 7 + 1 + 1
    assert least["ParseFromString"] == least["MergeFromString"] == 0
    # Events, and those of started workflow tasks for their workers; answers; memo and search attributes of three
    # visibility rows; options and priority of the run, options of the activity.
    assert least["SerializeToString"] == 11 + 2 + 7 + 2 * 3 + 3
    # Values of enums are bound (`core/enum_values.py`).
    assert least["EnumTypeWrapper.__getattr__"] == 0


async def test_waiting(least: Counter[str]) -> None:
    # Each call that changes something waits for its batch.
    assert least["OpenBatch.durable"] == 5
    # One task besides: it asks the store whether there is a run of this workflow id.
    assert least["Loading._start_loading"] == 1


async def test_all_functions(least: Counter[str]) -> None:
    """Raise the number for a good reason only; lower it when the server has become cheaper."""
    assert least["all"] <= 2200
