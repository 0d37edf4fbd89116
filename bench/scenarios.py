"""The workflows that a worker runs while a server is measured.

A scenario is a class of the SDK's decorators plus one coroutine that runs one workflow and checks its result. To add
one, write the workflow and describe it in `SCENARIOS`: every mode of the
benchmark can run it. No scenario knows which server it runs against, and none measures anything itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle

TASK_QUEUE = "bench"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work for the servers."""

    name: str
    describes: str
    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]]
    #: Does the work once, with a fresh id for a workflow. Raises if the result is wrong.
    run: Callable[[Client, str], Awaitable[None]]
    #: How often it is done at once, if nothing else is asked for.
    at_once: tuple[int, ...] = (1, 19, 100)
    #: A window stays open until the work was done so often, however slow the server is.
    completed_count_min: int = 20


class WrongResult(Exception):
    """A workflow came to its end with something else than it should have returned."""


@activity.defn(name="compose_greeting")
async def compose_greeting(name: str) -> str:
    """The least an activity can do."""
    return f"Hello {name}!"


@workflow.defn(name="OneActivity")
class OneActivity:
    """Calls one activity and returns what it said."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Greet somebody."""
        return await workflow.execute_activity(
            compose_greeting, name, start_to_close_timeout=timedelta(seconds=30)
        )


async def run_one_activity(client: Client, workflow_id: str) -> None:
    """Greet once."""
    said = await client.execute_workflow(
        OneActivity.run, "Temporal", id=workflow_id, task_queue=TASK_QUEUE
    )
    if said != "Hello Temporal!":
        raise WrongResult(f"{workflow_id} returned {said!r}")


@workflow.defn(name="Inbox")
class Inbox:
    """Takes signals and updates until one says that it is the last."""

    def __init__(self) -> None:
        self._taken = 0
        self._is_over = False

    @workflow.run
    async def run(self) -> int:
        """Return how many there were."""
        await workflow.wait_condition(lambda: self._is_over)
        return self._taken

    @workflow.signal
    def take(self, number: int) -> None:
        """Count one; a negative one is the last."""
        if number < 0:
            self._is_over = True
        else:
            self._taken += 1

    @workflow.update
    def add(self, number: int) -> int:
        """Count one, and say how many there were."""
        self._taken += 1
        return self._taken


class _Shared:
    """One open run that all use, and a new one after so many uses, as a run must not get too long."""

    def __init__(self, uses_count: int) -> None:
        self._uses_count = uses_count
        self._lock = asyncio.Lock()
        self._current: _Use | None = None

    async def use(
        self,
        client: Client,
        workflow_id: str,
        what: Callable[[WorkflowHandle[Any, Any]], Awaitable[Any]],
    ) -> None:
        """Do something with the open run. The last one to use it ends it."""
        async with self._lock:
            if self._current is None:
                handle = await client.start_workflow(
                    Inbox.run, id=workflow_id, task_queue=TASK_QUEUE
                )
                self._current = _Use(handle, self._uses_count)
            used = self._current
            used.left -= 1
            used.under_way += 1
            if used.left == 0:
                self._current = None
        await what(used.handle)
        used.under_way -= 1
        if used.left == 0 and used.under_way == 0:
            await used.handle.signal(Inbox.take, -1)


@dataclass(slots=True)
class _Use:
    handle: WorkflowHandle[Any, Any]
    left: int
    under_way: int = 0


_signalled = _Shared(1000)
_updated = _Shared(500)


async def send_signal(client: Client, workflow_id: str) -> None:
    """Send one signal to a run that gets many."""
    await _signalled.use(client, workflow_id, lambda handle: handle.signal(Inbox.take, 1))


async def send_update(client: Client, workflow_id: str) -> None:
    """Send one update, and wait for what comes of it."""
    await _updated.use(client, workflow_id, lambda handle: handle.execute_update(Inbox.add, 1))


@workflow.defn(name="Child")
class Child:
    """Does nothing."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Return what it was given."""
        return number


@workflow.defn(name="Parent")
class Parent:
    """Starts many children at once, and waits for all."""

    @workflow.run
    async def run(self, children_count: int) -> int:
        """Return the sum of what the children return."""
        return sum(
            await asyncio.gather(
                *(workflow.execute_child_workflow(Child.run, n) for n in range(children_count))
            )
        )


async def run_parent(client: Client, workflow_id: str) -> None:
    """Run a parent with a hundred children."""
    total = await client.execute_workflow(Parent.run, 100, id=workflow_id, task_queue=TASK_QUEUE)
    if total != sum(range(100)):
        raise WrongResult(f"{workflow_id} returned {total}")


@workflow.defn(name="FanOut")
class FanOut:
    """Calls many activities at once, and waits for all."""

    @workflow.run
    async def run(self, activities_count: int) -> int:
        """Return how many said what they should."""
        said = await asyncio.gather(
            *(
                workflow.execute_activity(
                    compose_greeting, str(n), start_to_close_timeout=timedelta(minutes=5)
                )
                for n in range(activities_count)
            )
        )
        return sum(text == f"Hello {n}!" for n, text in enumerate(said))


async def run_fan_out(client: Client, workflow_id: str) -> None:
    """Fan out to a thousand activities."""
    total = await client.execute_workflow(FanOut.run, 1000, id=workflow_id, task_queue=TASK_QUEUE)
    if total != 1000:
        raise WrongResult(f"{workflow_id} returned {total}")


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="activity",
            describes="a workflow that calls one activity",
            workflows=[OneActivity],
            activities=[compose_greeting],
            run=run_one_activity,
        ),
        Scenario(
            name="signals",
            describes="one signal to a run that gets many",
            workflows=[Inbox],
            activities=[],
            run=send_signal,
            at_once=(1, 19),
        ),
        Scenario(
            name="updates",
            describes="one update of a run that gets many, until it is completed",
            workflows=[Inbox],
            activities=[],
            run=send_update,
            # Both servers take ten updates of a run at once, and no more.
            at_once=(1, 9),
        ),
        Scenario(
            name="children",
            describes="a parent with 100 children",
            workflows=[Parent, Child],
            activities=[],
            run=run_parent,
            at_once=(1,),
            completed_count_min=3,
        ),
        Scenario(
            name="fan-out",
            describes="a workflow that calls 1,000 activities at once",
            workflows=[FanOut],
            activities=[compose_greeting],
            run=run_fan_out,
            at_once=(1,),
            completed_count_min=3,
        ),
    )
}
