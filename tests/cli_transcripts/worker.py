"""The worker that the commands need: the workflows of the end-to-end tests, and activities that others complete."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from tests.e2e.workflows import ACTIVITIES as _ACTIVITIES
from tests.e2e.workflows import WORKFLOWS as _WORKFLOWS


@activity.defn
async def by_hand() -> str:
    """Somebody else completes it."""
    activity.raise_complete_async()


@activity.defn
async def never() -> str:
    raise ApplicationError("not today")


@workflow.defn
class ByHand:
    @workflow.run
    async def run(self) -> str:
        try:
            return await workflow.execute_activity(
                by_hand, activity_id="hand", start_to_close_timeout=timedelta(hours=1)
            )
        except ActivityError as error:
            return f"failed: {error.cause}"


@workflow.defn
class Trying:
    """Its activity fails, and waits for long before it is tried again."""

    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            never,
            activity_id="try",
            start_to_close_timeout=timedelta(hours=1),
            retry_policy=RetryPolicy(initial_interval=timedelta(hours=1)),
        )


WORKFLOWS = [*_WORKFLOWS, ByHand, Trying]
ACTIVITIES = [*_ACTIVITIES, by_hand, never]
