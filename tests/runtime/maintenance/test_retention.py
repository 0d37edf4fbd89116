"""Closed runs go when their namespace's retention is over: whole, in bounded batches, and nobody else's."""

import asyncio

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration

from perdure.core.errors import Rejected
from perdure.core.limits import Limits
from perdure.frontend.namespaces.rules import retention_ns
from perdure.runtime.maintenance.retention import RUNS_AT_ONCE_MAX, at_once
from perdure.runtime.namespaces import Namespace
from perdure.store.port import ListedRun
from tests.runtime.nodes import (
    SetClock,
    Unreliable,
    close,
    is_there,
    rows,
    start,
    start_child,
    started_node,
    until,
)

ALL, NONE = (True, True, True), (False, False, False)


@pytest.fixture
async def clock():
    return SetClock()


@pytest.fixture
async def store():
    return Unreliable()


@pytest.fixture
async def node(store, clock):
    node = await started_node(store, clock)
    await node.namespaces.register(Namespace(id="ns-id", name="ns", retention_ns=100 * 10**9))
    yield node
    await node.stop()


async def test_a_closed_run_goes_after_the_retention_and_not_before(node, store, clock):
    key = await start(node, "ns-id", "w")
    clock.go_on(1000)
    assert await node.retention.sweep() == 0
    await close(node, key)
    clock.go_on(99)
    assert await node.retention.sweep() == 0
    assert rows(store, key.run_id) == ALL
    clock.go_on(2)
    assert await node.retention.sweep() == 1
    assert rows(store, key.run_id) == NONE
    assert not await is_there(node, key)
    assert not await is_there(node, key._replace(run_id=""))


async def test_it_goes_without_being_in_memory(node, store, clock):
    key, still_open = await start(node, "ns-id", "w"), await start(node, "ns-id", "open")
    await close(node, key)
    node.engine.cache.forget_all()
    clock.go_on(101)
    assert await node.retention.sweep() == 1
    assert rows(store, key.run_id) == NONE
    assert rows(store, still_open.run_id) == ALL


async def test_a_change_of_the_retention_counts_for_what_is_closed(node, store, clock):
    key = await start(node, "ns-id", "w")
    await close(node, key)

    async def keep_for(seconds):
        await node.namespaces.update(
            "ns", lambda old: msgspec.structs.replace(old, retention_ns=seconds * 10**9)
        )

    await keep_for(1000)
    clock.go_on(500)
    assert await node.retention.sweep() == 0
    await keep_for(400)
    assert await node.retention.sweep() == 1
    assert rows(store, key.run_id) == NONE


async def test_without_a_retention_they_are_kept_for_ever(node, clock):
    await node.namespaces.register(Namespace(id="ever", name="ever", retention_ns=0))
    key = await start(node, "ever", "w")
    await close(node, key)
    clock.go_on(10**9)
    assert await node.retention.sweep() == 0
    assert await is_there(node, key)


async def test_each_namespace_has_its_own(node, clock):
    await node.namespaces.register(Namespace(id="long", name="long", retention_ns=10**15))
    keys = [await start(node, namespace_id, "w") for namespace_id in ("ns-id", "long")]
    for key in keys:
        await close(node, key)
    clock.go_on(101)
    assert await node.retention.sweep() == 1
    assert [await is_there(node, key) for key in keys] == [False, True]


async def test_a_new_start_of_the_id_is_as_the_first(node, clock):
    key = await start(node, "ns-id", "w")
    await close(node, key)
    clock.go_on(101)
    await node.retention.sweep()
    again = await start(node, "ns-id", "w")
    live = await node.engine.get(again)
    assert (live.run_number, live.execution.state.first_run_id) == (1, again.run_id)


async def test_older_runs_go_and_the_current_one_stays(node, store, clock):
    old = await start(node, "ns-id", "w")
    await close(node, old)
    clock.go_on(101)
    current = await start(node, "ns-id", "w")
    assert await node.retention.sweep() == 1
    assert rows(store, old.run_id) == NONE
    node.engine.cache.forget_all()
    live = await node.engine.get(current._replace(run_id=""))
    assert (live.key, live.run_number) == (current, 2)


