"""Work that goes round in circles ends a simulated world."""

import asyncio
import random

import pytest

from perdure.store.memory import MemoryStore
from perdure.testing.simulator.faulty_store import ASKED, ASKED_MAX, Faults, FaultyStore
from perdure.testing.simulator.virtual_loop import SpinError, VirtualLoop, bounded_cpu


def run(work) -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(random.Random(1))) as runner:
        runner.run(work())


def test_turns_of_the_loop_while_no_time_goes_by():
    async def spin() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(SpinError):
        run(spin)


def test_one_request_that_asks_the_store_again_and_again():
    store = FaultyStore(MemoryStore(), Faults(random.Random(1)))

    async def ask() -> None:
        ASKED.set([0])
        while True:
            await store.load([])

    with pytest.raises(SpinError):
        run(ask)


def test_many_requests_may_ask_the_store():
    store = FaultyStore(MemoryStore(), Faults(random.Random(1)))

    async def ask() -> None:
        for _ in range(3 * ASKED_MAX):
            ASKED.set([0])
            await store.load([])

    run(ask)


def test_a_circle_that_never_comes_back_to_the_loop():
    async def spin() -> None:
        while True:
            pass

    with pytest.raises(SpinError), bounded_cpu(0.05):
        run(spin)
