"""Workers of the Go, Java, TypeScript and Python SDKs with default options, driven by a Python client, on every store."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError, CancelledError

from tests.workers.conftest import FILE, MEMORY, POSTGRES
from tests.workers.programs import NEWEST, OLDER, PATIENCE_S, Program

pytestmark = pytest.mark.slow

OTHERS = ("go", "java", "typescript")
#: The newest release of Python's SDK works on every store elsewhere: see `tests/e2e`.
PROGRAMS = [Program(language, of) for language in (*OTHERS, "python") for of in (NEWEST, OLDER)]
WORKERS = [
    *((program, MEMORY) for program in PROGRAMS),
    *((Program(language, NEWEST), store) for store in (FILE, POSTGRES) for language in OTHERS),
]

with_every_worker = pytest.mark.parametrize(
    "worker", WORKERS, indirect=True, ids=lambda worker: f"{worker[0]}-{worker[1]}"
)
#: A test that waits for a worker in vain fails in time, and not at the end of the suite's patience.
LIMIT = timedelta(seconds=PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Worker:
    """The requests of a client to one worker."""

    client: Client
    queue: str
    limit: timedelta = LIMIT

    async def start(self, workflow: str, *args: Any) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(
            workflow,
            args=args,
            id=f"{workflow}-{uuid.uuid4().hex[:12]}",
            task_queue=self.queue,
            execution_timeout=self.limit,
        )

    async def result(self, workflow: str, *args: Any) -> Any:
        return await (await self.start(workflow, *args)).result()


@pytest.fixture
def asked(client, worker):
    yield Worker(client, worker.queue)
    print(worker.log())


async def said(handle):
    return await handle.query("said", rpc_timeout=LIMIT)


async def rename(handle, name):
    return await handle.execute_update("rename", name, rpc_timeout=LIMIT)


async def events(handle, kind):
    """Return the attributes of the run's events of one type."""
    name = EventType.Name(kind).removeprefix("EVENT_TYPE_").lower()
    return [
        getattr(event, f"{name}_event_attributes")
        async for event in handle.fetch_history_events()
        if event.event_type == kind
    ]