async def test_what_owes_something_to_its_parent_stays_until_it_has_told(node, store, clock):
    key = await start_child(node, "ns-id", "w")
    node.outgoing_requests.deliver = lambda key, outgoing: None
    await close(node, key)
    clock.go_on(101)
    assert await node.retention.sweep() == 0
    node.engine.cache.forget_all()
    assert await node.retention.sweep() == 0
    assert rows(store, key.run_id) == ALL
    del node.outgoing_requests.deliver
    await is_there(node, key)
    await until(node.retention.sweep)
    assert rows(store, key.run_id) == NONE


async def test_many_go_in_small_batches(node, store, clock):
    keys = await asyncio.gather(*(start(node, "ns-id", f"w{number}") for number in range(200)))
    await asyncio.gather(*(close(node, key) for key in keys))
    node.engine.cache.forget_all()
    clock.go_on(101)
    assert await node.retention.sweep() == 200
    assert list(store.rows()) == []
    assert 1 < store.most_deleted <= RUNS_AT_ONCE_MAX


def test_an_hour_is_the_least_that_can_be_asked_for():
    """The scripts that compare with the real server ask for less, which both are told to accept."""
    assert retention_ns(Duration(seconds=3600), Limits()) == 3600 * 10**9
    with pytest.raises(Rejected):
        retention_ns(Duration(seconds=3599), Limits())


def test_a_batch_is_bounded_by_what_the_runs_hold():
    def runs(count, **changes):
        return [ListedRun(0, 1, 1, "r", "w", 100, 5)._replace(**changes)] * count

    assert len(at_once(runs(64))) == 64
    assert len(at_once(runs(64, state_transition_count=1000))) == 2
    assert len(at_once(runs(64, history_size_bytes=2**21))) == 2
    assert len(at_once(runs(64, state_transition_count=10**6))) == 1


async def test_who_asks_while_it_is_removed_waits(node, clock):
    key = await start(node, "ns-id", "w")
    await close(node, key)
    node.engine.cache.forget_all()
    clock.go_on(101)
    removing = asyncio.create_task(node.retention.sweep())
    answers = []
    while not removing.done():
        answers.append((await is_there(node, key), await is_there(node, key._replace(run_id=""))))
        await asyncio.sleep(0)
    assert await removing == 1
    # It is there, or it is gone: it never comes back.
    assert sorted(answers, reverse=True) == answers
    assert not await is_there(node, key)


async def test_what_is_used_meanwhile_is_removed_as_it_is_in_memory(node, store, clock):
    """A run that comes into memory while it is read in order to be removed."""
    key = await start(node, "ns-id", "w")
    await close(node, key)
    node.engine.cache.forget_all()
    clock.go_on(101)
    removed, found = await asyncio.gather(node.retention.sweep(), is_there(node, key))
    assert removed == 1
    assert rows(store, key.run_id) == NONE
    assert isinstance(found, bool)
    assert not await is_there(node, key)


@pytest.mark.parametrize("is_written", [False, True])
async def test_a_failed_commit_leaves_runs_whole_or_gone(node, store, clock, is_written):
    keys = [await start(node, "ns-id", f"w{number}") for number in range(100)]
    for key in keys:
        await close(node, key)
    clock.go_on(101)
    store.deletions_left, store.is_written = 2, is_written
    with pytest.raises(Rejected):
        await node.retention.sweep()
    assert {rows(store, key.run_id) for key in keys} == {ALL, NONE} or is_written

    async def is_serving():
        return node.engine.is_serving

    await until(is_serving)
    await node.retention.sweep()
    assert {rows(store, key.run_id) for key in keys} == {NONE}


async def test_what_closed_before_a_restart_goes_too(node, store, clock):
    key = await start(node, "ns-id", "w")
    await close(node, key)
    await node.stop()
    clock.go_on(10**6)
    another = await started_node(store, clock, "node-2")
    assert await another.retention.sweep() == 1
    assert rows(store, key.run_id) == NONE
    await another.stop()
