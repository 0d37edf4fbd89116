"""Measures the CPU that a workflow costs behind the transport: one activity, in one process, by the bytes of its calls.

There is no socket and no client to speak of, so that the CPU time is nearly all the server's own, and small changes
show. `python -m bench.in_process --beside ../other/src` measures the code of another checkout in turns with this one,
each round in a process of its own: look at the ratio, for both had the same machine.
"""

import argparse
import asyncio
import cProfile
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import uvloop
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import (
    Payload,
    Payloads,
    WorkerVersionCapabilities,
    WorkerVersionStamp,
    WorkflowType,
)
from temporalio.api.enums.v1 import (
    CommandType,
    HistoryEventFilterType,
    TaskQueueKind,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.sdk.v1 import WorkflowTaskCompletedMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
    RespondActivityTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)

import perdure
from perdure.frontend.call import Call
from perdure.frontend.dispatch import Dispatcher
from perdure.server import Server
from perdure.settings import ServerSettings, Settings, StoreSettings

#: The directory that holds this checkout's package.
_SOURCE = Path(perdure.__file__).parent.parent
_MS = 1000.0
_HEADERS = {
    "client-name": "temporal-python",
    "client-version": "1.35.0",
    "temporal-namespace": "default",
    "content-type": "application/grpc",
    "te": "trailers",
    "grpc-encoding": "gzip",
    "user-agent": "tonic/0.14",
}
_POLLERS = 20
_POLL_S = 60.0


def main() -> None:
    options = _parser().parse_args()
    if options.alone:
        print(*asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_measure(options)))
        return
    sources = [_SOURCE, *([Path(options.beside)] if options.beside else [])]
    found: dict[Path, list[list[float]]] = {source: [] for source in sources}
    for number in range(options.rounds):
        # Each goes first in every other round.
        for source in sources if number % 2 == 0 else reversed(sources):
            found[source].append(_round(source, options))
    for source, rounds in found.items():
        windows = [each for windows in rounds for each in windows]
        print(
            f"{source}: ms of CPU a workflow, lowest {min(windows):.3f},"
            f" median {statistics.median(windows):.3f}, of {len(windows)} windows"
        )
    if options.beside:
        ratios = sorted(min(own) / min(other) for own, other in zip(*found.values(), strict=True))
        print(
            "this to the other, lowest by lowest of each round:",
            *(f"{each:.3f}" for each in ratios),
        )
        print(f"median {statistics.median(ratios):.3f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.in_process", description=__doc__)
    parser.add_argument("--beside", help="the src directory of another checkout")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--windows", type=int, default=5, help="windows of each round")
    parser.add_argument("--workflows", type=int, default=600, help="workflows of each window")
    parser.add_argument("--at-once", type=int, default=19)
    parser.add_argument("--file", action="store_true", help="keep the data in a file")
    parser.add_argument("--profile", help="write a cProfile of one round to this file")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser


