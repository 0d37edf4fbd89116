"""Every story comes out the same on the rules alone and on a simulated node. With real servers: `tests/differential`."""

import asyncio
import random

import pytest

from perdure.testing.simulator.virtual_loop import VirtualLoop
from tests.stories import corpus
from tests.stories.core_stage import CoreServer
from tests.stories.language import STORIES, Scene
from tests.stories.node_stage import NodeServer

assert corpus  # Importing it registers them.

STAGES = {"core": CoreServer, "node": NodeServer}
#: A call of the store takes less.
EXACT_S = 1e-3
#: Virtual seconds: a story that goes on for longer waits for something that never comes.
PATIENCE_S = 600


@pytest.mark.parametrize("where", STAGES)
@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, where: str) -> None:
    loop = VirtualLoop(random.Random(1))

    async def tell() -> None:
        scene = Scene(STAGES[where](loop), "told")
        scene.exact_s = EXACT_S
        async with asyncio.timeout(PATIENCE_S):
            await STORIES[name].play(scene)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(tell())
