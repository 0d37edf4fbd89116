"""Many open workflows that only wait: what do they cost, and how soon is a restarted server there again?

Why it exists: the point of durable execution is that a workflow may sleep for a month for nothing. Here 100,000 wait on
a timer of a day. Measured are CPU and memory while nothing happens, the size of the database, and a restart, once
after SIGTERM and once after SIGKILL.

The runs are started by a worker written by hand over the raw API: an SDK worker would take minutes longer and tells
the server nothing else. The client process is this module too.
"""

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
import msgspec
from temporalio.api.command.v1 import Command, StartTimerCommandAttributes
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub
from temporalio.service import ConnectConfig, ServiceClient

from bench import usage
from bench.lab import Lab, client_lines, give, progress, run_client
from bench.report import figure, table
from bench.servers import Kind, Launch, Running, start

TASK_QUEUE = "idle"
NAMESPACE = "default"
STARTERS_COUNT = 32
POLLERS_COUNT = 32
DAY_SECONDS = 86_400
CALM_SECONDS = 5.0


class Order(msgspec.Struct, frozen=True):
    """How many runs to start, and where."""

    target: str
    runs_count: int


class Started(msgspec.Struct, frozen=True):
    """All runs wait on their timers."""

    seconds: float


class Waiting(msgspec.Struct, frozen=True):
    """A server while all its runs wait, since it was started in this way."""

    kind: Kind
    after: str
    runs_count: int
    listening_seconds: float
    answering_seconds: float
    #: From the start of the process until a signal to one of the runs was acknowledged; 0 for the first start.
    first_signal_seconds: float
    resident_bytes: int
    cores: float
    database_cores: float
    stored_bytes: int


