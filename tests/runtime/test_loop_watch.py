"""The watch knows how late the loop is, and calls a node overloaded only if it is late for long."""

import asyncio
import random

import pytest
from structlog.testing import capture_logs

from perdure.metrics.exposition import text
from perdure.metrics.registry import Registry
from perdure.runtime.loop_watch import LATE_S, LOOK_EVERY_S, OVERLOADED_AFTER_S, LoopWatch
from perdure.testing.simulator.virtual_loop import VirtualLoop


class World:
    """A loop in which time goes by as a test says."""

    def __init__(self):
        self.loop = VirtualLoop(random.Random(1))
        self.metrics = Registry()
        self.commit_age_s = 0.0
        self.watch = LoopWatch(self.metrics, lambda: self.commit_age_s, self.loop.time)

    def play(self, script):
        async def live():
            watching = asyncio.create_task(self.watch.watch())
            await asyncio.sleep(0)
            await script
            watching.cancel()

        self.loop.run_until_complete(live())

    def work(self, seconds):
        """Keep the loop busy for so long."""
        self.loop.elapsed_s += seconds

    def sample(self, name):
        [line] = [line for line in text(self.metrics).splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])


@pytest.fixture
def world():
    world = World()
    yield world
    world.loop.end_tasks()
    world.loop.close()


def test_it_measures_how_late_the_loop_is(world):
    async def script():
        await asyncio.sleep(10 * LOOK_EVERY_S + 0.01)
        assert world.sample("perdure_loop_lag_seconds_sum") == pytest.approx(0)
        assert world.sample("perdure_loop_lag_seconds_count") == 10
        world.work(3)
        assert world.sample("perdure_loop_silent_seconds") == pytest.approx(3.01)
        await asyncio.sleep(0)
        await asyncio.sleep(LOOK_EVERY_S / 2)
        assert world.sample("perdure_loop_lag_seconds_sum") == pytest.approx(3.01 - LOOK_EVERY_S)

    world.play(script())


def test_a_burst_is_no_overload(world):
    async def script():
        for _ in range(10):
            world.work(2 * OVERLOADED_AFTER_S)
            assert not world.watch.is_overloaded()
            await asyncio.sleep(3 * LOOK_EVERY_S)
            assert not world.watch.is_overloaded()
        world.commit_age_s = 2 * LATE_S
        await asyncio.sleep(OVERLOADED_AFTER_S - 3 * LOOK_EVERY_S)
        world.commit_age_s = 0.0
        await asyncio.sleep(LOOK_EVERY_S)
        world.commit_age_s = 2 * LATE_S
        await asyncio.sleep(OVERLOADED_AFTER_S - 3 * LOOK_EVERY_S)
        assert not world.watch.is_overloaded()

    world.play(script())


@pytest.mark.parametrize("late", ["the loop", "the store"])
def test_a_node_that_is_late_for_long_is_overloaded_until_it_is_not_late_any_more(world, late):
    async def script():
        if late == "the store":
            world.commit_age_s = 2 * LATE_S
            await asyncio.sleep(OVERLOADED_AFTER_S + 2 * LOOK_EVERY_S)
        else:
            while world.loop.time() < 4 * OVERLOADED_AFTER_S:
                world.work(2 * LATE_S)
                await asyncio.sleep(0)
        assert world.watch.is_overloaded()
        assert world.sample("perdure_overloaded") == 1
        world.commit_age_s = 0.0
        await asyncio.sleep(2 * LOOK_EVERY_S)
        assert not world.watch.is_overloaded()
        assert world.sample("perdure_overloaded") == 0

    with capture_logs() as logs:
        world.play(script())
    assert [each["event"] for each in logs] == [
        "this node is overloaded: it starts no new work",
        "this node is not overloaded any more",
    ]