async def first_task_done(handle):
    """Return when the run's first workflow task is completed: the run waits for something else now."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return
    raise AssertionError("the run ended before its first workflow task")


@with_every_worker
async def test_the_first_sample_of_the_guide(asked):
    assert await asked.result("Greeting", "Temporal") == "Hello Temporal!"


@with_every_worker
async def test_many_workflows_at_once(asked):
    results = await asyncio.gather(*(asked.result("Greeting", str(n)) for n in range(12)))
    assert results == [f"Hello {n}!" for n in range(12)]


@with_every_worker
async def test_signals_queries_and_updates(asked):
    handle = await asked.start("Conversation")
    await handle.signal("say", "one")
    await handle.signal("say", "two")
    assert await said(handle) == ["one", "two"]
    assert await rename(handle, "Ann") == "nobody"
    with pytest.raises(WorkflowUpdateFailedError):
        await rename(handle, "")
    assert await rename(handle, "Bob") == "Ann"
    await handle.signal("finish")
    assert await handle.result() == {"said": ["one", "two"], "name": "Bob"}
    assert await said(handle) == ["one", "two"]


@with_every_worker
async def test_the_second_task_comes_by_the_sticky_queue(asked):
    handle = await asked.start("Waiting")
    await first_task_done(handle)
    await handle.signal("go")
    assert await handle.result() == "went"
    first, second = await events(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    assert first.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    assert second.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY
    assert second.task_queue.normal_name == asked.queue
    assert len(await events(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)) == 2
    assert await events(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT) == []


@with_every_worker
async def test_a_timer(asked):
    handle = await asked.start("Sleeper", 0.05)
    assert await handle.result() == "slept"
    assert len(await events(handle, EventType.EVENT_TYPE_TIMER_FIRED)) == 1


@with_every_worker
async def test_retries_of_an_activity(asked):
    handle = await asked.start("Retrying", 2)
    assert await handle.result() == 3
    (started,) = await events(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    assert started.attempt == 3
    assert started.last_failure.application_failure_info.type == "Flaky"


@with_every_worker
async def test_an_activity_goes_on_from_its_last_heartbeat(asked, worker):
    # Heartbeats in quick succession are held back. This one forgets them when the activity fails, with any server.
    forgets = worker.program == Program("java", OLDER)
    assert await asked.result("Beating", 7) == {"total": 7, "resumed": 1 if forgets else 3}


@with_every_worker
async def test_a_local_activity(asked):
    handle = await asked.start("Local", "Temporal")
    assert await handle.result() == "Hello Temporal!"
    assert len(await events(handle, EventType.EVENT_TYPE_MARKER_RECORDED)) == 1
    assert await events(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == []


@with_every_worker
async def test_activities_at_once(asked):
    assert await asked.result("Many", 12) == 66


@with_every_worker
async def test_children(asked):
    assert await asked.result("Parent", "Temporal") == ["Hello Temporal!", "caught"]


@with_every_worker
async def test_a_failure(asked):
    with pytest.raises(WorkflowFailureError) as raised:
        await asked.result("Failing")
    cause = raised.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("Broken", "broken")


@with_every_worker
async def test_continuing_as_new(asked):
    handle = await asked.start("Again", 1)
    assert await handle.result() == "done"
    first = asked.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    assert (await first.describe()).status == WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED


@with_every_worker
async def test_a_cancelled_workflow_cleans_up(asked):
    handle = await asked.start("Cancelled")
    await first_task_done(handle)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    (scheduled,) = await events(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    assert scheduled.activity_type.name == "clean_up"
    assert len(await events(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)) == 1
    assert len(await events(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED)) == 1


@with_every_worker
async def test_versions_search_attributes_and_memo(asked, worker):
    handle = await asked.start("Versioned")
    assert await handle.result() == "ok"
    described = await handle.describe()
    assert described.typed_search_attributes[SearchAttributeKey.for_keyword("Spoken")] == "yes"
    if worker.program != Program("python", OLDER):  # That one cannot.
        assert await described.memo_value("upserted") == "yes"
    markers = await events(handle, EventType.EVENT_TYPE_MARKER_RECORDED)
    assert any("changed" in str(marker.details) for marker in markers)


@with_every_worker
async def test_another_worker_goes_on(asked, worker):
    """One ends in the middle of a run. The next replays the run, and answers queries of those that are closed."""
    waiting = await asked.start("Waiting")
    talking = await asked.start("Conversation")
    await asyncio.gather(first_task_done(waiting), first_task_done(talking))
    await asyncio.to_thread(worker.stop)
    await waiting.signal("go")
    await talking.signal("say", "one")
    await asyncio.to_thread(worker.start)
    assert await waiting.result() == "went"
    assert await said(talking) == ["one"]
    assert await rename(talking, "Ann") == "nobody"
    await talking.signal("finish")
    assert await talking.result() == {"said": ["one"], "name": "Ann"}


@pytest.fixture
def process(program, new_worker):
    """One more worker of a program, with a task queue of its own; not yet started."""
    process = new_worker(program, MEMORY)
    yield process
    process.kill()


@pytest_asyncio.fixture
async def own(process, server_on):
    return Worker(await Client.connect(server_on(MEMORY).address), process.queue)


#: No SDK's default number of pollers may be larger than the number of cached workflows.
@pytest.mark.parametrize(("max_cached", "runs"), [(10, 12), (0, 2)])
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
async def test_evicted_workflows_are_replayed(own, process, max_cached, runs):
    await asyncio.to_thread(process.start, max_cached)
    handles = [await own.start("Conversation") for _ in range(runs)]
    for word in ("one", "two"):
        for handle in handles:
            await handle.signal("say", word)
            assert (await said(handle))[-1] == word
    for handle in handles:
        await handle.signal("finish")
        assert await handle.result() == {"said": ["one", "two"], "name": "nobody"}
    await asyncio.to_thread(process.stop)
    print(process.log())


async def test_another_worker_goes_on_for_one_that_was_killed(new_worker, server_on):
    """The task that the signal makes waits in the dead worker's queue for as long as its SDK said: for all at once."""
    client = await Client.connect(server_on(MEMORY).address)
    newest = [program for program in PROGRAMS if program.release == NEWEST]
    built = [program for program in newest if program.can_be_built()]
    processes = [new_worker(program, MEMORY) for program in built]

    async def outlive(process):
        await asyncio.to_thread(process.start)
        handle = await Worker(client, process.queue, 3 * LIMIT).start("Waiting")
        await first_task_done(handle)
        process.kill()
        await handle.signal("go")
        await asyncio.to_thread(process.start)
        result = await handle.result()
        await asyncio.to_thread(process.stop)
        return result

    results = await asyncio.gather(*map(outlive, processes), return_exceptions=True)
    assert dict(zip(map(str, built), results, strict=True)) == dict.fromkeys(
        map(str, built), "went"
    )
