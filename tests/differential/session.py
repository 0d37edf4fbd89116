"""Run scripts beside one another: most of a script's time is waiting for a timeout under test.

Scripts share a server and never meet, because each run has ids of its own.
"""

import asyncio
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType

from tests.differential.normalise import Normaliser
from tests.differential.registry import Script
from tests.differential.servers import Settings, running
from tests.differential.transcript import Step
from tests.differential.wire import Wire

#: Scripts at once against one server: more of them make the timeouts under test late.
_AT_ONCE = 6
_SCRIPT_WITHIN_S = 60.0


async def play(script: Script, wire: Wire) -> list[Step]:
    """Run one script; returns its normalised transcript, which says so if the script had to stop."""
    nonce = uuid.uuid4().hex[:10]
    world = script.world(wire, nonce)
    try:
        async with asyncio.timeout(_SCRIPT_WITHIN_S):
            await script.play(world)
            await world.finish()
    except (
        Exception
    ) as error:  # Whatever it is, it is the outcome of this run and part of the comparison.
        world.note("stopped", f"{type(error).__name__}: {error}")
    finally:
        await world.clean_up()
    return Normaliser(nonce).steps(world.transcript.steps)


def stopped(steps: list[Step]) -> str | None:
    """Why the script did not get to its end, if it did not."""
    if steps and steps[-1].label.endswith(" stopped"):
        return str(steps[-1].outcome)
    return None


class Stage:
    """An event loop in a thread of its own, with servers, on which all scripts have been started."""

    def __init__(self, scripts: Iterable[Script], kinds: Iterable[str]) -> None:
        self._scripts = list(scripts)
        self._kinds = list(kinds)
        self._loop = asyncio.new_event_loop()
        # A process that has to end does not wait for it.
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="differential", daemon=True
        )
        self._servers = AsyncExitStack()
        self._wires: dict[tuple[str, Settings], Wire] = {}
        self._runs: dict[tuple[str, str], Future[list[Step]]] = {}

    def __enter__(self) -> "Stage":
        self._thread.start()
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def _begin(self) -> None:
        for kind in self._kinds:
            for settings in dict.fromkeys(script.settings for script in self._scripts):
                opening = self._open(kind, settings)
                wire = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
                self._wires[kind, settings] = wire
            at_once = asyncio.Semaphore(_AT_ONCE)
            for script in self._scripts:
                wire = self._wires[kind, script.settings]
                run = asyncio.run_coroutine_threadsafe(_play(script, wire, at_once), self._loop)
                self._runs[kind, script.name] = run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for run in self._runs.values():
            run.cancel()
        asyncio.run_coroutine_threadsafe(self._servers.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, kind: str, settings: Settings) -> Wire:
        wire = Wire(await self._servers.enter_async_context(running(kind, settings)))
        self._servers.push_async_callback(wire.close)
        return wire

    def transcript(self, kind: str, script: Script) -> list[Step]:
        return self._runs[kind, script.name].result()

    def again(self, kind: str, script: Script) -> list[Step]:
        """Run it once more, when most of the others are done and timeouts are less likely to be late."""
        return asyncio.run_coroutine_threadsafe(
            play(script, self._wires[kind, script.settings]), self._loop
        ).result()


async def _play(script: Script, wire: Wire, at_once: asyncio.Semaphore) -> list[Step]:
    async with at_once:
        return await play(script, wire)