def _round(source: Path, options: argparse.Namespace) -> list[float]:
    arguments = [*sys.argv[1:], "--alone"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.in_process", *arguments],
        env={**os.environ, "PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(each) for each in done.stdout.splitlines()[-1].split()]


async def _measure(options: argparse.Namespace) -> list[str]:
    """Return the milliseconds of CPU time that a workflow took in each window."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db" if options.file else "sqlite::memory:"
        settings = Settings(
            server=ServerSettings(port=0, http_port=0, metrics_port=0), store=StoreSettings(url=url)
        )
        server = Server(settings)
        await server.start()
        dispatcher = server._dispatcher
        assert dispatcher is not None
        client = _Client(dispatcher)
        await client.run(options.workflows, options.at_once)
        profiler = cProfile.Profile() if options.profile else None
        if profiler is not None:
            profiler.enable()
        windows = []
        for _ in range(options.windows):
            began = time.process_time()
            await client.run(options.workflows, options.at_once)
            windows.append((time.process_time() - began) * _MS / options.workflows)
        if profiler is not None:
            profiler.disable()
            profiler.dump_stats(options.profile)
        await client.close()
        await server.stop(0)
    return [f"{each:.6f}" for each in windows]


class _Client:
    """Workers and callers. Requests are joined from serialized parts and answers are hardly read: that costs little."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._answer = dispatcher.answer
        self._loop = asyncio.get_running_loop()
        self._headers = dict(_HEADERS)
        self._pollers = [
            *(self._loop.create_task(self._work(_STICKY_POLL)) for _ in range(_POLLERS)),
            *(self._loop.create_task(self._work(_NORMAL_POLL)) for _ in range(_POLLERS)),
            *(self._loop.create_task(self._act()) for _ in range(_POLLERS)),
        ]

    async def run(self, count: int, at_once: int) -> None:
        """Run `count` workflows, `at_once` at a time."""
        left = iter(range(count))

        async def loop() -> None:
            for _ in left:
                await self._workflow()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(loop())

    async def close(self) -> None:
        for each in self._pollers:
            each.cancel()
        await asyncio.gather(*self._pollers, return_exceptions=True)

    async def _call(self, name: str, encoded: bytes) -> bytes:
        # Each call has metadata of its own, and a task, as behind a transport.
        call = Call(self._loop.time() + _POLL_S, dict(self._headers))
        answer: bytes = await asyncio.ensure_future(self._answer(_SERVICE + name, encoded, call))
        return answer

    async def _workflow(self) -> None:
        workflow_id = f"bench-{uuid.uuid4()}"
        request_id = str(uuid.uuid4())
        start = StartWorkflowExecutionRequest(workflow_id=workflow_id, request_id=request_id)
        answer = await self._call("StartWorkflowExecution", _START + start.SerializeToString())
        run_id = StartWorkflowExecutionResponse.FromString(answer).run_id
        follow = GetWorkflowExecutionHistoryRequest()
        follow.execution.workflow_id, follow.execution.run_id = workflow_id, run_id
        await self._call("GetWorkflowExecutionHistory", _FOLLOW + follow.SerializeToString())

    async def _work(self, poll: bytes) -> None:
        """Poll for workflow tasks; complete the first one of a workflow with an activity, the second with its end."""
        while True:
            task = await self._call("PollWorkflowTaskQueue", poll)
            if task:
                # A later task comes to the sticky queue.
                completion = _END if poll is _STICKY_POLL else _SCHEDULE
                await self._call("RespondWorkflowTaskCompleted", _token_of(task) + completion)

    async def _act(self) -> None:
        while True:
            task = await self._call("PollActivityTaskQueue", _ACTIVITY_POLL)
            if task:
                await self._call("RespondActivityTaskCompleted", _token_of(task) + _RESULT)


def _token_of(task: bytes) -> bytes:
    """Return the serialized task token of a poll's answer: the first field, there and in the request to come."""
    assert (task[0] == 0x0A and task[1] < 0x80) or task[2] < 0x80
    length, begin = (task[1], 2) if task[1] < 0x80 else (task[1] & 0x7F | task[2] << 7, 3)
    return task[: begin + length]


_SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
_NORMAL = TaskQueue(name="bench", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
_STICKY = TaskQueue(
    name="bench-4711-sticky", kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name="bench"
)
_WORKER = "4711@bench"
_BUILD_ID = "0123456789abcdef0123456789abcdef"


def _payloads(data: bytes) -> Payloads:
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=data)])


_START = StartWorkflowExecutionRequest(
    namespace="default",
    workflow_type=WorkflowType(name="OneActivity"),
    task_queue=_NORMAL,
    input=_payloads(b'"Temporal"'),
    identity=_WORKER,
    workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
).SerializeToString()
_FOLLOW = GetWorkflowExecutionHistoryRequest(
    namespace="default",
    wait_new_event=True,
    history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
    skip_archival=True,
).SerializeToString()
_NORMAL_POLL, _STICKY_POLL = (
    PollWorkflowTaskQueueRequest(
        namespace="default",
        task_queue=queue,
        identity=_WORKER,
        worker_version_capabilities=WorkerVersionCapabilities(build_id=_BUILD_ID),
    ).SerializeToString()
    for queue in (_NORMAL, _STICKY)
)
_ACTIVITY_POLL = PollActivityTaskQueueRequest(
    namespace="default",
    task_queue=_NORMAL,
    identity=_WORKER,
    worker_version_capabilities=WorkerVersionCapabilities(build_id=_BUILD_ID),
).SerializeToString()


def _completion(command: Command) -> bytes:
    request = RespondWorkflowTaskCompletedRequest(
        commands=[command],
        identity=_WORKER,
        return_new_workflow_task=True,
        namespace="default",
        worker_version_stamp=WorkerVersionStamp(build_id=_BUILD_ID),
        sdk_metadata=WorkflowTaskCompletedMetadata(core_used_flags=[1, 2, 3]),
    )
    request.sticky_attributes.worker_task_queue.CopyFrom(_STICKY)
    request.sticky_attributes.schedule_to_start_timeout.FromSeconds(10)
    request.metering_metadata.SetInParent()
    return request.SerializeToString()


_schedule = Command(command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
_attributes = _schedule.schedule_activity_task_command_attributes
_attributes.activity_id, _attributes.activity_type.name = "1", "greet"
_attributes.task_queue.CopyFrom(_NORMAL)
_attributes.header.SetInParent()
_attributes.input.CopyFrom(_payloads(b'"Temporal"'))
_attributes.start_to_close_timeout.FromSeconds(10)
_attributes.use_workflow_build_id = True
_SCHEDULE = _completion(_schedule)
_end = Command(command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)
_end.complete_workflow_execution_command_attributes.result.CopyFrom(_payloads(b'"Hello Temporal!"'))
_END = _completion(_end)
_RESULT = RespondActivityTaskCompletedRequest(
    result=_payloads(b'"Hello Temporal!"'),
    identity=_WORKER,
    namespace="default",
    worker_version=WorkerVersionStamp(build_id=_BUILD_ID),
).SerializeToString()


if __name__ == "__main__":
    main()
