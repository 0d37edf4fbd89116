"""The operator sets the defaults of retry policies."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    schedule_activity,
    start_child,
)
from tests.differential.registry import script
from tests.differential.world import World

_SETTINGS = (
    "history.defaultActivityRetryPolicy="
    '{"InitialIntervalInSeconds":"2s","MaximumIntervalCoefficient":7.5,"BackoffCoefficient":1.5,"MaximumAttempts":3}',
    'history.defaultWorkflowRetryPolicy={"InitialIntervalInSeconds":"5s","MaximumAttempts":9}',
)


@script(settings=_SETTINGS)
async def retry_policies_that_an_operator_completes(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True, retry_policy={"backoff_coefficient": 3})
    task = await workflow.poll(quiet=True)
    queue = world.id("activities")
    some = {"initial_interval": "4s", "maximum_attempts": 1}
    await task.complete(
        schedule_activity("nothing", queue),
        schedule_activity("some", queue, retry_policy=some),
        start_child(world.id("child"), world.id("nobody"), retry_policy={"maximum_attempts": 2}),
    )
    await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await workflow.describe()
    await workflow.poll_and_complete(continue_as_new(retry_policy={"maximum_attempts": 4}))
    await workflow.poll_and_complete(complete_workflow())
    workflow = world.workflow("signalled")
    await workflow.signal_with_start(retry_policy={})
    await workflow.history()
