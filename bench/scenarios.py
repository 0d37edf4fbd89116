"""What a worker does while a server is measured.

A scenario is a class of the SDK's decorators plus one coroutine that runs one workflow and checks its result. To add
one (signals, updates, children, fan-out), write the workflow and describe it in `SCENARIOS`: every mode of the
benchmark can run it. No scenario knows which server it runs against, and none measures anything itself.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client

TASK_QUEUE = "bench"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work for the servers."""

    name: str
    describes: str
    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]]
    #: Runs one workflow of the given id to its end. Raises if the result is wrong.
    run: Callable[[Client, str], Awaitable[None]]


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
    )
}
