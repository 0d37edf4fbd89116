"""A killed process takes no step while its world goes on, and leaves nothing behind when the world ends."""

import asyncio
import random

from perdure.testing.simulator.virtual_loop import Process, VirtualLoop


def test_a_killed_process_leaves_no_task_when_its_world_ends():
    """Its tasks are cancelled then, and may begin something else by that."""
    loop = VirtualLoop(random.Random(1))
    process = Process(loop)
    begun: list[asyncio.Task[None]] = []

    async def successor() -> None:
        await asyncio.sleep(3600)

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            begun.append(loop.create_task(successor()))

    async def live() -> None:
        process.spawn(work())
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(7200)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live())
        assert not begun
        process.release()
        loop.end_tasks()
        assert begun[0].cancelled()
        assert not asyncio.all_tasks(loop)
