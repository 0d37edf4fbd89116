"""Two hundred workflows, each with one of everything, while somebody breaks the server under them.

Promises that hold whatever happens: every workflow ends with the right result, an activity with a single attempt never
starts twice, and no signal that was acknowledged is missing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from temporalio import activity, workflow
from temporalio.client import (
    Client,
    WorkflowContinuedAsNewError,
    WorkflowHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

T = TypeVar("T")

#: How a call may fail while the server is away, and may be made again.
AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.UNKNOWN,
    # The run closes just now, and goes on as another one.
    RPCStatusCode.RESOURCE_EXHAUSTED,
}
#: A server that was killed holds its leases for some seconds more, ten times.
PATIENCE_S = 300


@dataclass
class Result:
    #: The words of signals and updates.
    words: list[str]
    #: Empty if the only attempt was lost with the server.
    once: str = ""
    tries: int = 0
    child: str = ""


@workflow.defn
class Part:
    @workflow.run
    async def run(self, name: str) -> str:
        await workflow.sleep(timedelta(milliseconds=100))
        return f"child of {name}"


@workflow.defn
class Everything:
    """Does its work in a first run, and waits in a second one until it may end."""

    @workflow.init
    def __init__(self, name: str, done: Result | None = None) -> None:
        self._words: list[str] = done.words if done is not None else []
        self._may_end = False

    @workflow.run
    async def run(self, name: str, done: Result | None = None) -> Result:
        if done is None:
            done = await self._work(name)
            done.words = self._words
            workflow.continue_as_new(args=[name, done])
        await workflow.wait_condition(lambda: self._may_end)
        done.words = self._words
        return done

    async def _work(self, name: str) -> Result:
        await workflow.sleep(timedelta(milliseconds=300))
        done = Result([])
        with suppress(ActivityError):
            done.once = await workflow.execute_activity(
                "once",
                name,
                result_type=str,
                start_to_close_timeout=timedelta(seconds=20),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        done.tries = await workflow.execute_activity(
            "again",
            name,
            result_type=int,
            start_to_close_timeout=timedelta(seconds=3),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )
        done.child = await workflow.execute_child_workflow(Part.run, name, id=f"{name}/part")
        return done

    @workflow.signal
    def add(self, word: str) -> None:
        self._words.append(word)

    @workflow.update
    def add_now(self, word: str) -> int:
        self._words.append(word)
        return len(self._words)

    @workflow.signal
    def end(self) -> None:
        self._may_end = True

    @workflow.query
    def words(self) -> list[str]:
        return self._words


@dataclass
class Load:
    """Runs the workflows and remembers what it was promised."""

    client: Client
    count: int = 200
    started: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Return when all have ended; raise if anything is wrong."""

        @activity.defn(name="once")
        async def once(name: str) -> str:
            self.started[name] += 1
            return f"once {name}"

        @activity.defn(name="again")
        async def again(name: str) -> int:
            if activity.info().attempt < 2:
                raise ApplicationError("on purpose")
            return activity.info().attempt

        async with Worker(
            self.client,
            task_queue="load",
            workflows=[Everything, Part],
            activities=[once, again],
        ):
            results = await asyncio.wait_for(
                asyncio.gather(*(self._one(f"w{n}") for n in range(self.count))), PATIENCE_S
            )
        for name, result in results:
            self._check(name, result)

    async def _one(self, name: str) -> tuple[str, Result]:
        client = self.client

        async def start() -> None:
            with suppress(WorkflowAlreadyStartedError):  # An earlier try got through.
                await client.start_workflow(Everything.run, name, id=name, task_queue="load")

        await insist(start)
        handle = client.get_workflow_handle_for(Everything.run, name)
        sent = self.acknowledged.setdefault(name, set())
        for n in range(3):
            word = f"{name}-{n}"
            await insist(lambda word=word: handle.signal(Everything.add, word))
            sent.add(word)
        word = f"{name}-update"
        await insist(lambda: handle.execute_update(Everything.add_now, word, id=word))
        sent.add(word)
        asked = await insist(lambda: handle.query(Everything.words))
        assert sent <= set(asked), f"{name} answers without {sent - set(asked)}"
        # To the second run: the first one does not wait for it.
        await self._second_run(handle)
        await insist(lambda: handle.signal(Everything.end))
        return name, await insist(handle.result)

    async def _second_run(self, handle: WorkflowHandle[Everything, Result]) -> None:
        """Return when the first run has gone on as another one."""
        first = (await insist(handle.describe)).raw_info.first_run_id
        run = self.client.get_workflow_handle(handle.id, run_id=first)

        async def end() -> None:
            with suppress(WorkflowContinuedAsNewError):
                await run.result(follow_runs=False)

        await insist(end)

    def _check(self, name: str, result: Result) -> None:
        missing = self.acknowledged[name] - set(result.words)
        assert not missing, f"{name} has lost {missing}"
        assert result.tries >= 2
        assert self.started[name] <= 1, f"{name}: the single attempt started twice"
        assert result.once in ("", f"once {name}")
        assert result.child == f"child of {name}"
        if result.once:
            assert self.started[name] == 1


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call until it is answered."""
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status not in AWAY:
                raise
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            pass  # Whether it got through is found out by asking again, by the same id.
        await asyncio.sleep(0.1)