class Hands:
    """Starts runs, and answers each first workflow task with a timer of a day."""

    def __init__(self, client: ServiceClient, runs_count: int) -> None:
        self._service = client.workflow_service
        self._numbers = iter(range(runs_count))
        self._left_count = runs_count
        self._all_wait = asyncio.Event()

    async def run(self) -> None:
        """Return when every run waits on its timer."""
        pollers = [asyncio.create_task(self._poll()) for _ in range(POLLERS_COUNT)]
        starters = [asyncio.create_task(self._start()) for _ in range(STARTERS_COUNT)]
        all_wait = asyncio.create_task(self._all_wait.wait())
        await asyncio.gather(*starters)
        done, _ = await asyncio.wait([all_wait, *pollers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        for poller in pollers:
            poller.cancel()

    async def _start(self) -> None:
        for number in self._numbers:
            await self._service.start_workflow_execution(
                api.StartWorkflowExecutionRequest(
                    namespace=NAMESPACE,
                    workflow_id=f"idle-{number}",
                    workflow_type=WorkflowType(name="SleepsForADay"),
                    task_queue=TaskQueue(name=TASK_QUEUE),
                    request_id=str(uuid.uuid4()),
                    identity="bench",
                )
            )

    async def _poll(self) -> None:
        request = api.PollWorkflowTaskQueueRequest(
            namespace=NAMESPACE, task_queue=TaskQueue(name=TASK_QUEUE), identity="bench"
        )
        timer = Command(
            command_type=CommandType.COMMAND_TYPE_START_TIMER,
            start_timer_command_attributes=StartTimerCommandAttributes(timer_id="1"),
        )
        timer.start_timer_command_attributes.start_to_fire_timeout.FromSeconds(DAY_SECONDS)
        while not self._all_wait.is_set():
            task = await self._service.poll_workflow_task_queue(request)
            if not task.task_token:
                continue
            await self._service.respond_workflow_task_completed(
                api.RespondWorkflowTaskCompletedRequest(
                    namespace=NAMESPACE,
                    task_token=task.task_token,
                    commands=[timer],
                    identity="bench",
                )
            )
            self._left_count -= 1
            if self._left_count == 0:
                self._all_wait.set()


async def carry_out(order: Order) -> None:
    """Start all the runs."""
    client = await ServiceClient.connect(ConnectConfig(target_host=order.target))
    began = time.perf_counter()
    await Hands(client, order.runs_count).run()
    give(Started(time.perf_counter() - began))


def wait_idle(
    lab: Lab, kinds: Sequence[Kind], runs_count: int, watch_seconds: float
) -> Iterator[Waiting]:
    """Measure each server: after it was loaded with runs, after a restart, after a crash."""
    for kind in kinds:
        launch = lab.launch(kind, kind.value)
        watch = Watch(lab, launch, runs_count, watch_seconds)
        server = start(launch)
        try:
            watch.load(server)
            yield watch.look(server, "loading")
            if not kind.is_durable:
                continue
            for how in (signal.SIGTERM, signal.SIGKILL):
                took = server.stop(how)
                progress(f"stopped by {how.name} within {took:.1f} s")
                server = start(launch)
                yield watch.look(server, how.name)
        finally:
            if server.process.poll() is None:
                server.stop()


@dataclass(frozen=True, slots=True)
class Watch:
    """One server's data, and how long to look at the server while nothing happens."""

    lab: Lab
    launch: Launch
    runs_count: int
    seconds: float

    def load(self, server: Running) -> None:
        """Start all the runs."""
        progress(f"{self.launch.kind.value}: starting {self.runs_count} runs")
        order = Order(server.target, self.runs_count)
        (line,) = client_lines("bench.idle_runs", order, self.lab.cores.client)
        seconds = msgspec.json.decode(line, type=Started).seconds
        progress(f"all wait after {seconds:.0f} s: {self.runs_count / seconds:.0f} a second")

    def look(self, server: Running, after: str) -> Waiting:
        """Measure a server that has nothing to do; if it was restarted, after a signal to one of its runs."""
        first_signal_seconds = 0.0
        if after != "loading":
            asked = time.perf_counter()
            send_signal(server.target, f"idle-{self.runs_count // 2}")
            first_signal_seconds = server.answering_seconds + time.perf_counter() - asked
        progress(f"watching for {self.seconds:.0f} s")
        time.sleep(CALM_SECONDS)
        began = usage.Clock.read(server.pid, self.launch.database_pid)
        time.sleep(self.seconds)
        spent = usage.Clock.read(server.pid, self.launch.database_pid).minus(began)
        return Waiting(
            kind=self.launch.kind,
            after=after,
            runs_count=self.runs_count,
            listening_seconds=server.listening_seconds,
            answering_seconds=server.answering_seconds,
            first_signal_seconds=first_signal_seconds,
            resident_bytes=usage.resident_bytes(server.pid),
            cores=spent.server / spent.at,
            database_cores=spent.database / spent.at,
            stored_bytes=self.stored_bytes(),
        )

    def stored_bytes(self) -> int:
        """Return how much the server keeps on disk."""
        if self.launch.database_url:
            assert self.lab.database is not None
            return self.lab.database.size_bytes(self.launch.database_url)
        return sum(path.stat().st_size for path in self.launch.directory.glob("server.db*"))


def send_signal(target: str, workflow_id: str) -> None:
    """Signal one run, as a client would that cannot know that the server has just come back."""
    with grpc.insecure_channel(target) as channel:
        WorkflowServiceStub(channel).SignalWorkflowExecution(
            api.SignalWorkflowExecutionRequest(
                namespace=NAMESPACE,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                signal_name="hello",
                request_id=str(uuid.uuid4()),
                identity="bench",
            ),
            timeout=120,
            wait_for_ready=True,
        )


def as_text(found: Sequence[Waiting]) -> str:
    """Return the results as a table."""
    return table(
        ("server", "after", "open runs", "resident MB", "cores used", "DB cores used", "stored MB",
         "listens s", "answers s", "first signal s"),
        (
            (
                waiting.kind.value,
                waiting.after,
                str(waiting.runs_count),
                figure(waiting.resident_bytes / 1e6),
                f"{waiting.cores:.4f}",
                f"{waiting.database_cores:.4f}",
                figure(waiting.stored_bytes / 1e6),
                figure(waiting.listening_seconds),
                figure(waiting.answering_seconds),
                figure(waiting.first_signal_seconds) if waiting.first_signal_seconds else "",
            )
            for waiting in found
        ),
    )  # fmt: skip


if __name__ == "__main__":
    run_client(Order, carry_out)
