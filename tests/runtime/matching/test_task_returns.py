"""A poll is given up while the task that it is to get is being started: the next poll gets it."""

import asyncio

import pytest

from perdure.core.matching.task_queue import PollerInfo
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import rpcs
from perdure.metrics.registry import Registry
from perdure.runtime.matching.task_queues import ACTIVITY_QUEUE, QueueName
from tests.build.commands import schedule_activity
from tests.runtime.nodes import QUEUE, SetClock, Slow, complete, later, poll, start, started_node

ACTIVITIES = QueueName("ns", "q", ACTIVITY_QUEUE)


@pytest.fixture
async def store():
    return Slow()


@pytest.fixture
async def node(store):
    node = await started_node(store, SetClock())
    yield node
    store.may_commit.set()
    await node.stop()


def info(node):
    return PollerInfo("worker", node.clock.now_ns())


async def test_an_activity_whose_start_is_just_being_written(node, store):
    await start(node, "ns", "w")
    await complete(
        node, await poll(node), [schedule_activity("a", "q", start_to_close_timeout="9s")]
    )
    store.may_commit.clear()
    polling = asyncio.create_task(node.polls.activity_task(ACTIVITIES, info(node), later(), []))
    await store.commit_waits.wait()
    polling.cancel()
    await asyncio.wait([polling])
    assert polling.cancelled()
    store.may_commit.set()
    again = await node.polls.activity_task(ACTIVITIES, info(node), later(), [])
    assert (again.task.scheduled_event_id, again.task.attempt) == (5, 1)


async def test_a_workflow_task_whose_history_cannot_be_read(node, monkeypatch):
    await start(node, "ns", "w")

    async def broken(*_, **__):
        raise OSError("on purpose")

    task_returns = []
    with monkeypatch.context() as patched:
        patched.setattr(node.executions, "page", broken)
        with pytest.raises(OSError, match="on purpose"):
            await node.polls.workflow_task(QUEUE, info(node), later(), b"", task_returns)
    call = Call()
    call.task_returns += task_returns
    call.return_tasks()
    task = await poll(node)
    assert (task.key.business_id, task.task.ref.attempt) == ("w", 1)
    call.return_tasks()  # Nothing is given back twice.
    await complete(node, task)


@pytest.mark.parametrize("error", [OSError("on purpose"), asyncio.CancelledError()], ids=repr)
async def test_what_a_call_was_to_bring_goes_back_if_it_ends_otherwise(node, error):
    name, rpc = next(iter(rpcs(Context(node, "active", "here")).items()))
    given_back = []

    async def handler(_, call):
        call.task_returns.append(lambda: given_back.append(True))
        raise error

    dispatcher = Dispatcher({name: rpc._replace(handler=handler)}, Registry(), lambda _: None)
    dispatcher.open()
    with pytest.raises(BaseException, match=r".*"):
        await dispatcher.answer(name, b"", Call())
    assert given_back == [True]
