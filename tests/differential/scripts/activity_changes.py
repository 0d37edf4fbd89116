"""Options of an activity are changed while it waits: what comes of its retries, also in a run that is paused."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import failure
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.activity_control import do, scheduled
from tests.differential.world import Workflow, World

_FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
_FINAL_ERRORS = "the real server goes on with the errors that were final when it was scheduled"


async def _change(workflow: Workflow, label: str, mask: str, **options: Any) -> None:
    await do(workflow, "change", label, activity_options=options, update_mask=mask)


@script
async def fewer_attempts_for_an_activity_that_waits(world: World) -> None:
    """The attempt that waits is shown to be the last one, and is."""
    policy = {"initial_interval": "1s", "maximum_attempts": 5}
    workflow, queue = await scheduled(world, retry_policy=policy)
    await (await world.poll_activity(queue)).fail(failure(next_retry_delay="0.2s"))
    await _change(
        workflow,
        "fewer",
        "retryPolicy.maximumAttempts",
        retry_policy={"maximum_attempts": 2},
    )
    described = await workflow.describe(quiet=True)
    [activity] = described.pending_activities
    options = activity.activity_options
    world.note("attempts", [activity.maximum_attempts, options.retry_policy.maximum_attempts])
    await do(workflow, "pause")
    await do(workflow, "unpause")
    await (await world.poll_activity(queue)).fail(failure())
    await workflow.until(_FAILED)


@script(
    intended=[
        Intended("* PollActivityTaskQueue.retry_policy.non_retryable_error_types*", _FINAL_ERRORS),
        Intended("* over.*", _FINAL_ERRORS),
        Intended("* at the end *", _FINAL_ERRORS),
    ]
)
async def final_errors_of_an_activity_that_waits(world: World) -> None:
    """On perdure the last ones count, and are shown."""
    policy = {"maximum_attempts": 5, "non_retryable_error_types": ["Fatal"]}
    workflow, queue = await scheduled(world, retry_policy=policy)
    await workflow.describe("scheduled")
    await _change(
        workflow,
        "attempts alone",
        "retryPolicy.maximumAttempts",
        retry_policy={"maximum_attempts": 4, "non_retryable_error_types": ["Unheard"]},
    )
    await workflow.describe("attempts alone")
    other = {"initial_interval": "100s", "backoff_coefficient": 2, "maximum_attempts": 3}
    final = {"non_retryable_error_types": ["Other"]}
    await _change(workflow, "all", "retryPolicy", retry_policy=other | final)
    await workflow.describe("all")
    await (await world.poll_activity(queue)).fail(failure(type="Other"))
    await workflow.describe("over")


_PAUSABLE = ("frontend.WorkflowPauseEnabled=true",)


async def _pause_run(workflow: Workflow) -> None:
    await workflow.world.do(api.PauseWorkflowExecutionRequest(workflow_id=workflow.id))


@script(settings=_PAUSABLE)
async def activity_let_go_in_a_paused_run(world: World) -> None:
    """An operator who names it has it done at once, attempt after attempt; others wait for the run to go on."""
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "0.2s"})
    await do(workflow, "pause")
    await _pause_run(workflow)
    await do(workflow, "unpause")
    await (await world.poll_activity(queue)).fail(failure())
    await (await world.poll_activity(queue)).complete()
    await workflow.describe("done")


@script(settings=_PAUSABLE)
async def activity_reset_in_a_paused_run(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "100s"})
    await (await world.poll_activity(queue)).fail(failure())
    await _pause_run(workflow)
    await do(workflow, "reset")
    await (await world.poll_activity(queue)).complete()
    await workflow.describe("done")


_NO_TASKS = "the API says that no activity tasks of a paused run are dispatched"


@script(
    settings=_PAUSABLE,
    intended=[
        Intended("* PollActivityTaskQueue in vain.*", _NO_TASKS),
        Intended("* at the end *.pending_activities*", _NO_TASKS),
    ],
)
async def retry_in_a_paused_run(world: World) -> None:
    """The real server does what its API rules out; on perdure the attempt waits until the run goes on."""
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "0.2s"})
    activity = await world.poll_activity(queue)
    await _pause_run(workflow)
    await activity.fail(failure())
    request = api.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=queue))
    await world.attempt(request, "in vain", timeout=4)
